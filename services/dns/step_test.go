package dns

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// asked is the VM when its records are asked for by the button.
func asked(vm *vmlinev1.VM) *vmlinev1.VM {
	vm = ready(vm)
	route := []vmlinev1.Status{vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_SET_DNS_RECORDS, vmlinev1.Status_STATUS_READY}
	vm.Operation = &vmlinev1.Operation{
		Id: "button", Kind: vmlinev1.Operation_KIND_SET_DNS_RECORDS, State: vmlinev1.Operation_STATE_RUNNING, Route: route,
		Reached: []*vmlinev1.Reached{{Status: route[0]}},
	}
	return vm
}

// await waits for a state of vm1.
func (w *world) await(want func(*vmlinev1.VM) bool) *vmlinev1.VM {
	w.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		last, err := w.bus.Last(w.Context(), "shop-1")
		w.must(err)
		if want(last.VM) {
			return last.VM
		}
		select {
		case <-deadline:
			w.Fatalf("it stays %v", last.VM)
		case <-tick.C:
		}
	}
}

// TestButtonAnswersWhenDone: while the server is down the operation says why it waits; when it is back, the
// records stand before the operation goes on.
func TestButtonAnswersWhenDone(t *testing.T) {
	w := newWorld(t)
	w.down()
	defer w.run()()
	w.append(asked(w.vm(1)))
	waits := w.await(func(vm *vmlinev1.VM) bool { return vm.GetRetry() != nil })
	if p := waits.GetProblem(); !strings.Contains(p.GetCause(), "the server cannot be reached") || p.GetStep() != vmlinev1.Status_STATUS_SET_DNS_RECORDS {
		t.Errorf("it waits because of %v", p)
	}
	if waits.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING {
		t.Errorf("the operation is %v", waits.GetOperation().GetState())
	}
	w.up()
	done := w.await(func(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_SET_DNS_RECORDS })
	w.complete(1)
	want := time.Now().UTC().Format(time.DateOnly) + " DNS records set: vm1.example.com. A 192.0.2.1, " + reverse1 + " PTR vm1.example.com."
	if got := done.GetOperation().GetResult().GetNote(); got != want {
		t.Errorf("note %q, want %q", got, want)
	}
}

// press runs the step to set_dns_records on the VM's newest state.
func (w *world) press(s *service, vm *vmlinev1.VM) (*vmlinev1.VM, error) {
	w.Helper()
	t := &bus.Trigger{VM: w.append(asked(vm)).VM}
	_, err := s.setRecords(w.Context(), t)
	return t.VM, err
}

// TestButtonMakesTheServerExactlyRight: whatever was changed there, and whatever the VM had once.
func TestButtonMakesTheServerExactlyRight(t *testing.T) {
	w := newWorld(t)
	w.must(w.service().settle(t.Context(), w.append(w.vm(1))))
	// While no service looked, the VM got another name and address.
	moved := ready(w.vm(1))
	moved.Package.Name, moved.Addresses[0].Address = "moved", "192.0.2.2"
	w.append(moved)
	w.foreign("example.com.", "moved.example.com.", "TXT theirs") // in the way
	s := w.service()
	_, err := w.press(s, moved)
	var person *bus.NeedsPerson
	if !errors.As(err, &person) || !strings.Contains(person.Cause, "moved.example.com. of VM shop-1 is in use without a mark of vmline") ||
		person.Kept == "" || !strings.Contains(person.Next, "retry") {
		t.Fatalf("got %v", err)
	}
	w.foreign("example.com.", "moved.example.com.")
	w.foreign("2.0.192.in-addr.arpa.", reverse2, "PTR wrong.test.") // beside our mark
	if _, err := w.press(s, moved); err != nil {
		t.Fatal(err)
	}
	w.absent(1)
	w.stands("moved.example.com.", "A", "192.0.2.2")
	w.stands(reverse2, "PTR", "moved.example.com.")
	w.updates.Store(0)
	if _, err := w.press(s, moved); err != nil {
		t.Fatal(err)
	}
	if n := w.updates.Load(); n != 0 {
		t.Errorf("%d updates where nothing differs", n)
	}
	w.foreign("example.com.", "moved.example.com.")
	if _, err := w.press(s, moved); err != nil {
		t.Fatal(err)
	}
	w.stands("moved.example.com.", "A", "192.0.2.2")
}

func TestButtonSaysWhatIsLeftOut(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	vm := w.vm(1)
	vm.Package.Dns.Domain = "elsewhere.test"
	done, err := w.press(s, vm)
	w.must(err)
	if note := done.GetOperation().GetResult().GetNote(); !strings.HasSuffix(note, "; no zone is configured that holds vm1.elsewhere.test.; it gets no A or AAAA records") {
		t.Errorf("note %q", note)
	}
	none := w.vm(1)
	none.Package.Dns = nil
	done, err = w.press(s, none)
	w.must(err)
	if note := done.GetOperation().GetResult().GetNote(); !strings.HasSuffix(note, " no DNS records to set") {
		t.Errorf("note %q", note)
	}
	w.stands(reverse1, "PTR", "")
	other := asked(w.vm(1))
	other.Uid = "another"
	if _, err := s.setRecords(t.Context(), &bus.Trigger{VM: other}); !errors.Is(err, bus.ErrSuperseded) {
		t.Errorf("for a VM that is gone: %v", err)
	}
}

// TestRecordsOfAChange: a change of package takes an address away and gives the VM another name. The PTR
// stands until the address is released.
func TestRecordsOfAChange(t *testing.T) {
	change := func(w *world, addresses ...*vmlinev1.Address) *vmlinev1.VM {
		vm := w.vm(1)
		vm.Operation = &vmlinev1.Operation{
			Id: "c", Kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE, State: vmlinev1.Operation_STATE_RUNNING,
			Before: &vmlinev1.Before{Package: w.vm(1).GetPackage()},
		}
		vm.Package.Name, vm.Addresses = "new", addresses
		return vm
	}
	first, second := &vmlinev1.Address{Address: "192.0.2.1"}, &vmlinev1.Address{Address: "192.0.2.2"}
	leaving := &vmlinev1.Address{Address: "192.0.2.2", Leaving: true}
	start := func(w *world) *service {
		vm := ready(w.vm(1))
		vm.Addresses = []*vmlinev1.Address{first, second}
		s := w.service()
		w.must(s.settle(t.Context(), w.append(vm)))
		return s
	}
	releasedNow := func(w *world) *vmlinev1.VM {
		vm := change(w, first)
		vm.Operation.Result = &vmlinev1.Result{Released: []*vmlinev1.Address{second}}
		return vm
	}
	check := func(w *world) {
		w.Helper()
		w.stands(reverse2, "ANY", "")
		w.stands("_vmline."+reverse2, "ANY", "")
		w.stands("vm1.example.com.", "ANY", "")
		w.stands("new.example.com.", "A", "192.0.2.1")
		w.stands(reverse1, "PTR", "new.example.com.")
	}
	t.Run("followed by one process", func(t *testing.T) {
		w := newWorld(t)
		s := start(w)
		w.must(s.settle(t.Context(), w.append(change(w, first, leaving))))
		w.stands(reverse2, "PTR", "new.example.com.")
		w.stands("vm1.example.com.", "ANY", "")
		w.must(s.settle(t.Context(), w.append(releasedNow(w))))
		check(w)
	})
	t.Run("seen by a new process in the end", func(t *testing.T) {
		w := newWorld(t)
		start(w)
		w.append(change(w, first, leaving))
		w.must(w.service().settle(t.Context(), w.append(releasedNow(w))))
		check(w)
	})
	t.Run("known from a message alone", func(t *testing.T) {
		w := newWorld(t)
		start(w)
		message := w.append(releasedNow(w))
		later := releasedNow(w) // the next operation says nothing of it any more
		later.Operation = &vmlinev1.Operation{Id: "r", Kind: vmlinev1.Operation_KIND_REBOOT, State: vmlinev1.Operation_STATE_RUNNING}
		newest := w.append(later)
		s := w.service()
		w.must(s.sync(t.Context())) // comes first and knows nothing of the message
		if !s.hint(message) {
			t.Fatal("the message is passed over")
		}
		w.must(s.follow(t.Context(), newest))
		check(w)
		if s.hint(message) {
			t.Error("it is due again")
		}
	})
}

func TestPlanOfTheButtonChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.must(w.service().settle(t.Context(), w.append(w.vm(1))))
	vm := asked(w.vm(1))
	vm.Package.Name = "other"
	w.append(vm)
	w.updates.Store(0)
	reply, err := w.service().plan(t.Context(), &vmlinev1.PlanRequest{Vm: vm})
	w.must(err)
	if len(reply.GetSteps()) != 1 || chain.Name(reply.GetSteps()[0].GetStep()) != "set_dns_records" {
		t.Fatalf("steps %v", reply.GetSteps())
	}
	want := "replace " + reverse1 + ", create other.example.com., delete vm1.example.com."
	if got := strings.Join(reply.GetSteps()[0].GetNotes(), ", "); got != want || w.updates.Load() != 0 {
		t.Errorf("plan %q with %d updates, want %q", got, w.updates.Load(), want)
	}
	reply, err = w.service().plan(t.Context(), &vmlinev1.PlanRequest{Vm: ready(w.vm(1))})
	if err != nil || len(reply.GetSteps()) != 0 {
		t.Errorf("without the step: %v, %v", reply, err)
	}
}
