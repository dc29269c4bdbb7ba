package gateway

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestWaitReturnsWhenTheOperationEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*vmlinev1.VM)
		status string
	}{
		"ended":  {finish, api.StatusSucceeded},
		"parked": {park, api.StatusParked},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			op := f.put("w1-1", small())
			waited := make(chan api.Operation, 1)
			go func() {
				got, err := f.client.GetOperation(context.Background(), op.ID, maxWait)
				if err != nil {
					t.Error(err)
				}
				waited <- got
			}()
			// The command is admitted only while the client waits, and a running operation is no end.
			f.lifecycle()
			f.admitted(op.ID)
			f.change("w1-1", func(vm *vmlinev1.VM) { vm.Event = vmlinev1.Event_EVENT_RECORDED })
			began := time.Now()
			f.change("w1-1", tt.change)
			got := <-waited
			if got.Status != tt.status || got.ID != op.ID {
				t.Errorf("got %+v", got)
			}
			if took := time.Since(began); took > maxWait/2 {
				t.Errorf("the end was noticed after %s", took)
			}
		})
	}
}

func TestWaitEndsWithoutAnEnd(t *testing.T) {
	f := start(t)
	op := f.put("w1-1", small())
	got, err := f.client.GetOperation(t.Context(), op.ID, time.Second)
	if err != nil || got.Status != api.StatusAccepted || got.Type != "create" || got.ID != op.ID {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWaitEndsWithTheGateway(t *testing.T) {
	f := start(t)
	op := f.put("w1-1", small())
	waited, before := make(chan error, 1), f.conn.NumSubscriptions()
	go func() {
		_, err := f.client.GetOperation(context.Background(), op.ID, maxWait)
		waited <- err
	}()
	f.until("the gateway watches", func() bool { return f.conn.NumSubscriptions() > before })
	f.stop()
	if err := <-waited; err != nil {
		t.Errorf("a request in hand was cut: %v", err)
	}
}

func TestOperationOfEveryAge(t *testing.T) {
	f := start(t)
	f.lifecycle()
	create := f.put("w1-1", small())
	f.admitted(create.ID)
	f.change("w1-1", park)
	again := f.put("w1-1", small())
	f.admitted(again.ID)
	terminate, err := f.client.DeleteService(t.Context(), "w1-1")
	if err != nil {
		t.Fatal(err)
	}
	f.admitted(terminate.ID)
	f.change("w1-1", finish)

	for _, tt := range []struct{ name, id, status, lastStep string }{
		{"parked, then repeated", create.ID, api.StatusInterrupted, api.StepSkipped},
		{"running, then terminated", again.ID, api.StatusInterrupted, api.StepSkipped},
		{"the last", terminate.ID, api.StatusSucceeded, api.StatusSucceeded},
	} {
		op, err := f.client.GetOperation(t.Context(), tt.id, 0)
		if err != nil || op.ID != tt.id || op.Status != tt.status || op.FinishedAt.IsZero() {
			t.Errorf("%s: %+v, %v", tt.name, op, err)
			continue
		}
		if op.Steps[0].Status != api.StatusSucceeded || op.Steps[0].FinishedAt.IsZero() || op.Steps[len(op.Steps)-1].Status != tt.lastStep {
			t.Errorf("%s: steps %+v", tt.name, op.Steps)
		}
	}
}

func TestUnknownOperation(t *testing.T) {
	f := start(t)
	f.lifecycle()
	op := f.put("w1-1", small())
	f.admitted(op.ID)
	for _, id := range []string{"w1-1.0", "w1-2.0", "w1-1.000000000000000000000000", "w1-2" + op.ID[len("w1-1"):]} {
		began := time.Now()
		_, err := f.client.GetOperation(t.Context(), id, maxWait)
		var p *api.Problem
		if !errors.As(err, &p) || p.Status != http.StatusNotFound || p.Type != api.TypeNotFound {
			t.Errorf("%s: %v", id, err)
		}
		if time.Since(began) > maxWait/2 {
			t.Errorf("%s: waited for what can never come", id)
		}
	}
}

// TestJoinedOperations: who was second to ask for the same is shown the operation that does it, and under the
// same key as well.
func TestJoinedOperations(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	resp, body := f.act("w1-1", `{"type":"stop"}`, "first")
	first := operationOf(t, body)
	f.admitted(first.ID)
	bucket, err := f.bus.Bucket(t.Context(), bus.BucketREFUSAL)
	if err != nil {
		t.Fatal(err)
	}
	const second = "w1-1.second00000000000000000"
	if err := bucket.Create(t.Context(), second, &vmlinev1.Refusal{OperationId: second, Ref: "w1-1", Joined: first.ID}); err != nil {
		t.Fatal(err)
	}
	if op, err := f.client.GetOperation(t.Context(), second, 0); err != nil || op.ID != first.ID || op.Status != api.StatusRunning {
		t.Errorf("%+v, %v; want the first, after %d", op, err, resp.StatusCode)
	}
	f.change("w1-1", func(vm *vmlinev1.VM) {
		vm.Queued = &vmlinev1.Queued{Id: "w1-1.queued", Kind: vmlinev1.Operation_KIND_SUSPEND}
	})
	if _, body = f.act("w1-1", `{"type":"suspend"}`, "again"); operationOf(t, body).ID != "w1-1.queued" {
		t.Errorf("a second suspension is not the one that waits: %s", body)
	}
}

func TestStepsFollowTheTable(t *testing.T) {
	f := start(t)
	f.lifecycle()
	op := f.put("w1-1", small())
	f.admitted(op.ID)
	op, err := f.client.GetOperation(t.Context(), op.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	route, _ := chain.RouteOf(vmlinev1.Operation_KIND_CREATE)
	if len(op.Steps) != len(route.Statuses) {
		t.Fatalf("%d steps, the route has %d", len(op.Steps), len(route.Statuses))
	}
	for i, status := range route.Statuses {
		want := map[int]string{0: api.StatusSucceeded, 1: api.StatusRunning}[i]
		if want == "" {
			want = api.StepPending
		}
		s := op.Steps[i]
		if s.Name != chain.Name(status) || s.Status != want || s.Owner == "" {
			t.Errorf("step %d: %+v, want %s %s", i, s, chain.Name(status), want)
		}
	}
}

// patience is how long a test waits for what has to come. Only one that fails uses it up.
const patience = time.Minute

// until waits until the condition holds.
func (f *fixture) until(what string, holds func() bool) {
	f.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			f.Fatalf("it never came about that %s; the log has:\n%s", what, f.log)
		}
	}
}
