package pvesim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// sim is a cluster under test with a caller.
type sim struct {
	*Cluster
	t     *testing.T
	token string
}

// newSim makes the default cluster, changed by the functions.
func newSim(t *testing.T, change ...func(*Config)) *sim {
	cfg := Default()
	for _, f := range change {
		f(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return &sim{c, t, testToken + "=" + Default().Tokens[testToken]}
}

// inTime runs a test with a clock that moves when everybody waits.
func inTime(t *testing.T, d Durations, f func(*sim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(newSim(t, func(cfg *Config) { cfg.Durations = d }))
	})
}

// pass lets time go by, inside of inTime or the like.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock of testing/synctest moves when everybody waits

// do sends a request; params are key=value separated by "&", not encoded.
func (s *sim) do(method, path, params string) reply {
	values := url.Values{}
	for _, pair := range strings.Split(params, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			values.Set(k, v)
		}
	}
	target, body := "http://sim/api2/json"+path, io.Reader(http.NoBody)
	if method == "GET" || method == "DELETE" {
		target += "?" + values.Encode()
	} else {
		body = strings.NewReader(values.Encode())
	}
	r, err := http.NewRequest(method, target, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "PVEAPIToken="+s.token)
	resp, err := s.RoundTrip(r)
	if err != nil {
		return reply{reason: err.Error()}
	}
	b, _ := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, strings.TrimPrefix(resp.Status, fmt.Sprint(resp.StatusCode)+" "), b}
}

// data is the data of an answer that must be 200.
func (s *sim) data(method, path, params string) any {
	s.t.Helper()
	got := s.do(method, path, params)
	if got.code != 200 {
		s.t.Fatalf("%s %s %s: %d %s %s", method, path, params, got.code, got.reason, got.body)
	}
	var v struct{ Data any }
	if err := json.Unmarshal(got.body, &v); err != nil {
		s.t.Fatal(err)
	}
	return v.Data
}

// refused checks code and reason of an answer.
func (s *sim) refused(method, path, params string, code int, reason string) {
	s.t.Helper()
	if got := s.do(method, path, params); got.code != code || got.reason != reason {
		s.t.Errorf("%s %s %s: %d %s, want %d %s", method, path, params, got.code, got.reason, code, reason)
	}
}

// badParam checks the text of an answer 400 for one parameter.
func (s *sim) badParam(method, path, params, name, text string) {
	s.t.Helper()
	got := s.do(method, path, params)
	var v struct{ Errors map[string]string }
	if err := json.Unmarshal(got.body, &v); err != nil || got.code != 400 || v.Errors[name] != text {
		s.t.Errorf("%s %s %s: %d %s %s, want 400 with %s: %q", method, path, params, got.code, got.reason, got.body, name, text)
	}
}

// begin starts a task and returns its UPID.
func (s *sim) begin(method, path, params string) string {
	s.t.Helper()
	upid, ok := s.data(method, path, params).(string)
	if !ok || !upidFormat.MatchString(upid) {
		s.t.Fatalf("%s %s: no UPID but %q", method, path, upid)
	}
	return upid
}

// task is a task as it is now.
func (s *sim) task(upid string) TaskState {
	for _, t := range s.Tasks() {
		if t.UPID == upid {
			return t
		}
	}
	s.t.Fatalf("no task %s", upid)
	return TaskState{}
}

// ended waits for a task and returns its exit status.
func (s *sim) ended(upid string) string {
	for s.task(upid).Running {
		pass(100 * time.Millisecond)
	}
	return s.task(upid).ExitStatus
}

// ends runs a task and checks its exit status.
func (s *sim) ends(method, path, params, exit string) {
	s.t.Helper()
	if got := s.ended(s.begin(method, path, params)); got != exit {
		s.t.Errorf("%s %s %s ended %q, want %q", method, path, params, got, exit)
	}
}

// clone makes VM id from the template.
func (s *sim) clone(id int) {
	s.t.Helper()
	s.ends("POST", "/nodes/pve1/qemu/9000/clone", fmt.Sprintf("newid=%d&full=1", id), "OK")
}

// conf is one configuration key of a VM, with pending changes.
func (s *sim) conf(id int, key string) any {
	s.t.Helper()
	v, ok := s.VM(id)
	if !ok {
		s.t.Fatalf("no VM %d", id)
	}
	o := s.data("GET", fmt.Sprintf("/nodes/%s/qemu/%d/config", v.Node, id), "").(map[string]any)
	return o[key]
}

// json sends a JSON body.
func (s *sim) json(method, path, body string) reply {
	r, err := http.NewRequest(method, "http://sim/api2/json"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "PVEAPIToken="+s.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.RoundTrip(r)
	if err != nil {
		return reply{reason: err.Error()}
	}
	b, _ := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, strings.TrimPrefix(resp.Status, fmt.Sprint(resp.StatusCode)+" "), b}
}
