package pvesim

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// listen starts a server without TLS and returns its address.
func listen(t *testing.T, c *Cluster) (addr string) {
	t.Helper()
	s, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

const auth = "Authorization: PVEAPIToken=vmline@pve!prov=00000000-0000-4000-8000-000000000001\r\n"

// TestWire sends raw requests over one connection each and reads raw answers.
func TestWire(t *testing.T) {
	addr := listen(t, New(Default()))
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	for _, c := range []struct {
		name, request string
		status        string
		body          string
	}{
		{"reason phrase", "GET /api2/json/nodes/pve1/qemu/77/config HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 400 Parameter verification failed.", `"vmid":"invalid format - value does not look like a valid VM ID\n"`},
		{"missing VM", "GET /api2/json/nodes/pve1/qemu/777/config HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 500 Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist", `does not exist\n"`},
		{"chunked body", "POST /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + form + "Transfer-Encoding: chunked\r\n\r\n5\r\npooli\r\n4\r\nd=p1\r\n0\r\n\r\n", "HTTP/1.1 501 chunked transfer encoding not supported", ""},
		{"no login", "GET /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401 No ticket", ""},
		{"wrong secret", "GET /api2/json/version HTTP/1.1\r\nHost: x\r\nAuthorization: PVEAPIToken=vmline@pve!prov=no\r\n\r\n", "HTTP/1.1 401 Authentication failed!", ""},
		{"unknown path", "GET /api2/json/nosuch HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 501 Method 'GET /nosuch' not implemented", `"message":"Method 'GET /nosuch' not implemented"`},
		{"no JSON", "POST /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 4\r\n\r\n{bad", `HTTP/1.1 500 malformed JSON string, neither tag, array, object, number, string or atom, at character offset 1 (before "bad")`, "malformed JSON string"},
		{"JSON cut short", "POST /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":", "HTTP/1.1 500 malformed JSON string, neither tag, array, object, number, string or atom, at character offset 5 (before (end of string))", "malformed JSON string"},
		{"a list", "POST /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]", "HTTP/1.1 500 Not a HASH reference", "Not a HASH reference\n"},
		{"HTTP/1.0", "GET /api2/json/version HTTP/1.0\r\nConnection: keep-alive\r\n" + auth + "\r\n", "HTTP/1.0 200 OK", `"version"`},
		{"HEAD", "HEAD /api2/json/version HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 501 method 'HEAD' not available", ""},
		{"OPTIONS", "OPTIONS /api2/json/version HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 501 method 'OPTIONS' not available", ""},
		{"DELETE with a body", "DELETE /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + form + "Content-Length: 9\r\n\r\npoolid=p1", "HTTP/1.1 501 Unexpected content for method 'DELETE'", ""},
		{"GET with a body", "GET /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 501 Unexpected content for method 'GET'", ""},
		{"unknown type of body", "POST /api2/json/pools HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 506 upload 'Content-Type 'text/plain' not implemented", ""},
		{"path outside of the API", "GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 no such file '/nosuch'", ""},
		{"no format", "GET /api2/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 no such uri", ""},
		{"unknown format", "GET /api2/yaml/version HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 501 no formatter for uri /version, yaml", ""},
		{"the format of browsers", "GET /api2/extjs/cluster/nextid?_dc=17 HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 200 OK", `{"data":"100","success":1}`},
		{"an error for browsers", "GET /api2/extjs/cluster/nextid?vmid=9000 HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", "HTTP/1.1 200 OK", `"errors":{"vmid":"VM 9000 already exists"},"message":"Parameter verification failed.\n","status":400,"success":0`},
		{"token that is encoded", "GET /api2/json/cluster/nextid HTTP/1.1\r\nHost: x\r\n" + strings.NewReplacer("@", "%40", "!", "%21", "Token=", "Token ").Replace(auth) + "\r\n", "HTTP/1.1 200 OK", `{"data":"100"}`},
		{"conflicting parameter", "POST /api2/json/pools?poolid=a HTTP/1.1\r\nHost: x\r\n" + auth + form + "Content-Length: 8\r\n\r\npoolid=b", "HTTP/1.1 400 Parameter verification failed.", "duplicate parameter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for range 2 { // the connection is kept
				if _, err := io.WriteString(conn, c.request); err != nil {
					t.Fatal(err)
				}
				method, _, _ := strings.Cut(c.request, " ")
				resp, err := http.ReadResponse(in, &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				if got := resp.Proto + " " + resp.Status; got != c.status {
					t.Errorf("%s, want %s", got, c.status)
				}
				if !strings.Contains(string(body), c.body) || c.body == "" && len(body) > 0 {
					t.Errorf("body %s", body)
				}
				if resp.Header.Get("Server") != "pve-api-daemon/3.0" {
					t.Errorf("header %v", resp.Header)
				}
			}
		})
	}
}

// TestTLSWithAndWithout: who forgets TLS is sent back, who does not is served.
func TestTLSWithAndWithout(t *testing.T) {
	c := New(Default())
	defer c.Close()
	s, err := c.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CertPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	plain := strings.Replace(s.URL, "https://", "http://", 1)
	for _, x := range []struct{ method, url, status, location string }{
		{"GET", plain + "/version?x=1", "301 Moved Permanently", s.URL + "/version?x=1"},
		{"POST", plain + "/pools", "308 Permanent Redirect", s.URL + "/pools"},
		{"GET", s.URL + "/version", "401 No ticket", ""},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), x.method, x.url, http.NoBody)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.Status != x.status || resp.Header.Get("Location") != x.location {
			t.Errorf("%s %s: %s to %q", x.method, x.url, resp.Status, resp.Header.Get("Location"))
		}
	}
}

func TestServerDropsConnections(t *testing.T) {
	c := New(Default())
	addr := listen(t, c)
	c.AddFault(Fault{Kind: DropAfter, Path: "/pools", Times: 1})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	post := func() error {
		r, _ := http.NewRequest(http.MethodPost, "http://"+addr+"/api2/json/pools", strings.NewReader("poolid=p1"))
		r.Header.Set("Authorization", strings.TrimSpace(strings.TrimPrefix(auth, "Authorization: ")))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := transport.RoundTrip(r)
		if err == nil {
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("status %s", resp.Status)
			}
		}
		return err
	}
	if err := post(); err == nil {
		t.Error("an answer came")
	}
	if err := post(); err != nil {
		t.Error(err)
	}
	calls := c.Calls()
	if len(calls) != 2 || calls[0].Code != 0 || calls[1].Reason != "create pool failed: pool 'p1' already exists" {
		t.Errorf("calls %+v", calls)
	}
}

func TestServerClosesWithCallsWaiting(t *testing.T) {
	cfg := Default()
	cfg.AuthDelay = time.Hour
	c := New(cfg)
	s, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL, "http://"), "/api2/json"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n")
	s.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("an answer came")
	}
}

func TestHandlerSendsTheReasonToo(t *testing.T) {
	c := New(Default())
	defer c.Close()
	srv := httptest.NewServer(c)
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/api2/json/version")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Status != "401 No ticket" {
		t.Error(resp.Status)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api2/json/version", nil))
	if w.Code != 401 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCallersAtTheSameTime(t *testing.T) {
	s := newSim(t, func(cfg *Config) {
		cfg.Durations = Durations{Clone: time.Millisecond, Config: time.Millisecond, Start: time.Millisecond}
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := 200 + i
			upid := s.begin("POST", clonePath, fmt.Sprintf("newid=%d&full=1", id))
			for s.task(upid).Running {
				s.data("GET", "/cluster/resources", "")
			}
			path := fmt.Sprintf("/nodes/pve1/qemu/%d", id)
			s.data("PUT", path+"/config", "cores=2")
			s.data("POST", path+"/status/start", "")
			s.data("GET", path+"/status/current", "")
			s.data("GET", "/cluster/tasks", "")
		})
	}
	wg.Wait()
	if n := len(s.VMs()); n != 21 {
		t.Errorf("%d VMs", n)
	}
}

func TestRoundTripEndsWithItsContext(t *testing.T) {
	inTime(t, Durations{}, func(s *sim) {
		s.AddFault(Fault{Kind: Slow, Delay: time.Hour})
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://sim/api2/json/version", nil)
		r.Header.Set("Authorization", "PVEAPIToken="+s.token)
		if _, err := s.RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		s.Close()
	})
}

// TestALongLifeTakesNoMoreRoom: a simulator that runs for days forgets old calls and tasks.
func TestALongLifeTakesNoMoreRoom(t *testing.T) {
	s := newSim(t, func(cfg *Config) { cfg.KeepCalls, cfg.KeepTasks = 10, 5 })
	s.clone(101)
	for range 100 {
		s.ends("POST", "/nodes/pve1/qemu/101/status/stop", "", "OK")
	}
	s.data("GET", "/version", "")
	calls := s.Calls()
	if len(calls) != 10 || calls[9].Path != "/version" {
		t.Errorf("%d calls, the last %+v", len(calls), calls[len(calls)-1])
	}
	if n := len(s.Tasks()); n < 5 || n > 10 {
		t.Errorf("%d tasks", n)
	}
}
