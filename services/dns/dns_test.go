package dns

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestRunFromOrderToEnd(t *testing.T) {
	w := newWorld(t)
	defer w.run()()
	vm := w.vm(1)
	addresses := vm.GetAddresses()
	vm.Status, vm.Addresses = vmlinev1.Status_STATUS_CREATION, nil
	w.append(vm)
	vm.Status, vm.Addresses = vmlinev1.Status_STATUS_SET_IP, addresses
	w.append(vm)
	w.eventually(reverse1, "PTR", "vm1.example.com.")
	w.eventually("vm1.example.com.", "A", "192.0.2.1")
	w.append(ready(vm))
	w.append(terminated(vm))
	w.eventually("_vmline."+reverse1, "TXT", "")
	w.eventually("_vmline.vm1.example.com.", "TXT", "")
	w.absent(1)
}

func TestRunRefusesBadZones(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Zones[0].TSIG.Secret = "not base64!"
	err := Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "example.com") || strings.Contains(err.Error(), "not base64!") {
		t.Errorf("error %v", err)
	}
}

func TestServerDownHoldsAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.down()
	stop := w.run()
	w.append(w.vm(1))
	w.append(ready(w.vm(1)))
	w.append(w.vm(2))
	w.append(terminated(w.vm(2)))
	w.up()
	w.eventually(reverse1, "PTR", "vm1.example.com.") // delivered again, or found by the first sync
	stop()
	w.absent(2)

	// Terminated while the server is down; the service dies before it is back.
	w.down()
	stop = w.run()
	w.append(terminated(w.vm(1)))
	stop()
	w.up()
	defer w.run()()
	w.eventually("_vmline."+reverse1, "TXT", "")
	w.eventually("vm1.example.com.", "A", "")
}

func TestOneUpdateAZoneAndNothingForOtherSteps(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	w.must(s.follow(t.Context(), w.append(w.vm(1))))
	w.complete(1)
	w.sent("create", 2, 0)
	for _, status := range []vmlinev1.Status{vmlinev1.Status_STATUS_CLONE, vmlinev1.Status_STATUS_SET_NETWORK} {
		vm := w.vm(1)
		vm.Status = status
		e := w.append(vm)
		if s.due(e) {
			t.Errorf("due at %v", status)
		}
		w.must(s.follow(t.Context(), e))
	}
	w.sent("other steps", 0, 0)
	w.must(s.follow(t.Context(), w.append(terminated(w.vm(1)))))
	w.absent(1)
	w.sent("terminate", 2, 5)
}

func TestOldStateDoesNotOvertake(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	old := w.append(w.vm(1))
	w.must(s.settle(t.Context(), w.append(terminated(w.vm(1)))))
	if s.due(old) {
		t.Error("an old state is due")
	}
	w.must(s.settle(t.Context(), old))
	w.absent(1)
}

func TestChangeRemovesFormerNames(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	w.must(s.settle(t.Context(), w.append(w.vm(1))))
	vm := ready(w.vm(1))
	vm.Package.Name, vm.Package.Dns.Ptr, vm.Package.Dns.Ttl = "renamed", false, 90
	w.must(s.settle(t.Context(), w.append(vm)))
	w.absent(1)
	w.stands("renamed.example.com.", "A", "192.0.2.1")
}

func TestSyncRepairsDriftAndOnlyLooksWhenAZoneMoved(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	w.append(ready(w.vm(1)))
	w.append(terminated(w.vm(2)))
	none := w.vm(3)
	none.Package.Dns = nil
	w.append(none)
	w.must(s.sync(t.Context()))
	w.complete(1)
	w.sent("first", 2, 2+2+2) // two serials, two marks of VM 1 and of VM 2; VM 3 is new

	w.must(s.sync(t.Context()))
	w.sent("before it is time", 0, 0)

	w.offset.Add(int64(defaultCompare))
	w.must(s.sync(t.Context()))
	w.sent("our own changes moved the zones", 0, 2+5+2+1) // the records of VM 1, the reverse name's mark of VM 3

	w.offset.Add(int64(defaultCompare))
	w.must(s.sync(t.Context()))
	w.sent("nothing moved", 0, 2)

	w.foreign("example.com.", "vm1.example.com.", "A 203.0.113.9", "TXT theirs")
	w.offset.Add(int64(defaultCompare))
	w.must(s.sync(t.Context()))
	w.stands("vm1.example.com.", "ANY", `"theirs", 192.0.2.1`)
	w.sent("repair", 1, 2+5+2+1)

	w.offset.Add(int64(recent))
	w.must(s.sync(t.Context()))
	w.sent("VM 2 is long gone", 0, 2+5+1)
}

func TestForeignNameIsSaidOnceAndTakenWhenFree(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	w.foreign("2.0.192.in-addr.arpa.", reverse1, "PTR theirs.test.")
	w.must(s.follow(t.Context(), w.append(w.vm(1)))) // no error: repeating soon is of no use
	for range 3 {
		w.must(s.sync(t.Context()))
	}
	w.stands("vm1.example.com.", "A", "192.0.2.1")
	w.stands(reverse1, "PTR", "theirs.test.")
	if n := w.log.has("PTR theirs.test."); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log)
	}
	w.foreign("2.0.192.in-addr.arpa.", reverse1)
	w.must(s.sync(t.Context()))
	w.complete(1)
	if w.log.has("complete again") != 1 {
		t.Error(w.log)
	}
}

func TestNotesAreSaid(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	vm := w.vm(1)
	vm.Package.Dns.Domain = "elsewhere.test"
	for range 2 {
		w.must(s.follow(t.Context(), w.append(vm)))
	}
	w.stands(reverse1, "PTR", "vm1.elsewhere.test.")
	if n := w.log.has("no zone is configured that holds vm1.elsewhere.test."); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log)
	}
}

// TestAddressHandedOver: VM 2 gets the address of VM 1, whose end was never seen.
func TestAddressHandedOver(t *testing.T) {
	heir := func(w *world) *vmlinev1.VM {
		vm := w.vm(2)
		vm.Addresses[0].Address = "192.0.2.1"
		return vm
	}
	t.Run("the holder is gone", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.service().settle(t.Context(), w.append(w.vm(1))))
		w.append(terminated(w.vm(1)))
		w.must(w.service().settle(t.Context(), w.append(heir(w))))
		w.stands(reverse1, "PTR", "vm2.example.com.")
		w.stands("vm1.example.com.", "ANY", "")
		w.must(w.service().sync(t.Context())) // the late delete
		w.stands(reverse1, "PTR", "vm2.example.com.")
	})
	t.Run("the holder lives", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.service().settle(t.Context(), w.append(w.vm(1))))
		w.must(w.service().settle(t.Context(), w.append(heir(w))))
		w.complete(1)
		if w.log.has("belongs to VM shop-1") != 1 {
			t.Error(w.log)
		}
	})
	t.Run("the holder lives and has another address", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.service().settle(t.Context(), w.append(w.vm(1))))
		moved := ready(w.vm(1))
		moved.Addresses[0].Address = "192.0.2.9"
		w.append(moved)
		w.must(w.service().settle(t.Context(), w.append(heir(w))))
		w.stands(reverse1, "PTR", "vm2.example.com.")
		w.stands("_vmline.vm1.example.com.", "TXT", `"vmline ref=shop-1 uid=uid-1"`)
	})
	t.Run("the holder is of another installation", func(t *testing.T) {
		w := newWorld(t)
		w.foreign("2.0.192.in-addr.arpa.", "_vmline."+reverse1, `TXT "vmline ref=other-1 uid=x"`)
		w.foreign("2.0.192.in-addr.arpa.", reverse1, "PTR other.test.")
		w.must(w.service().settle(t.Context(), w.append(heir(w))))
		w.stands(reverse1, "PTR", "other.test.")
	})
}

// TestSameRefAgain: a service is terminated and ordered again, with other addresses, and the service that
// saw the first order did not see its end.
func TestSameRefAgain(t *testing.T) {
	again := func(w *world) *vmlinev1.VM {
		vm := w.vm(1)
		vm.Uid, vm.Addresses[0].Address = "uid-9", "192.0.2.2"
		return vm
	}
	check := func(w *world) {
		w.Helper()
		w.stands("vm1.example.com.", "A", "192.0.2.2")
		w.stands("_vmline.vm1.example.com.", "TXT", `"vmline ref=shop-1 uid=uid-9"`)
		w.stands(reverse1, "ANY", "")
		w.stands(reverse2, "PTR", "vm1.example.com.")
	}
	t.Run("same process", func(t *testing.T) {
		w := newWorld(t)
		s := w.service()
		w.must(s.settle(t.Context(), w.append(w.vm(1))))
		w.append(terminated(w.vm(1)))
		w.must(s.settle(t.Context(), w.append(again(w))))
		check(w)
	})
	t.Run("other process", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.service().settle(t.Context(), w.append(w.vm(1))))
		w.append(terminated(w.vm(1)))
		w.must(w.service().settle(t.Context(), w.append(again(w))))
		check(w)
	})
}

func TestTransientFailureIsReturnedAndCounted(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	w.down()
	e := w.append(w.vm(1))
	if err := s.follow(t.Context(), e); err == nil {
		t.Error("no error while the server is down")
	}
	if !s.due(e) {
		t.Error("given up")
	}
	w.append(ready(w.vm(2)))
	err := s.sync(t.Context())
	if err == nil || !strings.Contains(err.Error(), "2 of 2 VMs") {
		t.Errorf("error %v", err)
	}
	w.up()
	w.offset.Add(int64(time.Minute))
	w.must(s.sync(t.Context()))
	w.complete(1)
	w.complete(2)
	if s.due(e) {
		t.Error("still due")
	}
}

func TestStoppingIsNoFailure(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := w.append(w.vm(1))
	if err := s.settle(ctx, e); err == nil {
		t.Error("settled without a context")
	}
	if !s.due(e) || w.log.String() != "" {
		t.Errorf("due %v, log %s", s.due(e), w.log)
	}
}

// TestTwoServicesAtOnce: every VM is made and unmade under two services that share the messages.
func TestTwoServicesAtOnce(t *testing.T) {
	const machines = 30
	w := newWorld(t)
	stop1, stop2 := w.run(), w.run()
	for host := 1; host <= machines; host++ {
		w.append(w.vm(host))
		w.append(ready(w.vm(host)))
		if host%2 == 0 {
			w.append(terminated(w.vm(host)))
		}
	}
	var entries []bus.Entry
	w.must(w.bus.Each(t.Context(), func(e bus.Entry) error { entries = append(entries, e); return nil }))
	if len(entries) != machines {
		t.Fatalf("%d VMs", len(entries))
	}
	w.eventually("29.2.0.192.in-addr.arpa.", "PTR", "vm29.example.com.")
	stop1()
	stop2()
	w.must(w.service().sync(t.Context())) // as the next tick would
	for host := 1; host <= machines; host++ {
		if host%2 == 0 {
			w.absent(host)
		} else {
			w.complete(host)
		}
	}
}
