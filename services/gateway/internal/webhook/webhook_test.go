package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestVector is that of the Standard Webhooks specification.
func TestVector(t *testing.T) {
	got, err := Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	both, err := Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), newSecret(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil || !strings.HasSuffix(both, " "+got) || strings.Count(both, "v1,") != 2 {
		t.Errorf("with two secrets: %s, %v", both, err)
	}
	for _, bad := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_!", "whsec_" + strings.Repeat("A", 100)} {
		if _, err := Sign("id", time.Unix(1, 0), nil, bad); err == nil {
			t.Errorf("signed with %q", bad)
		}
	}
}

func TestWhatIsSent(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ event, status, want string }{
		{"admitted", api.StatusRunning, ""}, {"reached", api.StatusRunning, ""}, {"reached", api.StatusSucceeded, TypeSucceeded}, {"recorded", api.StatusSucceeded, ""},
		{"retrying", api.StatusRunning, ""}, {"parked", api.StatusParked, TypeParked}, {"refused", api.StatusRefused, TypeRefused}, {"observed", api.StatusSucceeded, ""}, {"queued", api.StatusRunning, ""},
	} {
		e := api.Event{Seq: 7, Service: api.Service{
			Ref: "w-1", Event: tt.event, UpdatedAt: at, Operation: api.Operation{ID: "w-1.x", Status: tt.status},
			Problem: &api.StepProblem{Cause: "stays here"},
		}}
		if got := typeOf(e); got != tt.want {
			t.Errorf("%s %s: %q", tt.event, tt.status, got)
		}
		id, body, err := message(e)
		want := `{"type":"` + tt.want + `","timestamp":"2026-11-24T12:00:00Z","data":{"seq":7,"ref":"w-1","operation":"w-1.x"}}`
		if err != nil || id != "vm_7" || string(body) != want {
			t.Errorf("%s is %s, %v", id, body, err)
		}
	}
	long := api.Event{Seq: 1 << 63, Service: api.Service{Ref: strings.Repeat("r", 64), Event: "parked", Operation: api.Operation{ID: strings.Repeat("o", 200)}}}
	if _, body, _ := message(long); len(body) > 20_000 {
		t.Errorf("a body of %d bytes", len(body))
	}
}

func TestGuard(t *testing.T) {
	lan := Guard{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for address, want := range map[string][2]bool{ // without and with the networks of a LAN
		"8.8.8.8": {true, true}, "2600::1": {true, true}, "10.1.2.3": {false, true}, "::ffff:10.1.2.3": {false, true}, "fd12::1": {false, true},
		"10.2.0.1": {}, "127.0.0.1": {}, "127.9.9.9": {}, "0.0.0.0": {}, "0.1.2.3": {}, "172.16.0.1": {}, "192.168.1.1": {}, "169.254.169.254": {}, "100.64.0.1": {},
		"100.100.100.200": {}, "192.0.0.192": {}, "198.18.0.1": {}, "224.0.0.1": {}, "240.0.0.1": {}, "255.255.255.255": {}, "203.0.113.1": {},
		"::": {}, "::1": {}, "fe80::1": {}, "fe80::1%eth0": {}, "ff02::1": {}, "fec0::1": {}, "::ffff:127.0.0.1": {}, "::127.0.0.1": {}, "64:ff9b::7f00:1": {}, "64:ff9b:1::1": {},
		"2002:7f00:1::": {}, "2001:0:1::1": {}, "2001:db8::1": {}, "100::1": {}, "5f00::1": {},
	} {
		a := netip.MustParseAddr(address)
		if got := [2]bool{Guard{}.allows(a), lan.allows(a)}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if (Guard{}).allows(netip.Addr{}) {
		t.Error("no address is allowed")
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]bool{
		"https://whmcs.example.com/hook?x=1": true, "https://8.8.8.8:8443/": true, "HTTPS://example.com": true,
		"http://example.com/": false, "ftp://example.com/": false, "example.com": false, "https://": false, "https://:443/": false, "https://u:p@example.com/": false,
		"https://example.com/#x": false, "https://127.0.0.1/": false, "https://[::1]/": false, "https://localhost/": false, "https://169.254.169.254/latest": false,
		"https://example.com/\n": false, "https://example.com/" + strings.Repeat("x", maxURL): false,
	} {
		if err := (Guard{}).check(url); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := (Guard{AllowHTTP: true}).check("http://example.com/"); err != nil {
		t.Error(err)
	}
}

// TestTheDialledAddressCounts: a name leads to a loopback address only when it is looked up.
func TestTheDialledAddressCounts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	url := "http://localhost:" + port
	t.Setenv("HTTP_PROXY", server.URL) // it would hide the address
	for _, tt := range []struct {
		guard Guard
		want  error
	}{{Guard{}, ErrForbiddenAddress}, {Guard{AllowNetworks: loopback}, nil}} {
		client := newClient(tt.guard, nil)
		err := post(t.Context(), client, url, api.Event{}, time.Unix(1, 0), []string{newSecret()})
		if !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt.guard, err)
		}
		client.CloseIdleConnections()
	}
}

var loopback = prefixes("127.0.0.0/8", "::1/128")

func TestAnswers(t *testing.T) {
	moved := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			moved = true
		case "/slow":
			_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client goes
			<-r.Context().Done()
		case "/cut":
			panic(http.ErrAbortHandler)
		default:
			var status int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
			w.Header().Set("Location", "/moved")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(strings.Repeat("a secret of the receiver", 1000)))
		}
	}))
	defer server.Close()
	client := newClient(Guard{AllowNetworks: loopback}, nil)
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{
		"/200": "", "/202": "", "/302": "the receiver answered 302 Found", "/307": "the receiver answered 307 Temporary Redirect", "/400": "the receiver answered 400 Bad Request",
		"/410": errGone.Error(), "/503": "the receiver answered 503 Service Unavailable", "/slow": "the receiver did not answer in time", "/cut": "the receiver could not be reached: EOF",
	} {
		client.Timeout = map[bool]time.Duration{true: 200 * time.Millisecond, false: time.Minute}[path == "/slow"]
		err := post(t.Context(), client, server.URL+path+"?token=hidden", api.Event{}, time.Unix(1, 0), []string{newSecret()})
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%s: %s, want %q", path, got, want)
		}
	}
	if moved {
		t.Error("a redirect was followed")
	}
}

func TestSettle(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := record{Endpoint: Endpoint{Position: 6}}
	down := errors.New("down")
	for i, want := range pauses {
		r.settle(7, down, now, 0)
		if r.Attempts != i+1 || r.Position != 6 || r.Disabled != "" || r.LastError != "down" || !r.NotBefore.Equal(now.Add(want)) {
			t.Fatalf("after %d attempts: %+v", i+1, r)
		}
	}
	last := r
	r.settle(7, down, now, 0)
	if r.Disabled != "10 attempts have failed, the last one because down." || r.Position != 6 {
		t.Errorf("after the last attempt: %+v", r.Endpoint)
	}
	last.settle(7, nil, now, 0)
	if want := (Endpoint{Position: 7, LastDeliveredAt: now}); last.Endpoint != want {
		t.Errorf("after a success: %+v", last.Endpoint)
	}
	last.settle(7, down, now, 0)
	if last.Attempts != 0 {
		t.Error("an event is noted twice")
	}
	last.settle(8, errGone, now, 0)
	if last.Disabled == "" || last.Position != 7 {
		t.Errorf("after 410: %+v", last.Endpoint)
	}
	r = record{}
	r.settle(1, down, now, 0.5)
	if !r.NotBefore.Equal(now.Add(5*time.Second + 250*time.Millisecond)) {
		t.Errorf("with jitter: %s", r.NotBefore)
	}
}

// decoded is what a receiver reads.
func decoded(t testing.TB, body []byte) Event {
	t.Helper()
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		t.Error(err)
	}
	return e
}
