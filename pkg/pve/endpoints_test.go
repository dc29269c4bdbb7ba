package pve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errDial = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	errLost = io.ErrUnexpectedEOF
)

// hosts are the endpoints a, b and c in memory. A host without a handler works.
type hosts struct {
	mu    sync.Mutex
	does  map[string]roundTrip
	asked []string
}

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	host, _, _ := strings.Cut(r.URL.Host, ".")
	h.asked = append(h.asked, host)
	does := h.does[host]
	h.mu.Unlock()
	switch {
	case does != nil:
		return does(r)
	case r.Method == http.MethodGet:
		return ok(`{"version":"9.2"}`), nil
	}
	return ok(`"` + string(testUPID) + `"`), nil
}

// set gives hosts what they do from now on.
func (h *hosts) set(does map[string]roundTrip) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.does = does
}

// since returns the hosts asked since the last look.
func (h *hosts) since() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := strings.Join(h.asked, "")
	h.asked = nil
	return out
}

func three(t *testing.T, change ...func(*Config)) (*Client, *hosts) {
	h := &hosts{}
	return newTest(t, h.RoundTrip, append(change, func(c *Config) {
		c.URL, c.Endpoints = "https://a.test:8006", []string{"https://b.test:8006", "https://c.test:8006"}
	})...), h
}

func fails(err error) roundTrip {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// TestEndpointsTable holds the table of lostFate: who is asked for one call, and where the next one goes.
func TestEndpointsTable(t *testing.T) {
	for _, test := range []struct {
		name              string
		a                 roundTrip
		read, afterRead   string
		readKind          Kind
		write, afterWrite string
		writeKind         Kind
	}{
		{name: "works", read: "a", afterRead: "a", write: "a", afterWrite: "a"},
		{name: "no connection", a: fails(errDial), read: "ab", afterRead: "b", write: "ab", afterWrite: "b"},
		{name: "lost", a: fails(errLost), read: "ab", afterRead: "b", write: "a", afterWrite: "b", writeKind: MaybeCommitted},
		{name: "wrong certificate", a: fails(&wrongCertificate{"not pinned"}), read: "a", afterRead: "a", readKind: Unreachable,
			write: "a", afterWrite: "a", writeKind: MaybeCommitted},
		{name: "595 of a node", a: always(595, "No route to host", ""), read: "ab", afterRead: "b",
			write: "a", afterWrite: "a", writeKind: Unreachable},
		{name: "596", a: always(596, "Connection timed out", ""), read: "a", afterRead: "a", readKind: Unreachable,
			write: "a", afterWrite: "a", writeKind: MaybeCommitted},
		{name: "503", a: always(503, "Service Unavailable", ""), read: "a", afterRead: "a", readKind: Transient,
			write: "a", afterWrite: "a", writeKind: Transient},
		{name: "401", a: always(401, "No ticket", ""), read: "a", afterRead: "a", readKind: NoPermission,
			write: "a", afterWrite: "a", writeKind: NoPermission},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, h := three(t)
			h.set(map[string]roundTrip{"a": test.a})
			_, err := c.Version(t.Context())
			if got := h.since(); KindOf(err) != test.readKind || got != test.read {
				t.Errorf("read: asked %s, want %s: %v", got, test.read, err)
			}
			_, _ = c.Version(t.Context())
			if got := h.since(); got[:1] != test.afterRead {
				t.Errorf("the next read went to %s, want %s", got, test.afterRead)
			}
			c, h = three(t)
			h.set(map[string]roundTrip{"a": test.a})
			_, err = c.Start(t.Context(), "pve1", 101)
			if got := h.since(); KindOf(err) != test.writeKind || got != test.write {
				t.Errorf("write: asked %s, want %s: %v", got, test.write, err)
			}
			_, _ = c.Start(t.Context(), "pve1", 101)
			if got := h.since(); got[:1] != test.afterWrite {
				t.Errorf("the next write went to %s, want %s", got, test.afterWrite)
			}
		})
	}
}

// TestNoEndpoint: the error names each endpoint and what is wrong with it.
func TestNoEndpoint(t *testing.T) {
	c, h := three(t)
	h.set(map[string]roundTrip{"a": fails(errDial), "b": always(595, "Connection refused", ""), "c": fails(errDial)})
	_, err := c.Version(t.Context())
	want := "read the version: none of 3 endpoints: https://a.test:8006: no answer: dial tcp: connection refused;" +
		" https://b.test:8006: Connection refused; https://c.test:8006: no answer: dial tcp: connection refused (cluster c1, GET /version, Unreachable)"
	if KindOf(err) != Unreachable || !errors.Is(err, errDial) || err.Error() != strings.ReplaceAll(want, "Unreachable)", "unreachable)") {
		t.Error(err)
	}
	if _, err := c.Start(t.Context(), "pve1", 101); KindOf(err) != Unreachable {
		t.Errorf("nothing was sent anywhere: %v", err)
	}
}

// TestWriteLostOnTheSecond: what was sent is not sent again, on whichever endpoint that was.
func TestWriteLostOnTheSecond(t *testing.T) {
	c, h := three(t)
	h.set(map[string]roundTrip{"a": fails(errDial), "b": fails(errLost)})
	if _, err := c.Start(t.Context(), "pve1", 101); KindOf(err) != MaybeCommitted || h.since() != "ab" {
		t.Error(err)
	}
	if _, err := c.Start(t.Context(), "pve1", 101); err != nil || h.since() != "c" {
		t.Error(err)
	}
}

// TestBackToTheFirst: after a minute one read tries the first again; a write never is that try.
func TestBackToTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := three(t)
		read := func() string { _, _ = c.Version(t.Context()); return h.since() }
		write := func() string { _, _ = c.Start(t.Context(), "pve1", 101); return h.since() }
		after := func(d time.Duration) { <-time.After(d) }
		h.set(map[string]roundTrip{"a": fails(errDial)})
		got := []string{read(), read()}
		after(backToFirst + 1)
		got = append(got, write(), read(), read()) // one probe, in vain
		h.set(nil)
		got = append(got, read())
		after(backToFirst + 1)
		got = append(got, write(), read(), write())
		if want := []string{"ab", "b", "b", "ab", "b", "b", "b", "a", "a"}; !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
	})
}

// TestTimeoutsByKind: each kind of call has its own, all endpoints together; a write that was sent counts from then.
func TestTimeoutsByKind(t *testing.T) {
	hangs := func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
	for _, test := range []struct {
		name string
		want time.Duration
		kind Kind
		do   func(context.Context, *Client) error
	}{
		{"read", 3 * time.Second, Unreachable, func(x context.Context, c *Client) error { _, err := c.Version(x); return err }},
		{"poll", 2 * time.Second, Unreachable, func(x context.Context, c *Client) error { _, err := c.Task(x, testUPID); return err }},
		{"write", 5 * time.Second, MaybeCommitted, func(x context.Context, c *Client) error { _, err := c.Start(x, "pve1", 101); return err }},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, h := three(t, func(c *Config) {
				c.Timeout, c.ReadTimeout, c.PollTimeout = 5*time.Second, 3*time.Second, 2*time.Second
			})
			h.set(map[string]roundTrip{"a": hangs})
			begun := time.Now()
			err := test.do(t.Context(), c)
			if took := time.Since(begun); took != test.want || KindOf(err) != test.kind || !strings.Contains(err.Error(), "nothing came within "+test.want.String()) {
				t.Errorf("%s: after %s: %v", test.name, took, err)
			}
			if asked := h.since(); asked != "a" {
				t.Errorf("%s: asked %s", test.name, asked)
			}
			if _, err := c.Version(t.Context()); err != nil || h.since() != "b" {
				t.Errorf("%s: the endpoint that hangs is asked again: %v", test.name, err)
			}
			if c.Timeout() != 5*time.Second {
				t.Error(c.Timeout())
			}
		})
	}
}

// TestCallersEndIsNotTheEndpoints: a caller who gives up says nothing about the endpoint.
func TestCallersEndIsNotTheEndpoints(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, h := three(t)
	h.set(map[string]roundTrip{"a": func(r *http.Request) (*http.Response, error) {
		cancel()
		<-r.Context().Done()
		return nil, r.Context().Err()
	}})
	if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) || h.since() != "a" {
		t.Error(err)
	}
	h.set(nil)
	if _, err := c.Version(t.Context()); err != nil || h.since() != "a" {
		t.Error(err)
	}
}

// TestInFlightPerEndpoint: each endpoint has its own limit, and no request waits for one that it does not use.
func TestInFlightPerEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := three(t, func(c *Config) { c.MaxInFlight = 2 })
		release := make(chan struct{})
		var mu sync.Mutex
		now, most := map[string]int{}, map[string]int{}
		slow := func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			now[r.URL.Host]++
			most[r.URL.Host] = max(most[r.URL.Host], now[r.URL.Host])
			mu.Unlock()
			<-release
			mu.Lock()
			now[r.URL.Host]--
			mu.Unlock()
			return ok(`{"version":"9.2"}`), nil
		}
		h.set(map[string]roundTrip{"a": slow, "b": slow, "c": slow})
		var all sync.WaitGroup
		read := func() { _, _ = c.Version(t.Context()) }
		for range 5 {
			all.Go(read)
		}
		synctest.Wait()
		c.endpoints.left(c.endpoints.all[0])
		for range 5 {
			all.Go(read)
		}
		synctest.Wait()
		if now["a.test:8006"] != 2 || now["b.test:8006"] != 2 {
			t.Errorf("in flight %v", now)
		}
		close(release)
		all.Wait()
		if most["a.test:8006"] != 2 || most["b.test:8006"] != 2 {
			t.Errorf("at most %v", most)
		}
	})
}

// TestEndpointsOneByOne: a person wants to know of each, also of those not in use, with its certificate.
func TestEndpointsOneByOne(t *testing.T) {
	good, srv := overTLS(t, version)
	trusted := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = down.Close()
	good.RootCAs, good.Endpoints = trusted, []string{"https://" + down.Addr().String()}
	got := dial(t, good).Endpoints(t.Context())
	if len(got) != 2 || got[0].Err != nil || got[0].Version.Version != "9.2.11" || !got[0].Certificate.Equal(srv.Certificate()) || got[0].URL != srv.URL {
		t.Errorf("%+v", got)
	}
	if KindOf(got[1].Err) != Unreachable || Distrusted(got[1].Err) || got[1].Certificate != nil || strings.Contains(got[1].Err.Error(), "none of") {
		t.Errorf("%+v", got[1])
	}
}

// TestFailoverOverTLS: a closed port is passed over; a server with another certificate is not, whatever comes after.
func TestFailoverOverTLS(t *testing.T) {
	cfg, srv := overTLS(t, version)
	stranger, _ := raw(t, "")
	trusted := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = down.Close()
	cfg.RootCAs, cfg.Endpoints, cfg.URL = trusted, []string{srv.URL}, "https://"+down.Addr().String()
	if _, err := dial(t, cfg).Version(t.Context()); err != nil {
		t.Errorf("a closed port: %v", err)
	}
	cfg.URL = strings.Replace(stranger.URL, "http:", "https:", 1) // speaks no TLS
	if _, err := dial(t, cfg).Version(t.Context()); err != nil {
		t.Errorf("no TLS: %v", err)
	}
	cfg.URL, cfg.Endpoints = srv.URL, []string{"https://" + down.Addr().String()}
	cfg.RootCAs, cfg.Fingerprint = nil, strings.Repeat("00", 32)+", "+strings.Repeat("11", 32)
	_, err = dial(t, cfg).Version(t.Context())
	if KindOf(err) != Unreachable || !Distrusted(err) || !strings.Contains(err.Error(), "which is not pinned") || strings.Contains(err.Error(), "endpoints") {
		t.Errorf("another certificate: %v", err)
	}
}
