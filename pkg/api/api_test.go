package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// fill sets every field of a struct to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint32:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(0.5)
	}
}

func TestPackageLosesNothingButItsPassword(t *testing.T) {
	var p Package
	fill(reflect.ValueOf(&p).Elem())
	p.CloneType, p.Readiness = "full", "agent"
	sent := p.ToProto([]byte("sealed"))
	if string(sent.GetCloudInit().GetSealedPassword()) != "sealed" {
		t.Error("the sealed password is lost")
	}
	got := FromPackage(sent)
	if got.CloudInit.Password != "" {
		t.Error("a password came back")
	}
	got.CloudInit.Password = p.CloudInit.Password
	if !reflect.DeepEqual(*got, p) {
		t.Errorf("got  %+v\nwant %+v", *got, p)
	}
}

// TestEveryFieldOfTheContractIsMapped fails when the contract gets a field that ToProto forgets.
func TestEveryFieldOfTheContractIsMapped(t *testing.T) {
	var p Package
	fill(reflect.ValueOf(&p).Elem())
	p.CloneType, p.Readiness = "linked", "running"
	m := p.ToProto([]byte("sealed"))
	for _, part := range []proto.Message{m, m.SystemDisk, m.AdditionalDisk, m.Network, m.Firewall, m.Firewall.Rules[0], m.CloudInit, m.Dns} {
		fields := part.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if !part.ProtoReflect().Has(fields.Get(i)) {
				t.Errorf("%s is not set", fields.Get(i).FullName())
			}
		}
	}
}

func TestFromVM(t *testing.T) {
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	stamp := func(s int) *timestamppb.Timestamp { return timestamppb.New(at.Add(time.Duration(s) * time.Second)) }
	vm := &vmlinev1.VM{
		Ref: "w1-1", Uid: "u", Status: vmlinev1.Status_STATUS_SET_IP, Event: vmlinev1.Event_EVENT_RETRYING, UpdatedAt: stamp(9),
		Cluster: "dc1", Node: "pve1", Vmid: 101, Mac: "BC:24:11:00:00:01", RemoteStatus: vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED, RemoteLock: "clone",
		Addresses: []*vmlinev1.Address{{Pool: "p", Address: "192.0.2.1", PrefixLength: 24, Gateway: "192.0.2.254"}},
		Operation: &vmlinev1.Operation{
			Id: "w1-1.x", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING, CreatedAt: stamp(0), RequestedBy: "api",
			Route:   []vmlinev1.Status{vmlinev1.Status_STATUS_CREATION, vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_CLONE, vmlinev1.Status_STATUS_MIGRATED},
			Reached: []*vmlinev1.Reached{{Status: vmlinev1.Status_STATUS_CREATION, At: stamp(1)}, {Status: vmlinev1.Status_STATUS_SET_IP, At: stamp(2)}},
		},
		Retry:   &vmlinev1.Retry{Attempts: 3, NotBefore: stamp(20), FirstFailedAt: stamp(5)},
		Problem: &vmlinev1.Problem{Step: vmlinev1.Status_STATUS_CLONE, Cause: "c", Kept: "k", Next: "n", Since: stamp(5)},
	}
	trouble := &StepProblem{Step: "clone", Cause: "c", Kept: "k", Next: "n", Since: at.Add(5 * time.Second)}
	want := Service{
		Ref: "w1-1", UID: "u", Status: "set_ip", Event: "retrying", UpdatedAt: at.Add(9 * time.Second),
		Cluster: "dc1", Node: "pve1", VMID: 101, MAC: "BC:24:11:00:00:01", RemoteStatus: "stopped", RemoteLock: "clone",
		Addresses: []Address{{Pool: "p", Address: "192.0.2.1", PrefixLength: 24, Gateway: "192.0.2.254"}},
		Retry:     &Retry{Attempts: 3, NotBefore: at.Add(20 * time.Second), FirstFailedAt: at.Add(5 * time.Second)}, Problem: trouble,
		Possible: []string{"suspend", "unsuspend", "terminate", "cancel"},
		Operation: Operation{
			ID: "w1-1.x", ServiceRef: "w1-1", Type: "create", Status: StatusRunning, CreatedAt: at, RequestedBy: "api", Error: trouble,
			Steps: []Step{
				{Name: "creation", Status: StatusSucceeded, Owner: "lifecycle", StartedAt: at, FinishedAt: at.Add(time.Second)},
				{Name: "set_ip", Status: StatusSucceeded, Owner: "ipam", StartedAt: at.Add(time.Second), FinishedAt: at.Add(2 * time.Second)},
				{Name: "clone", Status: StatusRunning, Owner: "provisioner", StartedAt: at.Add(2 * time.Second)},
				{Name: "migrated", Status: StepPending, Owner: "provisioner"},
			},
		},
	}
	if got := FromVM(vm); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if e := EventOf(vm, 7); e.Seq != 7 || e.Service.Ref != "w1-1" {
		t.Errorf("event: %+v", e)
	}
	ended := InterruptedAt(vm, at.Add(time.Minute))
	if ended.Status != StatusInterrupted || ended.FinishedAt != at.Add(time.Minute) || ended.Steps[2].Status != StatusInterrupted || ended.Steps[3].Status != StepSkipped {
		t.Errorf("interrupted: %+v", ended)
	}
	vm.Operation.State, vm.Operation.FinishedAt = vmlinev1.Operation_STATE_SUCCEEDED, stamp(3)
	if o := InterruptedAt(vm, at.Add(time.Minute)); o.Status != StatusSucceeded || o.FinishedAt != at.Add(3*time.Second) {
		t.Errorf("an operation that had ended before: %+v", o)
	}
}

func TestClientCalls(t *testing.T) {
	type request struct{ method, uri, body string }
	var got request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.Method, r.RequestURI, string(body)}
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s without the token", r.RequestURI)
		}
		_, _ = w.Write([]byte(`{"id":"x","ref":"x","items":[{"ref":"x"}]}`))
	})
	ctx := t.Context()
	for _, tt := range []struct {
		call func() (string, error)
		want request
	}{
		{func() (string, error) {
			o, err := c.PutService(ctx, "w1-1", Package{Cluster: "dc1", Network: Network{Bridge: "vmbr0"}})
			return o.ID, err
		},
			request{"PUT", "/v1/services/w1-1", `{"cluster":"dc1","template":"","cores":0,"memory_mib":0,"network":{"bridge":"vmbr0"}}`}},
		{func() (string, error) { o, err := c.DeleteService(ctx, "w1-1"); return o.ID, err }, request{"DELETE", "/v1/services/w1-1", ""}},
		{func() (string, error) { s, err := c.GetService(ctx, "a/b"); return s.Ref, err }, request{"GET", "/v1/services/a%2Fb", ""}},
		{func() (string, error) { l, err := c.ListServices(ctx, 3, "w1-1"); return l.Items[0].Ref, err }, request{"GET", "/v1/services?cursor=w1-1&limit=3", ""}},
		{func() (string, error) { o, err := c.GetOperation(ctx, "w1-1.x", 0); return o.ID, err }, request{"GET", "/v1/operations/w1-1.x", ""}},
		{func() (string, error) { o, err := c.GetOperation(ctx, "w1-1.x", time.Minute); return o.ID, err }, request{"GET", "/v1/operations/w1-1.x?wait=25", ""}},
	} {
		if id, err := tt.call(); err != nil || id != "x" || got != tt.want {
			t.Errorf("got %q %v, %+v\nwant %+v", id, err, got, tt.want)
		}
	}
}

func TestClientErrors(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       Problem
		text       string
	}{
		{"a problem", `{"type":"urn:x","title":"Conflict","detail":"d","next":"n","errors":[{"location":"l","message":"m"}]}`,
			Problem{Type: "urn:x", Title: "Conflict", Status: 409, Detail: "d", Next: "n", Errors: []FieldError{{"l", "m"}}}, "d\n  l: m\n  n"},
		{"a proxy's page", "<html>", Problem{Type: "about:blank", Title: "409 Conflict", Status: 409}, "409 Conflict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusConflict)
				_, _ = w.Write([]byte(tt.body))
			})
			_, err := c.GetService(t.Context(), "w1-1")
			var p *Problem
			if !errors.As(err, &p) || !reflect.DeepEqual(*p, tt.want) || err.Error() != tt.text {
				t.Errorf("got %q %+v", err, p)
			}
		})
	}
}

func TestClientWithoutGateway(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{")) })
	if _, err := c.GetService(t.Context(), "w1-1"); err == nil {
		t.Error("half an answer passed")
	}
	c.BaseURL = "http://127.0.0.1:1"
	var p *Problem
	if _, err := c.GetService(t.Context(), "w1-1"); err == nil || errors.As(err, &p) {
		t.Errorf("got %v", err)
	}
}

func TestEvents(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/v1/events?service_ref=w1-1" || r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("%s, Accept %s", r.RequestURI, r.Header.Get("Accept"))
		}
		for i, ref := range []string{"w1-1", "w1-2"} {
			data, _ := json.Marshal(Event{Seq: uint64(i + 1), Service: Service{Ref: ref, Addresses: []Address{}}})
			_, _ = w.Write([]byte(": alive\n\nid: 1\nevent: reached\ndata: " + string(data) + "\n\n"))
		}
	})
	var refs []string
	err := c.Events(t.Context(), "w1-1", func(e Event) error { refs = append(refs, e.Service.Ref); return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Join(refs, " ") != "w1-1 w1-2" {
		t.Errorf("%q, %v", refs, err)
	}
	enough := errors.New("enough")
	if err := c.Events(t.Context(), "w1-1", func(Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("fn's error: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Events(ctx, "w1-1", func(Event) error { cancel(); return nil }); err != nil {
		t.Errorf("after ctx has ended: %v", err)
	}
}

func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{BaseURL: s.URL + "/", Token: "secret", HTTP: s.Client()}
}
