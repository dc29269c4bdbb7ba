package operator

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// canned are answers of a gateway to which much has happened, by method and path.
var canned = map[string]string{
	"GET /v1/services": `{"items": [
		{"ref": "w1-1", "status": "ready", "operation": {"type": "create", "status": "succeeded"}, "node": "pve1", "vmid": 101,
		 "drift": [{"kind": "power", "detail": "it runs and should not", "since": "2026-01-02T03:04:05Z"}]},
		{"ref": "w1-2", "status": "ready", "operation": {"type": "create", "status": "succeeded"}}]}`,
	"GET /v1/services/w1-1": `{"ref": "w1-1", "status": "ready", "remote_status": "stopped", "wanted_power": "running", "remote_lock": "backup",
		"operation": {"id": "op", "type": "retry", "goal": "create", "status": "running", "result": {"note": "a note"}},
		"retry": {"attempts": 3, "first_failed_at": "2026-01-02T03:04:05Z", "not_before": "2026-01-02T03:14:05Z"},
		"queued": {"id": "op2", "type": "suspend", "status": "queued"}, "pending": [{"id": "op3", "type": "terminate", "status": "accepted"}],
		"drift": [{"kind": "power", "detail": "it runs and should not"}], "warnings": ["a warning"], "possible": ["set_network"], "package": {"dns": {"domain": "example"}}}`,
	"GET /v1/sight": `{"items": [{"cluster": "dc1", "read_at": "2026-01-02T03:04:05Z"},
		{"cluster": "dc2", "read_at": "2026-01-02T03:04:05Z", "error": "connection refused"},
		{"cluster": "dc3", "read_at": "2026-01-02T03:04:05Z", "offline_nodes": ["pve8", "pve9"]}]}`,
	"GET /v1/dead-letters": `{"items": [{"id": 7, "at": "2026-01-02T03:04:05Z", "stream": "CMD", "sequence": 9, "subject": "cmd.w1-1",
		"consumer": "lifecycle", "deliveries": 3, "service_ref": "w1-1", "error": "no command at all", "retry": "send it again"}]}`,
	"POST /v1/dead-letters/7/requeue": "",
	"DELETE /v1/dead-letters/7":       "",
	"GET /v1/dns/diff": `{"compared": 2, "items": [{"service_ref": "w1-1", "notes": ["no PTR: no such zone"], "names": [
		{"name": "web.example.", "action": "conflict", "holder": "w1-2", "wanted": [{"type": "A", "ttl": 60, "values": ["203.0.113.7"]}],
		 "standing": [{"type": "A", "ttl": 60, "values": ["203.0.113.8"]}]}]}]}`,
	"GET /v1/webhook-endpoints": `{"items": [{"id": "we1", "url": "https://a.example/", "attempts": 2, "last_error": "HTTP 500"},
		{"id": "we2", "url": "https://b.example/", "disabled": "410 Gone"}]}`,
	"POST /v1/webhook-endpoints":               `{"id": "we3", "url": "https://c.example/", "secret": "whsec_x"}`,
	"POST /v1/webhook-endpoints/we1/rotate":    `{"id": "we1", "url": "https://a.example/", "secret": "whsec_y"}`,
	"POST /v1/webhook-endpoints/we2/enable":    `{"id": "we2", "url": "https://b.example/"}`,
	"DELETE /v1/webhook-endpoints/we1":         "",
	"GET /v1/webhook-endpoints/we1/deliveries": `{"items": [{"seq": 5, "attempt": 1, "error": "HTTP 500"}, {"seq": 4, "attempt": 1}]}`,
}

func TestAnswersAreShown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := canned[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"drift", []string{
			"w1-1  ready   pve1  101   power", "it runs and should not", "  -\ndc2      2026-01-02",
			"  any machine, for ", "s: connection refused", "  the machines on pve8, pve9: offline",
		}},
		{"drift -o json", []string{`"vms": [`, `"ref": "w1-1"`, `"clusters": [`, `"error": "connection refused"`}},
		{"vm get w1-1", []string{
			"stopped, wanted running, locked by backup", "retry running, goal create, a note (op)", "attempt 4 at", "queued     suspend queued (op2)",
			"sent       terminate accepted (op3)", "power: it runs and should not", "warning    a warning", "possible   set-network", "dns        conflict web.example., held by w1-2",
		}},
		{"dlq list", []string{"7   ", "lifecycle", "no command at all"}},
		{"dlq show 7", []string{"message     9 of CMD", "send it again"}},
		{"dlq show 7 -o json", []string{`"error": "no command at all"`}},
		{"dlq requeue 7", []string{"7  requeued"}},
		{"dlq discard 7 --yes", []string{"7  discarded"}},
		{"dns diff", []string{"w1-1  conflict  web.example.  held by w1-2", "+ A 60 203.0.113.7", "- A 60 203.0.113.8", "no PTR: no such zone", "2 compared, 1 as they should be."}},
		{"webhook list", []string{"HTTP 500", "disabled: 410 Gone"}},
		{"webhook add https://c.example/", []string{"secret  whsec_x"}},
		{"webhook rotate we1", []string{"secret  whsec_y"}},
		{"webhook enable we2", []string{"https://b.example/"}},
		{"webhook remove we1 --yes", []string{"we1  removed"}},
		{"webhook deliveries we1", []string{"5      1        HTTP 500", "4      1        delivered"}},
		{"__complete vm get ", []string{"w1-1\tready", "w1-2\tready"}},
		{"__complete vm reset-status w1-1 --status set_n", []string{"set_network"}},
	} {
		args := append(strings.Split(tt.line, " "), "--url", server.URL, "--token-file", token)
		if strings.HasPrefix(tt.line, "__complete") { // what is completed comes last
			t.Setenv(envURL, server.URL)
			t.Setenv(envTokenFile, token)
			args = args[:len(args)-4]
		}
		out, err := run(t, args...)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.line, want, out)
			}
		}
	}
	if _, err := run(t, "dlq", "show", "8", "--url", server.URL, "--token-file", token); exit.Code(err) != exit.NotFound {
		t.Errorf("a letter that there is not: %v", err)
	}
}

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := &cobra.Command{Use: "vmline", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands()...)
	exit.CheckArgs(root)
	root.SetIn(strings.NewReader(""))
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}
