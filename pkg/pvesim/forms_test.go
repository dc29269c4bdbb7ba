package pvesim

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestForms: the parameters that Proxmox VE reads from a form.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		form  string
		want  params
		kinds map[string]string
	}{
		{"a=1&b=x%20y+z", params{"a": "1", "b": "x y z"}, nil},
		{"net0=virtio%2Cbridge%3Dvmbr0;cores=2", params{"net0": "virtio,bridge=vmbr0", "cores": "2"}, nil},
		{"net0=model=virtio,bridge=vmbr0", params{"net0": "model"}, nil}, // what is not encoded ends early
		{"rate=100%&x=%zz%4", params{"rate": "100%", "x": "%zz%4"}, nil},
		{"delete=a&delete=b", params{"delete": "a\x00b"}, nil},
		{"pool=&full&_dc=5", params{"pool": "", "full": ""}, map[string]string{"pool": undefined, "full": undefined}},
		{"pool=&pool=p1", params{"pool": "p1"}, nil},
	} {
		sent := sentParams{params{}, map[string]string{}}
		addForm(sent, c.form)
		if len(sent.values) != len(c.want) || len(sent.kinds) != len(c.kinds) {
			t.Errorf("%s: %q %v", c.form, sent.values, sent.kinds)
		}
		for k, v := range c.want {
			if sent.values[k] != v || sent.kinds[k] != c.kinds[k] {
				t.Errorf("%s: %q %v", c.form, sent.values, sent.kinds)
			}
		}
	}
}

// TestEmptyParameters: what a form sends without a value is not there, so formats do not refuse it, but a
// text may be empty and what must be there is missed.
func TestEmptyParameters(t *testing.T) {
	s := newSim(t)
	s.ends("POST", clonePath, "newid=101&full=1&pool=&storage=&name=one", "OK")
	if got := s.do("POST", clonePath, "newid="); !strings.Contains(string(got.body), `"newid":"property is missing and it is not optional"`) {
		t.Errorf("%s", got.body)
	}
	if got := s.do("POST", clonePath, "newid=102&nosuch="); !strings.Contains(string(got.body), `"nosuch":"`+undefinedProperty) {
		t.Errorf("%s", got.body)
	}
	s.data("POST", "/pools", "poolid=p1&comment=")
	s.data("PUT", "/nodes/pve1/qemu/101/config", "cipassword=")
	if got := s.json("PUT", "/nodes/pve1/qemu/101/config", `{"delete":["cipassword","ostype"]}`); got.code != 200 || s.conf(101, "ostype") != nil {
		t.Errorf("%d %s, ostype %v", got.code, got.reason, s.conf(101, "ostype"))
	}
}

// TestTickets: a ticket comes back in a cookie, encoded or not, or where a token would; and it is as good
// as the password for a new one.
func TestTickets(t *testing.T) {
	s := newSim(t, func(cfg *Config) { cfg.Passwords = map[string]string{"root@pam": "hello+hello"} })
	got := s.data("POST", "/access/ticket", "username=root&realm=pam&password=hello+hello").(map[string]any)
	ticket, csrf := got["ticket"].(string), got["CSRFPreventionToken"].(string)
	if got["clustername"] != clusterName || !strings.ContainsAny(ticket, "+/") {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		header, value, method, csrf string
		reason                      string
	}{
		{"Cookie", "PVEAuthCookie=" + ticket, "GET", "", "200 OK"},
		{"Cookie", "lang=en; PVEAuthCookie=" + url.QueryEscape(ticket) + "; theme=dark", "GET", "", "200 OK"},
		{"Authorization", "PVEAuthCookie=" + ticket, "GET", "", "200 OK"},
		{"Cookie", "OtherPVEAuthCookie=" + ticket, "GET", "", "401 No ticket"},
		{"Cookie", "PVEAuthCookie=" + ticket, "POST", "", "401 Permission denied - invalid csrf token"},
		{"Cookie", "PVEAuthCookie=" + ticket, "POST", csrf, "400 Parameter verification failed."},
		{"Authorization", "Basic cm9vdDp4", "GET", "", "401 No ticket"},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), c.method, "http://sim/api2/json/pools", http.NoBody)
		r.Header.Set(c.header, c.value)
		r.Header.Set("Csrfpreventiontoken", c.csrf)
		if resp, err := s.RoundTrip(r); err != nil || resp.Status != c.reason {
			t.Errorf("%s %s: %v %v", c.method, c.value, resp, err)
		}
	}
	s.data("POST", "/access/ticket", "username=root@pam&password="+ticket)
	s.refused("POST", "/access/ticket", "username=root@pam&password="+ticket[:20], 401, "authentication failure")
}
