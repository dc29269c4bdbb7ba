package pve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const testPassword = "hunter2 & co"

// realm gives out tickets and checks them, as Proxmox does.
type realm struct {
	mu      sync.Mutex
	logins  int
	refused int
	down    bool
	valid   string // the ticket that is taken
	bodies  []string
}

func (r *realm) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasSuffix(req.URL.Path, "/access/ticket") {
		return r.login(req)
	}
	r.bodies = append(r.bodies, req.Method+" "+readAll(req))
	csrf := req.Header.Get("CSRFPreventionToken")
	switch {
	case req.Header.Get("Authorization") != "" || req.Header.Get("Cookie") != "PVEAuthCookie="+r.valid:
		r.refused++
		return answer(401, "permission denied - invalid PVE ticket", ""), nil
	case req.Method != http.MethodGet && csrf != "csrf"+r.valid[len(r.valid)-1:]:
		return answer(401, "Permission denied - invalid csrf token", ""), nil
	case req.Method == http.MethodGet && csrf != "":
		return said(500, "a read has no CSRF token"), nil
	case req.Method == http.MethodGet:
		return ok(`{"version":"9.2"}`), nil
	}
	return ok(`"` + string(testUPID) + `"`), nil
}

func (r *realm) login(req *http.Request) (*http.Response, error) {
	r.logins++
	form, _ := url.ParseQuery(readAll(req))
	switch {
	case r.down:
		return nil, errLost
	case form.Get("username") != "vmline@pve" || form.Get("password") != testPassword:
		return said(401, "authentication failure"), nil
	}
	r.valid = fmt.Sprintf("PVE:vmline@pve:6B04CFD1::aB+/=%d", r.logins)
	return ok(fmt.Sprintf(`{"ticket":%q,"CSRFPreventionToken":"csrf%d","username":"vmline@pve"}`, r.valid, r.logins)), nil
}

func readAll(req *http.Request) string {
	if req.Body == nil {
		return ""
	}
	defer req.Body.Close()
	b, _ := io.ReadAll(req.Body)
	return string(b)
}

func withPassword(password string) func(*Config) {
	return func(c *Config) { c.TokenID, c.TokenSecret, c.User, c.Password = "", "", "vmline@pve", password }
}

// TestTicket: one login before the first call, none for the next, one after an hour, and no 401 on the way.
func TestTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &realm{}
		c := newTest(t, r.RoundTrip, withPassword(testPassword))
		for hour := range 4 {
			if _, err := c.Version(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Start(t.Context(), "pve1", 101); err != nil {
				t.Fatal(err)
			}
			if r.logins != hour+1 || r.refused != 0 {
				t.Errorf("hour %d: %d logins, %d refused", hour, r.logins, r.refused)
			}
			<-time.After(ticketRenewed)
		}
	})
}

// TestTicketForManyAtOnce: all calls that come together share one login.
func TestTicketForManyAtOnce(t *testing.T) {
	r := &realm{}
	c := newTest(t, r.RoundTrip, withPassword(testPassword))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Version(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if r.logins != 1 || r.refused != 0 {
		t.Errorf("%d logins, %d refused", r.logins, r.refused)
	}
}

// TestTicketRejected: one new login, and the same request once more with its body, a write too: 401 did nothing.
func TestTicketRejected(t *testing.T) {
	r := &realm{}
	c := newTest(t, r.RoundTrip, withPassword(testPassword))
	change := func() error {
		_, err := c.SetVMConfig(t.Context(), "pve1", 101, Change{Set: map[string]string{"cores": "2"}})
		return err
	}
	if err := change(); err != nil {
		t.Fatal(err)
	}
	r.valid = "PVE:another" // the server got new keys
	if err := change(); err != nil || r.logins != 2 || r.refused != 1 {
		t.Errorf("%d logins, %d refused: %v", r.logins, r.refused, err)
	}
	if n := len(r.bodies); n != 3 || r.bodies[2] != r.bodies[1] || !strings.Contains(r.bodies[2], "cores") {
		t.Errorf("sent %q", r.bodies)
	}
}

// TestTicketRejectedAgain: not for ever.
func TestTicketRejectedAgain(t *testing.T) {
	r := &realm{}
	c := newTest(t, func(req *http.Request) (*http.Response, error) {
		res, err := r.RoundTrip(req)
		r.valid = "PVE:none"
		return res, err
	}, withPassword(testPassword))
	if _, err := c.Version(t.Context()); KindOf(err) != NoPermission || r.logins != 2 {
		t.Errorf("%d logins: %v", r.logins, err)
	}
}

// TestTicketRenewalFails: the old ticket is good for another hour, and the renewal is tried once a minute.
func TestTicketRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &realm{}
		c := newTest(t, r.RoundTrip, withPassword(testPassword))
		version := func() error { _, err := c.Version(t.Context()); return err }
		if err := version(); err != nil {
			t.Fatal(err)
		}
		<-time.After(ticketRenewed)
		r.down = true
		if err := errors.Join(version(), version(), version()); err != nil || r.logins != 2 {
			t.Errorf("%d logins: %v", r.logins, err)
		}
		<-time.After(renewAgain)
		if err := version(); err != nil || r.logins != 3 {
			t.Errorf("%d logins: %v", r.logins, err)
		}
		<-time.After(ticketLife)
		if err := version(); KindOf(err) != Unreachable {
			t.Errorf("a ticket that has run out: %v", err)
		}
		r.down = false
		if err := version(); err != nil {
			t.Error(err)
		}
	})
}

// TestNotLoggedIn: what was not sent was not done, and the password is in no error.
func TestNotLoggedIn(t *testing.T) {
	secret := "PVE:vmline@pve:6B04CFD1::signature"
	for _, test := range []struct {
		name  string
		login roundTrip
		kind  Kind
		text  string
	}{
		{"wrong password", always(401, "authentication failure "+testPassword, ""), NoPermission, "login of vmline@pve: authentication failure ***"},
		{"lost", fails(fmt.Errorf("lost %s", testPassword)), Unreachable, "no answer: lost ***"},
		{"no connection", fails(errDial), Unreachable, "connection refused"},
		{"595", always(595, "Connection refused", ""), Unreachable, "Connection refused"},
		{"no ticket", always(200, "OK", `{"data":{"username":"vmline@pve"}}`), Unreachable, "this is no ticket"},
		{"a ticket that breaks the header", always(200, "OK", `{"data":{"ticket":"PVE:a\r\nX: y","CSRFPreventionToken":"c"}}`), Unreachable, "this is no ticket"},
		{"second factor", always(200, "OK", `{"data":{"ticket":"PVE:!tfa!x","CSRFPreventionToken":"c","NeedTFA":1}}`), Refused, "second factor"},
		{"the ticket in an error", fails(errors.New("Cookie: PVEAuthCookie=" + secret + " and " + secret)), Unreachable, "PVEAuthCookie=*** and PVE:vmline@pve:***"},
	} {
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/access/ticket") {
				t.Errorf("%s: %s was sent without a ticket", test.name, r.URL.Path)
			}
			return test.login(r)
		}, withPassword(testPassword))
		for _, call := range calls[:5] {
			err := call.do(t.Context(), c)
			if KindOf(err) != test.kind || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s, %s: %v", test.name, call.name, err)
			}
			if s := fmt.Sprintf("%v %+v", err, err); strings.Contains(s, testPassword) || strings.Contains(s, "signature") {
				t.Errorf("%s: a secret is in %s", test.name, s)
			}
		}
	}
}

// TestLoginFailsOver: a login that is lost on one endpoint is made on the next, also for a write.
func TestLoginFailsOver(t *testing.T) {
	r, asked := &realm{}, ""
	c := newTest(t, func(req *http.Request) (*http.Response, error) {
		asked += req.URL.Host[:1]
		if req.URL.Host == "a.test:8006" {
			return nil, errLost
		}
		return r.RoundTrip(req)
	}, withPassword(testPassword), func(c *Config) { c.URL, c.Endpoints = "https://a.test:8006", []string{"https://b.test:8006"} })
	if _, err := c.Start(t.Context(), "pve1", 101); err != nil || asked != "abb" {
		t.Errorf("asked %s: %v", asked, err)
	}
}

// TestLoginWaitsNoLongerThanItsCaller: while another logs in.
func TestLoginWaitsNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
			withPassword(testPassword))
		go func() { _, _ = c.Version(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Start(ctx, "pve1", 101)
		if !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != Transient {
			t.Error(err)
		}
		<-time.After(time.Hour)
	})
}
