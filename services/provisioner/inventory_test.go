package provisioner

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
)

func TestAReadingIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReading[int]()
		reads := 0
		read := func() (int, error) {
			reads++
			<-time.After(100 * time.Millisecond)
			return reads, nil
		}
		get := func() int {
			got, err := r.get(t.Context(), time.Now, time.Second, read)
			must(t, err)
			return got
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := get(); got != 1 {
					t.Errorf("got reading %d", got)
				}
			})
		}
		all.Wait()
		<-time.After(999 * time.Millisecond)
		if got := get(); got != 1 {
			t.Errorf("a young reading was read again: %d", got)
		}
		<-time.After(time.Millisecond)
		if got := get(); got != 2 {
			t.Errorf("an old reading was not read again: %d", got)
		}
	})
}

// TestAFailureIsShared: twenty who wait for a time-out wait for one.
func TestAFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReading[int]()
		hangs := true
		down := errors.New("no answer")
		read := func() (int, error) {
			if !hangs {
				return 1, nil
			}
			<-time.After(40 * time.Second)
			return 0, down
		}
		begun := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := r.get(t.Context(), time.Now, time.Second, read); !errors.Is(err, down) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took > 41*time.Second {
			t.Errorf("they waited for %s", took)
		}
		hangs = false
		<-time.After(time.Nanosecond)
		if got, err := r.get(t.Context(), time.Now, time.Second, read); err != nil || got != 1 {
			t.Errorf("the failure stays: %d, %v", got, err)
		}
	})
}

func TestTheInventoryAsksOnce(t *testing.T) {
	cfg := pvesim.Default()
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9001, Node: "pve1", Name: "iso", Storage: "local-lvm", Config: map[string]string{"ide3": "local:iso/a.iso,media=cdrom"}})
	sim := pvesim.New(cfg)
	t.Cleanup(sim.Close)
	inv := newInventory(client(t, sim), Rules{}, time.Now, quiet)
	all, err := inv.list(t.Context(), inventoryAge)
	must(t, err)
	want := map[int][]string{9000: {"shared1"}, 9001: {"local", "local-lvm"}}
	for range 3 {
		_, err := inv.list(t.Context(), inventoryAge)
		must(t, err)
		for _, vm := range all.VMs {
			got, err := inv.templateStorages(t.Context(), vm.Node, vm.VMID, templateAge)
			must(t, err)
			if !slices.Equal(got, want[vm.VMID]) {
				t.Errorf("template %d is on %v, want %v", vm.VMID, got, want[vm.VMID])
			}
		}
	}
	if calls := sim.Calls(); len(calls) != 3 {
		t.Errorf("%d calls, want one for the list and one for each template", len(calls))
	}
}
