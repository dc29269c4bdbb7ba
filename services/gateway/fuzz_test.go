package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/api"
)

// jsonRoutes are all routes that take a JSON body.
var jsonRoutes = []struct{ method, path string }{
	{"PUT", "/v1/services/w1-1"},
	{"POST", "/v1/services/w1-1/actions"},
	{"POST", "/v1/services/w1-1/validate"},
	{"POST", "/v1/keys"},
	{"POST", "/v1/keys/ann/rotate"},
	{"POST", "/v1/webhook-endpoints"},
	{"POST", "/v1/webhook-endpoints/wh-0123456789abcdef/rotate"},
}

// FuzzEveryJSONBody sends anything as the body of every route that takes one: the answer is a success with
// JSON, or a problem of a known type, and never a mistake of the gateway.
func FuzzEveryJSONBody(f *testing.F) {
	for _, seed := range []string{
		smallJSON, `{"type":"stop"}`, `{"type":"reset-status","params":{"status":"ready","reason":"x"}}`, `{"type":"adopt","params":{"vmid":100},"package":` + smallJSON + `}`,
		`{"kind":"bearer","scope":"read"}`, `{"kind":"signing","scope":"operate","id":"k","expires_at":"2030-01-01T00:00:00Z"}`, `{"overlap_seconds":0}`,
		`{"url":"https://192.0.2.1/"}`, `{"url":"https://[::1]/"}`, `{"url":"//"}`,
		``, `null`, `[]`, `{}`, `"x"`, `1e999`, `{"type":null,"params":null,"package":null}`, `{"type":"stop","params":{"vmid":-1}}`, `{"expires_at":"x"}`,
		`{"overlap_seconds":99999999999999999999}`, "\x00", "{\"type\":\"\xff\"}", strings.Repeat("[", 10000), `{"a":` + strings.Repeat(`{"a":`, 1000),
		`{"type":"stop","type":"start"}`, `{"params":{"password":"\u0000"}}`,
	} {
		for i := range jsonRoutes {
			f.Add(byte(i), seed)
		}
	}
	shared := start(f)
	f.Fuzz(func(t *testing.T, route byte, body string) {
		gate := *shared
		gate.TB = t
		r := jsonRoutes[int(route)%len(jsonRoutes)]
		resp, answer := gate.call(r.method, r.path, body, "Idempotency-Key", newText())
		if resp.StatusCode < 300 {
			if !json.Valid([]byte(answer)) {
				t.Errorf("%d with %q", resp.StatusCode, answer)
			}
			return
		}
		var p api.Problem
		if err := json.Unmarshal([]byte(answer), &p); err != nil || p.Type == "" || p.Type == "about:blank" || p.Title == "" || p.Status != resp.StatusCode {
			t.Errorf("%s %s: %d %q", r.method, r.path, resp.StatusCode, answer)
		}
		// 503: no service runs here that could be asked for a plan.
		if resp.StatusCode >= http.StatusInternalServerError && p.Type != api.TypeServiceUnavailable {
			t.Errorf("%s %s: %d %q", r.method, r.path, resp.StatusCode, answer)
		}
	})
}
