package pve

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; look at the difference, then run with -update. Got:\n%s", path, got)
	}
}

// TestRequests shows every request as it goes out.
func TestRequests(t *testing.T) {
	var out strings.Builder
	for _, call := range calls {
		rec := &recorder{data: call.due}
		if err := call.do(t.Context(), newTest(t, rec.RoundTrip)); err != nil {
			t.Errorf("%s: %v", call.name, err)
			continue
		}
		for _, r := range rec.got {
			if strings.Contains(r.path+r.query+r.body, testSecret) {
				t.Errorf("%s carries the token outside its header", call.name)
			}
			fmt.Fprintf(&out, "%-20s %s %s", call.name, r.method, r.path)
			if r.query != "" {
				fmt.Fprintf(&out, " ?%s", r.query)
			}
			if r.body != "" {
				fmt.Fprintf(&out, " %s", r.body)
			}
			out.WriteString("\n")
			if r.method == http.MethodDelete && r.body != "" {
				t.Errorf("%s: a DELETE with a body is 501 Unexpected content", call.name)
			}
		}
	}
	golden(t, "requests.golden", out.String())
}

// TestTokenHeader checks the one place where the secret belongs.
func TestTokenHeader(t *testing.T) {
	var got string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		got = r.Header.Get("Authorization")
		return ok(`{"version":"9.2"}`), nil
	})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "PVEAPIToken=" + testToken + "=" + testSecret; got != want {
		t.Errorf("Authorization %q, want %q", got, want)
	}
}

func TestEmptyChangesCallNothing(t *testing.T) {
	rec := &recorder{data: "null"}
	c := newTest(t, rec.RoundTrip)
	if u, err := c.SetVMConfig(t.Context(), "pve1", 101, Change{Digest: "ab"}); u != "" || err != nil {
		t.Errorf("SetVMConfig: %q, %v", u, err)
	}
	if err := c.SetFirewallOptions(t.Context(), "pve1", 101, nil); err != nil {
		t.Error(err)
	}
	if len(rec.got) != 0 {
		t.Errorf("called %v", rec.got)
	}
}

// TestSetVMConfigKeepsTheCallersMap: a change may be sent twice.
func TestSetVMConfigKeepsTheCallersMap(t *testing.T) {
	rec := &recorder{data: "null"}
	ch := Change{Set: map[string]string{"cores": "2"}, Delete: []string{"b", "a"}, Digest: "ab"}
	if _, err := newTest(t, rec.RoundTrip).SetVMConfig(t.Context(), "pve1", 101, ch); err != nil {
		t.Fatal(err)
	}
	if len(ch.Set) != 1 || ch.Delete[0] != "b" {
		t.Errorf("changed by the call: %v", ch)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(rec.got[0].body), &body); err != nil {
		t.Fatal(err)
	}
	if body["delete"] != "a,b" || body["digest"] != "ab" || body["background_delay"] != "5" {
		t.Errorf("body %v", body)
	}
}

// TestNamesThatLeadElsewhere: a name must never change which path is called.
func TestNamesThatLeadElsewhere(t *testing.T) {
	rec := &recorder{data: "[]"}
	c := newTest(t, rec.RoundTrip)
	for _, node := range []string{"", ".", ".."} {
		if _, err := c.Snapshots(t.Context(), node, 101); KindOf(err) != Refused {
			t.Errorf("node %q: %v", node, err)
		}
	}
	if _, err := c.IPSet(t.Context(), "pve1", 101, "../../x?y#z"); err != nil {
		t.Fatal(err)
	}
	if want := "/nodes/pve1/qemu/101/firewall/ipset/..%2F..%2Fx%3Fy%23z"; len(rec.got) != 1 || rec.got[0].path != want {
		t.Errorf("called %v, want only %s", rec.got, want)
	}
}

// TestTasksAreDue: a call that must start a task, and did not say which, has not succeeded.
func TestTasksAreDue(t *testing.T) {
	for _, call := range calls {
		if !strings.Contains(call.due, "UPID") || call.name == "Resize" {
			continue
		}
		for _, data := range []string{`null`, `""`, `"OK"`, `17`, `"UPID:pve1:zz"`} {
			rec := &recorder{data: data}
			err := call.do(t.Context(), newTest(t, rec.RoundTrip))
			if KindOf(err) != MaybeCommitted {
				t.Errorf("%s answered with %s: %v", call.name, data, err)
			}
		}
	}
}

func TestCloneWithoutTemplateIsRefused(t *testing.T) {
	c := newTest(t, func(*http.Request) (*http.Response, error) {
		return said(500, "unable to find configuration file for VM 9000 on node 'pve1'"), nil
	})
	_, err := c.Clone(t.Context(), "pve1", 9000, CloneOptions{NewID: 101})
	if KindOf(err) != Refused {
		t.Errorf("%v; Gone would be taken for the new VM", err)
	}
}

func TestVMIDFree(t *testing.T) {
	for _, test := range []struct {
		name string
		res  *http.Response
		free bool
		kind Kind
	}{
		{"free", ok(`"101"`), true, ""},
		{"used", param("vmid", "VM 101 already exists"), false, ""},
		{"another answer", ok(`"102"`), false, Unreachable},
		{"not a VMID", param("vmid", "invalid format - value does not look like a valid VM ID\n"), false, Refused},
		{"node down", answer(595, "No route to host", ""), false, Unreachable},
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return test.res, nil })
		free, err := c.VMIDFree(t.Context(), 101)
		if free != test.free || KindOf(err) != test.kind || (test.kind == "") != (err == nil) {
			t.Errorf("%s: %v, %v", test.name, free, err)
		}
	}
}
