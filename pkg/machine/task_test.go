package machine

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
)

func TestAwait(t *testing.T) {
	start := pvesim.Fault{Method: "POST", Path: "/nodes/*/qemu/*/status/start"}
	for _, tt := range []struct {
		name    string
		fault   func() *pvesim.Fault
		purpose string
		warning string
		kind    pve.Kind
	}{
		{name: "ended well", purpose: PurposeStart},
		{name: "ended with warnings", purpose: PurposeStart, warning: "start: WARNINGS: 2", fault: func() *pvesim.Fault {
			f := start
			f.Kind, f.Warnings = pvesim.TaskWarnings, 2
			return &f
		}},
		{name: "failed", kind: pve.Refused, fault: func() *pvesim.Fault {
			f := start
			f.Kind, f.Text = pvesim.TaskError, "bridge 'vmbr9' does not exist"
			return &f
		}},
		{name: "lost by its node", fault: func() *pvesim.Fault {
			return &pvesim.Fault{Kind: pvesim.Refuse, Path: "/nodes/*/tasks/*/status", Code: 400, Text: "upid: no such task"}
		}},
		{name: "ended nobody knows how", fault: func() *pvesim.Fault {
			f := start
			f.Kind, f.Text = pvesim.TaskError, "unexpected status"
			return &f
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim, c := world(t)
			add(t, sim, "pve1", nil)
			if tt.fault != nil {
				sim.AddFault(*tt.fault())
			}
			upid, err := c.Start(t.Context(), "pve1", 101)
			if err != nil {
				t.Fatal(err)
			}
			tr := trigger(ours())
			Started(tr, timestamppb.New(time.Unix(1, 0)), upid, tr.Step.To, PurposeStart)
			if task := tr.VM.GetTask(); task.GetUpid() != string(upid) || task.GetStep() != tr.Step.To || task.GetStartedAt().AsTime().Unix() != 1 {
				t.Fatalf("recorded %v", task)
			}
			purpose, err := Await(t.Context(), c, tr)
			if purpose != tt.purpose || pve.KindOf(err) != tt.kind {
				t.Errorf("got %q, %v; want %q and kind %q", purpose, err, tt.purpose, tt.kind)
			}
			if tr.VM.GetTask() != nil {
				t.Error("the task is still in the state")
			}
			if tt.warning != "" && (len(tr.VM.GetWarnings()) != 1 || tr.VM.GetWarnings()[0] != tt.warning) {
				t.Errorf("warnings %q, want %q", tr.VM.GetWarnings(), tt.warning)
			}
		})
	}
}

func TestAwaitWithoutATask(t *testing.T) {
	if purpose, err := Await(t.Context(), nil, trigger(ours())); purpose != "" || err != nil {
		t.Fatalf("got %q, %v", purpose, err)
	}
}

// TestAwaitKeepsATaskThatMayStillRun cuts the wait in the middle: whoever comes next needs the UPID.
func TestAwaitKeepsATaskThatMayStillRun(t *testing.T) {
	sim, c := world(t, func(cfg *pvesim.Config) { cfg.Durations.Start = time.Hour })
	add(t, sim, "pve1", nil)
	upid, err := c.Start(t.Context(), "pve1", 101)
	if err != nil {
		t.Fatal(err)
	}
	tr := trigger(ours())
	Started(tr, timestamppb.Now(), upid, tr.Step.To, PurposeStart)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Await(ctx, c, tr); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.Close()
	if _, err := Await(t.Context(), c, tr); !errors.Is(err, pve.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if tr.VM.GetTask().GetUpid() != string(upid) {
		t.Error("the task is forgotten although it runs")
	}
}
