package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/api"
)

func TestHTTPSurface(t *testing.T) {
	f := start(t)
	const good = `{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"}}`
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		typ                      string
	}{
		{"no token", "GET", "/v1/services", "", []string{"Authorization", ""}, 401, api.TypeUnauthenticated},
		{"wrong token", "GET", "/v1/services", "", []string{"Authorization", "Bearer vmline_x"}, 401, api.TypeUnauthenticated},
		{"other scheme", "GET", "/v1/services", "", []string{"Authorization", "Basic " + f.client.Token}, 401, api.TypeUnauthenticated},
		{"no token, no path", "GET", "/nothing", "", []string{"Authorization", ""}, 401, api.TypeUnauthenticated},
		{"no token, document", "GET", "/openapi.json", "", []string{"Authorization", ""}, 401, api.TypeUnauthenticated},
		{"no such path", "GET", "/nothing", "", nil, 404, api.TypeNotFound},
		{"no such method", "PATCH", "/v1/services/w1-1", "", nil, 405, api.TypeMethodNotAllowed},
		{"bad ref", "PUT", "/v1/services/w1.1", good, nil, 422, api.TypeValidation},
		{"wildcard ref", "GET", "/v1/services/%2A", "", nil, 422, api.TypeValidation},
		{"wildcard events", "GET", "/v1/events?service_ref=%3E", "", nil, 422, api.TypeValidation},
		{"long ref", "GET", "/v1/services/" + strings.Repeat("a", 65), "", nil, 422, api.TypeValidation},
		{"no body", "PUT", "/v1/services/w1-1", "", nil, 400, api.TypeBadRequest},
		{"no JSON", "PUT", "/v1/services/w1-1", "{", nil, 400, api.TypeBadRequest},
		{"two values", "PUT", "/v1/services/w1-1", good + good, nil, 400, api.TypeBadRequest},
		{"other content type", "PUT", "/v1/services/w1-1", good, []string{"Content-Type", "text/xml"}, 415, api.TypeMediaType},
		{"body too large", "PUT", "/v1/services/w1-1", `{"name":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, api.TypeTooLarge},
		{"limit too high", "GET", "/v1/services?limit=201", "", nil, 422, api.TypeValidation},
		{"wait too long", "GET", "/v1/operations/w1-1.x?wait=26", "", nil, 422, api.TypeValidation},
		{"wait is no number", "GET", "/v1/operations/w1-1.x?wait=1s", "", nil, 422, api.TypeValidation},
		{"no operation id", "GET", "/v1/operations/x", "", nil, 422, api.TypeValidation},
		{"unknown query", "GET", "/v1/services?sort=ref", "", nil, 422, api.TypeValidation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := f.call(tt.method, tt.path, tt.body, tt.header...)
			p := f.wantProblem(resp, body, tt.status, tt.typ)
			if p.Title == "" || p.Detail == "" {
				t.Errorf("it says too little: %s", body)
			}
			if tt.status == 401 && resp.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	if n := len(f.commands()); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if resp, body := f.call("GET", path, "", "Authorization", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, body := f.call("GET", "/openapi.yaml", ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, "put-service") {
		t.Errorf("openapi.yaml: %d", resp.StatusCode)
	}
}

// TestBadPackages has one row for each limit of a single field; what the fields must be together is
// tested beside the checks.
func TestBadPackages(t *testing.T) {
	f := start(t)
	for _, tt := range []struct{ change, location, message string }{
		{`"cluster":""`, "body.cluster", "the name of a cluster"},
		{`"cluster":null`, "body.cluster", "expected string"},
		{`"node":"pve 1"`, "body.node", "name of a Proxmox node"},
		{`"template":"a b"`, "body.template", "name or VMID of a template"},
		{`"clone_type":"thin"`, "body.clone_type", `one of "linked, full"`},
		{`"name":"web.example"`, "body.name", "one DNS label"},
		{`"name":"-web"`, "body.name", "one DNS label"},
		{`"first_vmid":99`, "body.first_vmid", ">= 100"},
		{`"first_vmid":1000000000`, "body.first_vmid", "<= 999999999"},
		{`"cores":0`, "body.cores", ">= 1"},
		{`"cores":513`, "body.cores", "<= 512"},
		{`"cores":1.5`, "body.cores", "expected integer"},
		{`"cores":"2"`, "body.cores", "expected integer"},
		{`"memory_mib":15`, "body.memory_mib", ">= 16"},
		{`"memory_mib":-1`, "body.memory_mib", ">= 16"},
		{`"cpu_type":"a,b"`, "body.cpu_type", "a Proxmox CPU model"},
		{`"system_disk":{"size_gb":131073}`, "body.system_disk.size_gb", "<= 131072"},
		{`"system_disk":{"storage":"local"}`, "body.system_disk.storage", "set clone_type to full"},
		{`"additional_disk":{"storage":"a/b","size_gb":1}`, "body.additional_disk.storage", "a Proxmox storage id"},
		{`"additional_disk":{"size_gb":1}`, "body.additional_disk.storage", "needs a storage"},
		{`"additional_disk":{"storage":"local","size_gb":1,"read_iops":-1}`, "body.additional_disk.read_iops", ">= 0"},
		{`"network":{"bridge":"vmbr0,tag=5"}`, "body.network.bridge", "a bridge or VNet"},
		{`"network":{"bridge":"a123456789012345"}`, "body.network.bridge", "a bridge or VNet"},
		{`"network":{"bridge":"vmbr0","model":"ne2k"}`, "body.network.model", "one of"},
		{`"network":{"bridge":"vmbr0","vlan":4095}`, "body.network.vlan", "<= 4094"},
		{`"network":{"bridge":"vmbr0","rate_mbps":-0.5}`, "body.network.rate_mbps", ">= 0"},
		{`"network":{"bridge":"vmbr0","ipv4_count":33}`, "body.network.ipv4_count", "<= 32"},
		{`"network":{"bridge":"vmbr0","ipv6_count":33}`, "body.network.ipv6_count", "<= 32"},
		{`"network":{}`, "body.network", "required property bridge"},
		{`"firewall":{"policy_in":"accept"}`, "body.firewall.policy_in", "one of"},
		{`"firewall":{"log_level_in":"loud"}`, "body.firewall.log_level_in", "one of"},
		{`"firewall":{"rules":[{"direction":"group","action":"ACCEPT"}]}`, "body.firewall.rules[0].direction", "one of"},
		{`"firewall":{"rules":[{"direction":"in","action":"LOG"}]}`, "body.firewall.rules[0].action", "one of"},
		{`"firewall":{"rules":[{"direction":"in","action":"DROP","comment":"a\nb"}]}`, "body.firewall.rules[0].comment", "one line"},
		{`"firewall":{"rules":[{"direction":"in","action":"DROP","destination_port":"80"}]}`, "body.firewall.rules[0].destination_port", "need a protocol"},
		{`"cloud_init":{"user":"root;"}`, "body.cloud_init.user", "an account name"},
		{`"cloud_init":{"password":"abcd"}`, "body.cloud_init.password", "length >= 5"},
		{`"cloud_init":{"ssh_keys":["x"]}`, "body.cloud_init.ssh_keys[0]", "not a public key"},
		{`"dns":{"domain":"a_.example","ttl_seconds":-1}`, "body.dns.ttl_seconds", ">= 0"},
		{`"readiness":"soon"`, "body.readiness", "one of"},
		{`"onboot":"yes"`, "body.onboot", "expected boolean"},
		{`"Cores":4`, "body.Cores", "unexpected property"},
		{`"colour":"blue"`, "body.colour", "unexpected property"},
	} {
		t.Run(tt.change, func(t *testing.T) {
			resp, body := f.call("PUT", "/v1/services/w1-1", overlay(t, tt.change))
			p := f.wantProblem(resp, body, http.StatusUnprocessableEntity, api.TypeValidation)
			if len(p.Errors) != 1 || p.Errors[0].Location != tt.location || !strings.Contains(p.Errors[0].Message, tt.message) {
				t.Errorf("got %+v, want %s: %s", p.Errors, tt.location, tt.message)
			}
		})
	}
	if n := len(f.commands()); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
}

// overlay puts one field over a good package.
func overlay(t *testing.T, field string) string {
	t.Helper()
	p := map[string]any{}
	for _, s := range []string{`{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"}}`, "{" + field + "}"} {
		if err := json.Unmarshal([]byte(s), &p); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPanicBecomesAProblem(t *testing.T) {
	g := &gateway{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	h := g.recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret detail") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret detail") || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestEveryBridgeOfTheConfigurationCanBeOrdered: a pool on a bridge whose name the API refuses could never be used.
func TestEveryBridgeOfTheConfigurationCanBeOrdered(t *testing.T) {
	gate := start(t)
	for i, bridge := range []string{"vmbr0", "vmbr0.5", "br-lan", "my_vnet"} {
		path := fmt.Sprintf("/v1/services/w1-%d", i)
		resp, answer := gate.call("PUT", path, `{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"`+bridge+`"}}`)
		if resp.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %d %s", bridge, resp.StatusCode, answer)
		}
	}
}

// FuzzPut sends any body: the gateway accepts it or says in a problem why not.
func FuzzPut(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", `{"cluster":1}`, `{"cloud_init":{"password":"0123456789abcdef"}}`,
		`{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"},"firewall":{"rules":[{"direction":"in","action":"DROP","source":"::/0"}]}}`,
		`{"cluster":"dc1","template":"t","cores":1e0,"memory_mib":5.12e2,"network":{"bridge":"vmbr0"},"cloud_init":{"ssh_keys":[""]}}`,
	} {
		f.Add(seed)
	}
	shared := start(f)
	f.Fuzz(func(t *testing.T, body string) {
		gate := *shared
		gate.TB = t
		resp, answer := gate.call("PUT", "/v1/services/w1-1", body)
		switch resp.StatusCode {
		case http.StatusAccepted:
			var op api.Operation
			if err := json.Unmarshal([]byte(answer), &op); err != nil || op.ID == "" {
				t.Errorf("accepted with %q", answer)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			gate.wantProblem(resp, answer, resp.StatusCode, problemTypes[resp.StatusCode])
		default:
			t.Error(fmt.Errorf("%d %s", resp.StatusCode, answer))
		}
	})
}

func TestTLS(t *testing.T) {
	f := start(t)
	certified := httptest.NewTLSServer(nil) // has a certificate and a client that trusts it
	defer certified.Close()
	f.serve(Config{
		Bus: f.bus, TLS: certified.TLS.Clone(), Token: f.client.Token, Sealer: f.opener.Sealer(), DigestKey: make([]byte, minDigestKey),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	plain := f.client.BaseURL
	f.client.BaseURL, f.client.HTTP = strings.Replace(plain, "http:", "https:", 1), certified.Client()
	if op := f.put("w1-1", small()); op.Status != api.StatusAccepted {
		t.Errorf("over TLS: %+v", op)
	}
	f.client.BaseURL = plain
	if _, err := f.client.GetService(t.Context(), "w1-1"); err == nil {
		t.Error("answered without TLS")
	}
}
