package bus

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// still is a bus with a clock that a test moves.
func still(policy RetryPolicy) (*Bus, *time.Time) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	return &Bus{now: func() time.Time { return now }, retry: policy.withDefaults()}, &now
}

func TestDelaysGrowAndAreCapped(t *testing.T) {
	b, now := still(RetryPolicy{})
	vm := admitted("a-1", create)
	step, _ := chain.Next(vm)
	for i, want := range []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		16 * time.Second, 32 * time.Second, time.Minute, time.Minute,
	} {
		b.advance(vm, step, Done, errors.New("timeout"))
		if got := vm.GetRetry().GetNotBefore().AsTime().Sub(*now); got != want || vm.GetRetry().GetAttempts() != uint32(i+1) {
			t.Errorf("after %d failures: %s, want %s", vm.GetRetry().GetAttempts(), got, want)
		}
		*now = vm.GetRetry().GetNotBefore().AsTime()
	}
	if vm.GetEvent() != vmlinev1.Event_EVENT_RETRYING || vm.GetProblem().GetCause() != "timeout" || vm.GetStatus() != vmlinev1.Status_STATUS_CREATION {
		t.Errorf("waits as %v", vm)
	}
}

func TestDelayIsNeverOutsideItsPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := RetryPolicy{
			First: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "first")),
			Cap:   time.Duration(rapid.Int64Range(int64(time.Minute), int64(time.Hour)).Draw(t, "cap")),
		}
		failed := rapid.Uint32Range(1, 1<<31).Draw(t, "failed")
		d, next := p.Delay(failed), p.Delay(failed+1)
		if d < p.First || d > p.Cap || next < d {
			t.Fatalf("delays %s then %s", d, next)
		}
	})
}

func TestGivingUpParks(t *testing.T) {
	b, now := still(RetryPolicy{GiveUp: time.Minute})
	vm := admitted("a-1", create)
	step, _ := chain.Next(vm)
	for range 100 {
		if parked(vm) {
			break
		}
		// A result that is recorded between the attempts must not make the count start anew.
		b.advance(vm, step, Recorded, nil)
		b.advance(vm, step, Done, errors.New("timeout"))
		if !parked(vm) {
			*now = vm.GetRetry().GetNotBefore().AsTime()
		}
	}
	if !parked(vm) || !strings.Contains(vm.GetProblem().GetCause(), "set_ip failed 8 times in 1m") || vm.GetRetry() != nil {
		t.Errorf("gave up as %v", vm)
	}
}

// TestGivingUpAdvises: who knows what to do about an error that lasts says so, and until then nothing.
func TestGivingUpAdvises(t *testing.T) {
	b, now := still(RetryPolicy{GiveUp: time.Minute})
	vm := admitted("a-1", create)
	step, _ := chain.Next(vm)
	err := fmt.Errorf("clone: %w", &Lasting{Err: errors.New("VM is locked"), Next: "Look for the backup that holds it."})
	b.advance(vm, step, Done, err)
	if vm.GetProblem().GetNext() != "Nothing to do yet." || vm.GetProblem().GetCause() != "clone: VM is locked" {
		t.Errorf("shown at first as %v", vm.GetProblem())
	}
	*now = now.Add(time.Minute)
	b.advance(vm, step, Done, err)
	if !parked(vm) || vm.GetProblem().GetNext() != "Look for the backup that holds it." {
		t.Errorf("shown at last as %v", vm.GetProblem())
	}
}

// TestARefusalHalfwayWaits: what takes up another's work is parked where it would be refused, so that the VM
// does not pass for what it was before. A step that sees that it is just that says so.
func TestARefusalHalfwayWaits(t *testing.T) {
	for _, tt := range []struct {
		takesUp  string
		asBefore bool
		want     vmlinev1.Operation_State
		kept     string
	}{
		{"", false, vmlinev1.Operation_STATE_REFUSED, "Nothing was changed."},
		{"earlier", false, vmlinev1.Operation_STATE_PARKED, keptHalfway},
		{"earlier", true, vmlinev1.Operation_STATE_REFUSED, "Nothing was changed."},
	} {
		b, _ := still(RetryPolicy{})
		vm := admitted("a-1", create)
		vm.Operation.TakesUp, vm.Operation.Before = tt.takesUp, &vmlinev1.Before{Status: vmlinev1.Status_STATUS_READY}
		step, _ := chain.Next(vm)
		b.advance(vm, step, Done, &Refused{Cause: "too small", Next: "Correct it.", AsBefore: tt.asBefore})
		op, p := vm.GetOperation(), vm.GetProblem()
		if back := vm.GetStatus() == vmlinev1.Status_STATUS_READY; back != (tt.want == vmlinev1.Operation_STATE_REFUSED) {
			t.Errorf("%+v: the VM is %s", tt, chain.Name(vm.GetStatus()))
		}
		if p == nil {
			p = op.GetProblem()
		}
		if op.GetState() != tt.want || p.GetCause() != "too small" || p.GetKept() != tt.kept || p.GetNext() != "Correct it." {
			t.Errorf("%+v: ended %v with %v", tt, op.GetState(), p)
		}
	}
}

func TestRetryAfterSaysWhen(t *testing.T) {
	for _, tt := range []struct{ after, want time.Duration }{
		{20 * time.Second, 20 * time.Second},
		{time.Hour, time.Hour},
		{0, 500 * time.Millisecond},
		{-time.Second, 500 * time.Millisecond},
	} {
		b, now := still(RetryPolicy{})
		vm := admitted("a-1", create)
		step, _ := chain.Next(vm)
		b.advance(vm, step, Done, &RetryAfter{Err: errors.New("locked"), After: tt.after})
		if got := vm.GetRetry().GetNotBefore().AsTime().Sub(*now); got != tt.want {
			t.Errorf("after %s: %s, want %s", tt.after, got, tt.want)
		}
	}
}

// TestWaitingIsNoFailing: a step that waits for its turn shows why and never gives up by that, also when
// it fails now and then; one that fails for too long still does.
func TestWaitingIsNoFailing(t *testing.T) {
	b, now := still(RetryPolicy{GiveUp: time.Minute})
	vm := admitted("a-1", create)
	step, _ := chain.Next(vm)
	began := *now
	wait := func() {
		t.Helper()
		b.advance(vm, step, Done, fmt.Errorf("clone: %w", &Waiting{Reason: "3 wait before it", After: 2 * time.Second}))
		if got := vm.GetRetry().GetNotBefore().AsTime().Sub(*now); got != 2*time.Second || parked(vm) {
			t.Fatalf("waits %s as %v", got, vm)
		}
		if vm.GetProblem().GetCause() != "3 wait before it" || vm.GetEvent() != vmlinev1.Event_EVENT_RETRYING || !vm.GetProblem().GetSince().AsTime().Equal(began) {
			t.Fatalf("shows %v", vm.GetProblem())
		}
		*now = vm.GetRetry().GetNotBefore().AsTime().Add(30 * time.Second) // it waits with the message in hand
	}
	for range 200 {
		wait()
	}
	if vm.GetRetry().GetAttempts() != 0 {
		t.Errorf("waiting counts as %d failures", vm.GetRetry().GetAttempts())
	}
	for failed := uint32(0); !parked(vm); failed++ {
		if failed > 100 {
			t.Fatal("never gives up although it fails")
		}
		b.advance(vm, step, Done, errors.New("timeout"))
		if parked(vm) {
			if !strings.Contains(vm.GetProblem().GetCause(), "set_ip failed 8 times in 1m") {
				t.Errorf("gave up as %v", vm.GetProblem())
			}
			break
		}
		*now = vm.GetRetry().GetNotBefore().AsTime()
		for range 3 {
			b.advance(vm, step, Done, &Waiting{Reason: "again", After: time.Hour})
			*now = vm.GetRetry().GetNotBefore().AsTime()
		}
	}
}

func TestReachingAStatusForgetsTheTrouble(t *testing.T) {
	b, _ := still(RetryPolicy{})
	vm := admitted("a-1", create)
	step, _ := chain.Next(vm)
	b.advance(vm, step, Done, errors.New("timeout"))
	vm.Task = &vmlinev1.Task{Upid: "UPID:1"}
	b.advance(vm, step, Done, nil)
	if vm.GetRetry() != nil || vm.GetProblem() != nil || vm.GetTask() != nil || vm.GetStatus() != step.To {
		t.Errorf("reached as %v", vm)
	}
}

func TestARefusedOperationLeavesTheVMAsItWas(t *testing.T) {
	b, _ := still(RetryPolicy{})
	was := &vmlinev1.VM{
		Ref: "a-1", Status: vmlinev1.Status_STATUS_READY, Package: &vmlinev1.Package{Cores: 2}, PackageDigest: []byte("two"),
		WantedPower: vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED,
	}
	vm := chain.Begin(was, &vmlinev1.Command{
		Id: "op", Ref: "a-1", Kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE, Package: &vmlinev1.Package{Cores: 4}, PackageDigest: []byte("four"),
	}, time.Unix(0, 0), nil)
	if vm.GetPackage().GetCores() != 4 {
		t.Fatalf("the operation begins as %v", vm)
	}
	step, _ := chain.Next(vm)
	vm.Task, vm.Carried = &vmlinev1.Task{Upid: "UPID:1"}, []vmlinev1.Status{vmlinev1.Status_STATUS_SET_NETWORK}
	b.advance(vm, step, Done, fmt.Errorf("plan: %w", &Refused{Cause: "the disk cannot shrink", Next: "Keep its size."}))
	op := vm.GetOperation()
	if op.GetState() != vmlinev1.Operation_STATE_REFUSED || op.GetFinishedAt() == nil || vm.GetEvent() != vmlinev1.Event_EVENT_REFUSED {
		t.Errorf("the operation ended as %v", vm)
	}
	if p := op.GetProblem(); p.GetCause() != "the disk cannot shrink" || p.GetNext() != "Keep its size." || p.GetKept() == "" {
		t.Errorf("a person reads %v", p)
	}
	if vm.GetStatus() != was.GetStatus() || vm.GetPackage().GetCores() != 2 || string(vm.GetPackageDigest()) != "two" ||
		vm.GetWantedPower() != was.GetWantedPower() || vm.GetTask() != nil || vm.GetCarried() != nil || vm.GetProblem() != nil {
		t.Errorf("the VM is now %v", vm)
	}
	if _, acts := chain.Acts(vm); acts {
		t.Error("somebody acts on a refused operation")
	}
}

func TestATaskOfALaterStepStays(t *testing.T) {
	for task, stays := range map[vmlinev1.Status]bool{
		vmlinev1.Status_STATUS_UNSPECIFIED: false, vmlinev1.Status_STATUS_SET_IP: false, vmlinev1.Status_STATUS_CLONE: true,
		vmlinev1.Status_STATUS_REMOVED: false, // of another route
	} {
		b, _ := still(RetryPolicy{})
		vm := admitted("a-1", create)
		step, _ := chain.Next(vm)
		vm.Task = &vmlinev1.Task{Upid: "UPID:1", Step: task}
		b.advance(vm, step, Done, nil)
		if (vm.GetTask() != nil) != stays {
			t.Errorf("a task of %s: stays %t, want %t", chain.Name(task), !stays, stays)
		}
	}
}

func TestErrorTextsFitTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 3*maxText).Draw(t, "text"))
		b, _ := still(RetryPolicy{})
		vm := admitted("a-1", create)
		step, _ := chain.Next(vm)
		b.advance(vm, step, Done, errors.New(text))
		cause := vm.GetProblem().GetCause()
		if !utf8.ValidString(cause) || len(cause) > 3*maxText {
			t.Fatalf("cause of %d bytes", len(cause))
		}
		if line := singleLine(text); strings.ContainsAny(line, "\r\n") || !utf8.ValidString(line) {
			t.Fatalf("header %q", line)
		}
	})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Bus{now: time.Now, retry: RetryPolicy{}.withDefaults()}
		w := &Worker{bus: b, owner: chain.IPAM}
		vm := admitted("a-1", create)
		for _, wait := range []time.Duration{-time.Hour, 0, 10 * time.Second} {
			start := time.Now()
			vm.Retry = &vmlinev1.Retry{NotBefore: timestamppb.New(start.Add(wait))}
			due, err := w.await(t.Context(), Entry{VM: vm})
			if !due || err != nil || time.Since(start) != max(wait, 0) {
				t.Errorf("a wait of %s took %s: due %t, %v", wait, time.Since(start), due, err)
			}
		}
	})
}
