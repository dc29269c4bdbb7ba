package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// TestMain lets the test binary be vmline itself, so that tests see real exit codes.
func TestMain(m *testing.M) {
	if os.Getenv("VMLINE_TEST_RUN_MAIN") != "" {
		main()
	}
	leaktest.Main(m)
}

// vmline runs a command line.
func vmline(ctx context.Context, args ...string) (code int, stdout string, err error) {
	var out bytes.Buffer
	root := newRoot() //nolint:contextcheck // commands get ctx when they run
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	return exit.Code(err), out.String(), err
}

func TestUsage(t *testing.T) {
	for _, name := range []string{"VMLINE_CONFIG", "VMLINE_TOKEN_FILE", "VMLINE_URL"} {
		t.Setenv(name, "")
	}
	for _, tt := range []struct {
		line string
		code int
		want string
	}{
		{"--help", exit.Done, "Exit codes: 0 done"},
		{"vm get --help", exit.Done, "--token-file"},
		{"nonsense", exit.Usage, `unknown command "nonsense"`},
		{"vm nonsense", exit.Usage, `unknown command "nonsense"`},
		{"--nonsense", exit.Usage, "unknown flag"},
		{"vm get", exit.Usage, "accepts 1 arg(s), received 0; see: vmline vm get --help"},
		{"vm list -o yaml --token-file x", exit.Usage, "want table or json"},
		{"vm list", exit.Usage, "where is the token? use --token-file FILE"},
		{"up", exit.Usage, "which configuration? use --config FILE"},
		{"apply", exit.Usage, "which configuration?"},
		{"up --config none.yaml", exit.Usage, "there is no file none.yaml"},
		{"apply --config none.yaml", exit.Usage, "there is no file none.yaml"},
		{"doctor --config none.yaml", exit.Usage, "there is no file none.yaml"},
		{"vm list --token-file none", exit.Usage, "there is no file none"},
	} {
		code, out, err := vmline(t.Context(), strings.Fields(tt.line)...)
		if text := fmt.Sprint(out, err); code != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("vmline %s: code %d, want %d: %s", tt.line, code, tt.code, text)
		}
	}
}

func TestApplyIsForAServerOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmline.yaml")
	if err := os.WriteFile(path, []byte("data_dir: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, err := vmline(t.Context(), "apply", "--config", path)
	if code != exit.Failed || err == nil || !strings.Contains(err.Error(), "`vmline up` makes the streams") {
		t.Errorf("code %d, %v", code, err)
	}
}

// gateway answers as the real one does for one VM whose operation goes on while it is watched.
func gateway(t *testing.T, op func() api.Operation) []string {
	t.Helper()
	service := func() api.Service {
		return api.Service{
			Ref: "w1-1", Status: "set_ip", Cluster: "dc1", Node: "pve1", VMID: 101, Addresses: []api.Address{{Address: "203.0.113.7"}},
			Operation: op(), Problem: op().Error, UpdatedAt: time.Unix(0, 0),
		}
	}
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/services", func(w http.ResponseWriter, r *http.Request) {
		page := api.ServiceList{Items: []api.Service{service()}}
		if r.URL.Query().Get("cursor") == "" {
			page.NextCursor = "w1-1"
		}
		answer(w, page)
	})
	mux.HandleFunc("GET /v1/services/w1-1", func(w http.ResponseWriter, _ *http.Request) { answer(w, service()) })
	mux.HandleFunc("GET /v1/operations/op", func(w http.ResponseWriter, _ *http.Request) { answer(w, op()) })
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) {
		data, _ := json.Marshal(api.Event{Seq: 1, Service: service()})
		fmt.Fprintf(w, "id: 1\ndata: %s\n\n", data)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		switch {
		case r.Header.Get("Authorization") != "Bearer hunter2":
			w.WriteHeader(http.StatusUnauthorized)
		case pattern == "":
			w.WriteHeader(http.StatusNotFound)
			answer(w, api.Problem{Title: "Not found", Detail: "There is no VM " + r.URL.Path})
		default:
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--url", server.URL, "--token-file", token}
}

func operation(status string, done int) api.Operation {
	op := api.Operation{ID: "op", ServiceRef: "w1-1", Type: "create", Status: status}
	for i, name := range []string{"creation", "set_ip", "clone"} {
		s := api.Step{Name: name, Owner: "ipam", Status: api.StepPending}
		if i < done {
			s.Status, s.StartedAt, s.FinishedAt = api.StatusSucceeded, time.Unix(int64(i), 0), time.Unix(int64(i+1), 0)
		}
		op.Steps = append(op.Steps, s)
	}
	if status == api.StatusParked {
		op.Error = &api.StepProblem{Cause: "The pool is empty.", Kept: "Nothing was done.", Next: "Add addresses."}
	}
	return op
}

func TestClientCommands(t *testing.T) {
	flags := gateway(t, func() api.Operation { return operation(api.StatusParked, 2) })
	for _, tt := range []struct {
		line string
		code int
		want []string
	}{
		{"vm list", exit.Done, []string{"REF", "w1-1  set_ip  create parked  dc1", "pve1  101   203.0.113.7"}},
		{"vm list -o json", exit.Done, []string{`"ref": "w1-1"`}},
		{"vm get w1-1", exit.Done, []string{"vmid       101", "problem    The pool is empty.", "next       Add addresses.", "set_ip", "succeeded  1s"}},
		{"vm get w1-1 -o json", exit.Done, []string{`"vmid": 101`}},
		{"vm get w1-2", exit.NotFound, []string{"There is no VM /v1/services/w1-2"}},
		{"vm watch w1-1", exit.Failed, []string{"creation", "set_ip", "create of w1-1: parked: The pool is empty.\n  Nothing was done.\n  Add addresses."}},
		{"vm watch w1-1 -o json", exit.Failed, []string{`{"name":"creation","status":"succeeded"`}},
		{"vm watch w1-2", exit.NotFound, nil},
		{"tail", exit.Failed, []string{"w1-1", "set_ip", "The pool is empty.", "unexpected EOF"}},
		{"tail w1-1 -o json", exit.Failed, []string{`{"seq":1,`}},
		{"vm list --url http://127.0.0.1:1", exit.Failed, []string{"connection refused"}},
	} {
		args := strings.Fields(tt.line)
		if !strings.Contains(tt.line, "--url") {
			args = append(args, flags...)
		} else {
			args = append(args, flags[2:]...)
		}
		code, out, err := vmline(t.Context(), args...)
		text := fmt.Sprint(out, err)
		if code != tt.code {
			t.Errorf("vmline %s: code %d, want %d: %s", tt.line, code, tt.code, text)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("vmline %s: %q is missing in\n%s", tt.line, want, text)
			}
		}
	}
}

func TestListReadsEveryPage(t *testing.T) {
	_, out, err := vmline(t.Context(), append([]string{"vm", "list"}, gateway(t, func() api.Operation { return operation("running", 1) })...)...)
	if err != nil || strings.Count(out, "w1-1") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWatchShowsEachStepOnceAndEnds(t *testing.T) {
	var looks atomic.Int64
	flags := gateway(t, func() api.Operation {
		n := int(looks.Add(1))
		if n > 8 {
			return operation(api.StatusSucceeded, 3)
		}
		return operation(api.StatusRunning, n/3)
	})
	code, out, err := vmline(t.Context(), append([]string{"vm", "watch", "w1-1"}, flags...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exit.Done || len(lines) != 3 || !strings.HasPrefix(lines[0], "creation") || !strings.HasPrefix(lines[2], "clone") {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}

func TestWatchTimesOut(t *testing.T) {
	flags := gateway(t, func() api.Operation { return operation(api.StatusRunning, 1) })
	code, _, err := vmline(t.Context(), append([]string{"vm", "watch", "w1-1", "--timeout", "50ms"}, flags...)...)
	if code != exit.TimedOut {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestVersion(t *testing.T) {
	if code, out, err := vmline(t.Context(), "version"); code != exit.Done || !strings.HasPrefix(out, "vmline ") {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	info := &debug.BuildInfo{GoVersion: "go1.26", Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
	}}
	if got, want := versionText(info), "vmline (devel) commit 0123456789ab with local changes go1.26"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// lineReader is a writer whose lines another goroutine reads.
type lineReader struct{ lines chan string }

func newLineReader() *lineReader { return &lineReader{make(chan string, 100)} }

func (l *lineReader) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.lines <- strings.TrimSpace(line)
	}
	return len(p), nil
}

func (l *lineReader) line(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l.lines:
		return line
	case <-t.Context().Done():
		t.Fatal("nothing was printed")
		return ""
	}
}
