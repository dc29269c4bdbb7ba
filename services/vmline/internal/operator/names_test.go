package operator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// TestGetShowsTheNames has the dns service answer, be away, and hang.
func TestGetShowsTheNames(t *testing.T) {
	t.Parallel()
	const differs = `{"items": [{"service_ref": "w1-1", "notes": ["no PTR"], "names": [
		{"name": "web.example.", "action": "conflict", "holder": "w1-2"}, {"name": "mail.example.", "action": "create"}]}]}`
	say := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		rested time.Duration
		dns    string
		want   []string
	}{
		"no names":       {answer: say(500, ""), rested: time.Hour},
		"all is well":    {say(200, `{"items": [{"service_ref": "w1-1", "names": []}]}`), time.Hour, "example", nil},
		"they differ":    {say(200, differs), time.Hour, "example", []string{"conflict web.example., held by w1-2", "create mail.example.", "no PTR"}},
		"just changed":   {say(200, differs), 0, "example", []string{"conflict web.example., held by w1-2", "no PTR"}},
		"no dns service": {say(503, `{"title": "x", "detail": "The service dns does not run."}`), 0, "example", []string{"cannot be compared now: The service dns does not run."}},
		"it hangs":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, "example", []string{"cannot be compared now: there was no answer within 5s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			s := api.Service{Ref: "w1-1", Status: "ready", UpdatedAt: time.Now().Add(-tt.rested), Package: &api.Package{DNS: api.DNS{Domain: tt.dns}}}
			got := withNames(t.Context(), &api.Client{BaseURL: server.URL}, s)
			var lines []string
			for _, row := range got.namesTable() {
				if row[0] == "dns" {
					lines = append(lines, row[1])
				}
			}
			if strings.Join(lines, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("shown is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(tt.want, "\n"))
			}
			if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), `"dns":{"service_ref":"w1-1"`) != (tt.dns != "") {
				t.Errorf("as JSON: %s, %v", text, err)
			}
		})
	}
}
