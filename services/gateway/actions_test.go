package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmline/vmline/pkg/api"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/idempotency"
)

// act sends a command under an idempotency key.
func (f *fixture) act(ref, body, key string, header ...string) (*http.Response, string) {
	f.Helper()
	return f.call("POST", "/v1/services/"+ref+"/actions", body, append(header, "Idempotency-Key", key)...)
}

// made has a VM that is ready.
func (f *fixture) made(ref string) {
	f.Helper()
	f.admitted(f.put(ref, small()).ID)
	f.change(ref, finish)
}

func operationOf(t testing.TB, body string) (op api.Operation) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &op); err != nil || op.ID == "" {
		t.Fatalf("no operation: %s", body)
	}
	return op
}

func TestActionsAreOneOperationForEachKey(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	const reboot = `{"type":"reboot"}`
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			_, body := f.act("w1-1", reboot, `"one"`)
			ids[i] = operationOf(t, body).ID
		})
	}
	all.Wait()
	first := ids[0]
	if len(slices.Compact(slices.Clone(ids))) != 1 {
		t.Errorf("different operations: %q", ids)
	}
	f.admitted(first)
	for _, step := range []struct {
		name   string
		before func()
		status int
	}{
		{"while it runs", func() {}, http.StatusAccepted},
		{"when it has ended", func() { f.change("w1-1", finish) }, http.StatusOK},
		{"when another has followed", func() {
			_, body := f.act("w1-1", `{"type":"stop"}`, "another")
			f.admitted(operationOf(t, body).ID)
			f.change("w1-1", finish)
		}, http.StatusOK},
		{"after the gateway was started anew", f.restart, http.StatusOK},
	} {
		step.before()
		resp, body := f.act("w1-1", reboot, "one") // without quotes it is the same key
		if op := operationOf(t, body); op.ID != first || resp.StatusCode != step.status || resp.Header.Get("Location") != "/v1/operations/"+first {
			t.Errorf("%s: %d %+v", step.name, resp.StatusCode, op)
		}
		resp, body = f.act("w1-1", `{"type":"reboot","params":{"timeout_seconds":5}}`, "one")
		f.wantProblem(resp, body, http.StatusUnprocessableEntity, idempotency.TypeReused)
	}
	if n := f.sent(); n != 3 {
		t.Errorf("%d commands were sent, want the creation, the reboot and the stop", n)
	}
	_, body := f.act("w1-1", `{"type":"start"}`, "one") // another type is another operation
	if op := operationOf(t, body); op.ID == first || op.Type != "start" {
		t.Errorf("another type: %+v", op)
	}
}

func TestActionsThatCannotBe(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	for _, tt := range []struct {
		name, ref, body, key string
		status               int
		typ, says            string
	}{
		{"no key", "w1-1", `{"type":"stop"}`, "", 400, idempotency.TypeMissing, ""},
		{"a bad key", "w1-1", `{"type":"stop"}`, `"a"b"`, 400, idempotency.TypeMalformed, ""},
		{"no such command", "w1-1", `{"type":"fly"}`, "k", 422, api.TypeValidation, "there is no such command"},
		{"no such VM", "w1-2", `{"type":"stop"}`, "k", 404, api.TypeNotFound, ""},
		{"not in this status", "w1-1", `{"type":"retry"}`, "k", 409, api.TypeConflict, "not allowed in status ready"},
		{"without its parameter", "w1-1", `{"type":"migrate"}`, "k", 409, api.TypeConflict, "needs the parameter node"},
		{"an unknown status", "w1-1", `{"type":"reset_status","params":{"status":"happy","reason":"x"}}`, "k", 422, api.TypeValidation, "no such status"},
		{"a package too much", "w1-1", `{"type":"stop","package":` + smallJSON + `}`, "k", 422, api.TypeValidation, "takes no package"},
		{"a package too little", "w1-1", `{"type":"change_package"}`, "k", 422, api.TypeValidation, "needs the whole package"},
		{"a bad package", "w1-1", `{"type":"change_package","package":{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"},"cloud_init":{"dns_servers":["x"]}}}`, "k", 422, api.TypeValidation, "body.package.cloud_init.dns_servers[0]"},
	} {
		resp, body := f.act(tt.ref, tt.body, tt.key)
		f.wantProblem(resp, body, tt.status, tt.typ)
		if !strings.Contains(body, tt.says) {
			t.Errorf("%s: %s", tt.name, body)
		}
	}
	if n := f.sent(); n != 1 {
		t.Errorf("%d commands were sent, want the creation alone", n)
	}
}

func TestPasswordsOfActionsAreSealedOnArrival(t *testing.T) {
	const secret = "planted-in-an-action"
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	_, body := f.act("w1-1", `{"type":"change-password","params":{"password":"`+secret+`"}}`, "k", "Vmline-Actor", "admin:3")
	op := operationOf(t, body)
	f.admitted(op.ID)
	last, err := f.bus.Last(t.Context(), "w1-1")
	if err != nil {
		t.Fatal(err)
	}
	if by := last.VM.GetOperation().GetRequestedBy(); by != "admin/admin:3" {
		t.Errorf("requested by %q", by)
	}
	sealed := last.VM.GetOperation().GetParams().GetSealedPassword()
	if password, err := f.opener.Open(sealed); err != nil || string(password) != secret {
		t.Errorf("sealed: %q, %v", password, err)
	}
	_, again := f.act("w1-1", `{"type":"change-password","params":{"password":"`+secret+`"}}`, "k")
	if operationOf(t, again).ID != op.ID {
		t.Error("sealed twice, it is taken for another password")
	}
	_, shown := f.call("GET", "/v1/services/w1-1", "")
	for what, text := range map[string]string{"answer": body + again, "service": shown, "log": f.log.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s shows the password", what)
		}
	}
	for _, m := range f.messages("VM") {
		if bytes.Contains(m.Data, []byte(secret)) {
			t.Error("the VM stream shows the password")
		}
	}
}

func TestPackageOfAReadyVMIsChanged(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	larger := small()
	larger.Cores = 8
	op := f.put("w1-1", larger)
	if op.Type != "change_package" || op.Status != api.StatusAccepted {
		t.Fatalf("%+v", op)
	}
	f.admitted(op.ID)
	if again := f.put("w1-1", larger); again.ID != op.ID {
		t.Errorf("repeated: %+v", again)
	}
	f.change("w1-1", finish)
	if again := f.put("w1-1", larger); again.ID != op.ID || again.Status != api.StatusSucceeded {
		t.Errorf("repeated at the end: %+v", again)
	}
}

func TestPreferWait(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	type answer struct {
		resp *http.Response
		body string
	}
	answers := make(chan answer, 1)
	go func() {
		resp, body := f.act("w1-1", `{"type":"stop"}`, "k", "Prefer", "respond-async, wait=20")
		answers <- answer{resp, body}
	}()
	f.until("the stop is admitted", func() bool {
		last, err := f.bus.Last(t.Context(), "w1-1")
		return err == nil && last.VM.GetOperation().GetKind() == vmlinev1.Operation_KIND_STOP
	})
	f.change("w1-1", finish)
	got := <-answers
	if op := operationOf(t, got.body); op.Status != api.StatusSucceeded || got.resp.StatusCode != http.StatusOK || got.resp.Header.Get("Preference-Applied") != "wait=20" {
		t.Errorf("%d %v %+v", got.resp.StatusCode, got.resp.Header, op)
	}
	for preference, applied := range map[string]string{"wait=soon": "", "": "", "respond-async": "", "wait=0": "", "WAIT=1;foo=bar": "wait=1"} {
		resp, body := f.act("w1-1", `{"type":"start"}`, "k"+preference, "Prefer", preference)
		if resp.Header.Get("Preference-Applied") != applied || resp.StatusCode != http.StatusAccepted {
			t.Errorf("%q: %d %q %s", preference, resp.StatusCode, resp.Header.Get("Preference-Applied"), body)
		}
	}
}

// TestReadAfterWrite has nobody who admits commands: what was accepted is seen all the same.
func TestReadAfterWrite(t *testing.T) {
	f := start(t)
	op := f.put("w1-1", small())
	s, err := f.client.GetService(t.Context(), "w1-1")
	if err != nil || s.Ref != "w1-1" || s.Operation.ID != op.ID || s.Operation.Status != api.StatusAccepted || len(s.Pending) != 1 {
		t.Errorf("service: %+v, %v", s, err)
	}
	got, err := f.client.GetOperation(t.Context(), op.ID, 0)
	if err != nil || got.Status != api.StatusAccepted || got.RequestedBy != "admin" {
		t.Errorf("operation: %+v, %v", got, err)
	}
}

func TestServiceSaysWhatCanBeDone(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	s, err := f.client.GetService(t.Context(), "w1-1")
	if err != nil {
		t.Fatal(err)
	}
	offers := map[string]api.Offer{}
	for _, o := range s.Actions {
		offers[o.Type] = o
		if o.Allowed != slices.Contains(s.Possible, o.Type) || o.Allowed == (o.Reason != "") {
			t.Errorf("%+v, possible %q", o, s.Possible)
		}
	}
	if !offers["stop"].Allowed || offers["unsuspend"].Allowed || offers["set_cpu_ram"].Mark != "**" {
		t.Errorf("offers: %+v", offers)
	}
	table, err := f.client.Commands(t.Context())
	if err != nil || len(table) != len(offers) || table[0].Type != "create" || !table[0].Package {
		t.Errorf("table: %+v, %v", table, err)
	}
}
