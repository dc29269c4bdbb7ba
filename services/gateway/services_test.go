package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestServiceIsShownWithoutItsSecrets(t *testing.T) {
	f := start(t)
	f.lifecycle()
	p := small()
	p.CloudInit = api.CloudInit{User: "ann", Password: "correct horse"}
	op := f.put("w1-1", p)
	f.admitted(op.ID)
	f.change("w1-1", park)
	s, err := f.client.GetService(t.Context(), "w1-1")
	if err != nil {
		t.Fatal(err)
	}
	if s.Ref != "w1-1" || s.Status != "creation" || s.Operation.ID != op.ID || s.Problem.Cause != "The pool is empty." || s.Operation.Status != api.StatusParked {
		t.Errorf("service: %+v", s)
	}
	if s.Package.CloudInit.User != "ann" || s.Package.CloudInit.Password != "" || s.Package.MemoryMiB != 2048 {
		t.Errorf("package: %+v", s.Package)
	}
	_, err = f.client.GetService(t.Context(), "w1-2")
	var problem *api.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusNotFound {
		t.Errorf("unknown ref: %v", err)
	}
}

func TestListGoesThroughAllVMs(t *testing.T) {
	f := start(t)
	var want []string
	for i := range 7 {
		ref := fmt.Sprintf("w1-%d", i)
		want = append(want, ref)
		if _, err := f.bus.Append(t.Context(), &vmlinev1.VM{Ref: ref, Status: vmlinev1.Status_STATUS_READY}, 0); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for cursor, more := "", true; more; more = cursor != "" {
		l, err := f.client.ListServices(t.Context(), 3, cursor)
		if err != nil || len(l.Items) > 3 {
			t.Fatalf("%d items, %v", len(l.Items), err)
		}
		for _, s := range l.Items {
			got = append(got, s.Ref)
		}
		cursor = l.NextCursor
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestEventsShowChangesAsTheyHappen(t *testing.T) {
	f := start(t)
	f.lifecycle()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan api.Event, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- f.client.EventsAfter(ctx, "w1-1", 0, func(e api.Event) error { got <- e; return nil })
	}()

	f.admitted(f.put("w1-2", small()).ID) // not asked for
	op := f.put("w1-1", small())
	f.admitted(op.ID)
	f.change("w1-1", finish)
	first, second := <-got, <-got
	if first.Service.Ref != "w1-1" || first.Service.Event != "admitted" || first.Service.Status != "creation" || first.Service.Package != nil {
		t.Errorf("first: %+v", first)
	}
	if second.Service.Status != "ready" || second.Service.Operation.Status != api.StatusSucceeded || second.Seq <= first.Seq {
		t.Errorf("second: %+v", second)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with: %v", err)
	}
}

func TestEventStreamEndsWithTheGateway(t *testing.T) {
	f := start(t)
	ended, got := make(chan error, 1), make(chan api.Event, 1)
	go func() {
		ended <- f.client.EventsAfter(context.Background(), "", 0, func(e api.Event) error { got <- e; return nil })
	}()
	if _, err := f.bus.Append(t.Context(), &vmlinev1.VM{Ref: "w1-1"}, 0); err != nil {
		t.Fatal(err)
	}
	<-got
	f.stop()
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ended with: %v", err)
	}
}

// TestNoSecretAnywhere plants a password and looks for it wherever an order leaves something.
func TestNoSecretAnywhere(t *testing.T) {
	const secret = "planted-correct-horse-battery"
	spans := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	f := start(t)
	answers := ""
	put := func(ref, body string) {
		_, text := f.call("PUT", "/v1/services/"+ref, strings.ReplaceAll(body, "SECRET", secret))
		answers += text
	}
	good := `{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"},"cloud_init":{"password":"SECRET"}}`
	put("w1-1", good)
	put("w1-1", good)
	put("w1-3", strings.Replace(good, "dc1", refusedCluster, 1))
	for _, body := range []string{
		`{"type":"change_password","params":{"password":"SECRET"}}`, `{"type":"change_password","params":{"password":["SECRET"]}}`,
		`{"type":"reinstall","params":{"password":"SECRET"}}`, `{"type":"SECRET"}`, `{"type":"create","package":` + good + `}`,
	} {
		for _, path := range []string{"actions", "validate"} {
			_, text := f.call("POST", "/v1/services/w1-4/"+path, strings.ReplaceAll(body, "SECRET", secret), "Idempotency-Key", "k")
			answers += text
		}
	}
	if n := len(f.commands()); n != 3 {
		t.Errorf("%d commands", n)
	}
	for _, bad := range []string{
		strings.Replace(good, `"cores":1`, `"cores":0`, 1), strings.Replace(good, "SECRET", `SECRET\n`, 1),
		strings.Replace(good, "SECRET", strings.Repeat("SECRET", 20), 1), strings.Replace(good, `"SECRET"`, `["SECRET"]`, 1),
		strings.Replace(good, `"cluster":"dc1",`, "", 1), strings.Replace(good, "password", "pasword", 1),
		good[:len(good)-3], `"SECRET"`, `{"password":"SECRET"}`,
	} {
		put("w1-2", bad)
	}
	f.call("PUT", "/v1/services/w1-1", strings.ReplaceAll(good, "SECRET", secret), "Authorization", "Bearer wrong")
	stored := f.messages(bus.StreamCMD) // a work queue: read before the commands are taken
	f.lifecycle()
	f.until("all commands are taken", func() bool { return len(f.messages(bus.StreamCMD)) == 0 })
	for _, path := range []string{"/v1/services/w1-1", "/v1/services", "/openapi.json"} {
		_, text := f.call("GET", path, "")
		answers += text
	}

	for _, name := range []string{bus.StreamVM, bus.StreamTICK, bus.StreamDLQ, "KV_" + bus.BucketREFUSAL, "KV_" + bus.BucketIPAM, "KV_" + bus.BucketVMID} {
		stored = append(stored, f.messages(name)...)
	}
	traced := ""
	for _, span := range spans.Ended() {
		traced += fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status())
	}
	if traced == "" || strings.Contains(traced, secret) {
		t.Errorf("a trace shows it, or there is none: %q", traced)
	}
	if !strings.Contains(f.redis.Dump(), "w1-1") || strings.Contains(f.redis.Dump(), secret) {
		t.Error("it stands in Redis, or nothing does")
	}
	if len(stored) < 4 {
		t.Errorf("only %d messages to look through", len(stored))
	}
	for _, m := range stored {
		if bytes.Contains(m.Data, []byte(secret)) || strings.Contains(fmt.Sprint(m.Header, m.Subject), secret) {
			t.Errorf("it stands in %s", m.Subject)
		}
	}
	if strings.Contains(answers, secret) {
		t.Errorf("an answer shows it: %s", answers)
	}
	if log := f.log.String(); strings.Contains(log, secret) || !strings.Contains(log, "order accepted") {
		t.Errorf("the log shows it, or there is none: %s", log)
	}
}

func TestListAndSearch(t *testing.T) {
	f := start(t)
	f.lifecycle()
	for _, ref := range []string{"w1-1", "w1-2", "w1-3"} {
		p := small()
		p.Name = "web" + ref[3:]
		f.admitted(f.put(ref, p).ID)
	}
	f.change("w1-2", park)
	found := func(filter api.ServiceFilter) string {
		t.Helper()
		l, err := f.client.FindServices(t.Context(), filter, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		var refs []string
		for _, s := range l.Items {
			refs = append(refs, s.Ref)
		}
		return strings.Join(refs, " ")
	}
	for want, filter := range map[string]api.ServiceFilter{
		"w1-2": {Parked: true}, "w1-3": {Name: "web3"}, "w1-1": {Query: "web1"}, "w1-1 w1-2 w1-3": {Status: "creation"}, "": {Drift: true},
	} {
		if got := found(filter); got != want {
			t.Errorf("%+v: %q, want %q", filter, got, want)
		}
	}
	resp, body := f.call("GET", "/v1/services?status=raedy", "")
	f.wantProblem(resp, body, 422, api.TypeValidation)
	if !strings.Contains(body, "ready") {
		t.Errorf("the statuses that there are are not named: %s", body)
	}
	resp, _ = f.call("GET", "/v1/services?limit=2&q=web", "")
	if got, want := resp.Header.Get("Link"), `</v1/services?cursor=w1-2&limit=2&q=web>; rel="next"`; got != want {
		t.Errorf("link %s", got)
	}
	f.redis.FlushAll()
	if got := found(api.ServiceFilter{Parked: true}); got != "w1-2" {
		t.Errorf("after Redis was emptied: %q", got)
	}
}

func TestOperationsAreListed(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	for _, key := range []string{"a", "b", "c"} {
		_, body := f.act("w1-1", `{"type":"reboot"}`, key)
		f.admitted(operationOf(t, body).ID)
		f.change("w1-1", finish)
	}
	f.admitted(f.put("w1-2", small()).ID)
	types := func(l api.OperationList, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, op := range l.Items {
			list = append(list, op.Type+" "+op.Status)
		}
		return strings.Join(list, ", ")
	}
	ctx := t.Context()
	first, err := f.client.ListOperations(ctx, "w1-1", "", "", 2, "")
	if got := types(first, err); got != "reboot succeeded, reboot succeeded" || first.NextCursor == "" {
		t.Errorf("first page: %s", got)
	}
	if got := types(f.client.ListOperations(ctx, "w1-1", "", "", 2, first.NextCursor)); got != "reboot succeeded, create succeeded" {
		t.Errorf("second page: %s", got)
	}
	if got := types(f.client.ListOperations(ctx, "w1-1", "", "create", 0, "")); got != "create succeeded" {
		t.Errorf("by type: %s", got)
	}
	if got := types(f.client.ListOperations(ctx, "", "", "", 0, "")); got != "reboot succeeded, create running" {
		t.Errorf("of every VM: %s", got)
	}
	if got := types(f.client.ListOperations(ctx, "", "running", "", 0, "")); got != "create running" {
		t.Errorf("of every VM, running: %s", got)
	}
	if got := types(f.client.ListOperations(ctx, "w1-9", "", "", 0, "")); got != "" {
		t.Errorf("of none: %s", got)
	}
}
