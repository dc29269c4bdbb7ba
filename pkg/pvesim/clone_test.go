package pvesim

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

const clonePath = "/nodes/pve1/qemu/9000/clone"

func TestCloneShowsItsStages(t *testing.T) {
	inTime(t, Durations{Clone: 4 * time.Second}, func(s *sim) {
		upid := s.begin("POST", clonePath, "newid=101&name=a.example.com&description=mine&full=1")
		if d, l := s.conf(101, "description"), s.conf(101, "lock"); d != " qmclone temporary file" || l != "clone" {
			t.Errorf("at first the description is %q and the lock %q", d, l)
		}
		pass(time.Second)
		if d, l, disk := s.conf(101, "description"), s.conf(101, "lock"), s.conf(101, "scsi0"); d != "mine" || l != "clone" || disk != nil {
			t.Errorf("while copying the description is %q, the lock %q, the disk %v", d, l, disk)
		}
		s.refused("PUT", "/nodes/pve1/qemu/101/config", "cores=2", 500, "VM is locked (clone)")
		if exit := s.ended(upid); exit != "OK" {
			t.Error(exit)
		}
		if l, disk := s.conf(101, "lock"), s.conf(101, "scsi0"); l != nil || disk != "shared1:101/vm-101-disk-0.raw,size=2G" {
			t.Errorf("in the end the lock is %v, the disk %v", l, disk)
		}
	})
}

func TestCloneIsNewWhereItMustBe(t *testing.T) {
	s := newSim(t)
	s.data("POST", "/nodes/pve1/qemu/9000/firewall/rules", "type=in&action=ACCEPT")
	s.data("PUT", "/nodes/pve1/qemu/9000/config", "tags=gold&ciuser=bob&description=from the template")
	s.clone(101)
	for _, k := range []string{"net0", "vmgenid", "smbios1"} {
		if s.conf(101, k) == s.conf(9000, k) {
			t.Errorf("%s is the template's", k)
		}
	}
	for k, want := range map[string]any{"tags": "gold", "ciuser": "bob", "description": "from the template", "template": nil, "name": "Copy-of-VM-tmpl"} {
		if got := s.conf(101, k); got != want {
			t.Errorf("%s is %v, want %v", k, got, want)
		}
	}
	if fw := s.Firewalls(); len(fw) != 2 || len(fw[0].Rules) != 1 {
		t.Errorf("the firewall was not copied: %v", fw)
	}
}

func TestCloneRaceForOneIDHasOneWinner(t *testing.T) {
	d := Durations{Fork: 10 * time.Millisecond, Clone: 5 * time.Second}
	inTime(t, d, func(s *sim) {
		var wg sync.WaitGroup
		upids := make([]string, 3)
		for i := range upids {
			wg.Go(func() { upids[i] = s.begin("POST", clonePath, fmt.Sprintf("newid=160&name=n%d&full=1", i)) })
		}
		wg.Wait()
		var exits []string
		for _, u := range upids {
			exits = append(exits, s.ended(u))
		}
		sort.Strings(exits)
		late := "can't lock file '/var/lock/qemu-server/lock-160.conf' - got timeout"
		if fmt.Sprint(exits) != fmt.Sprint([]string{"OK", late, late}) {
			t.Errorf("exit statuses %q", exits)
		}
	})
}

func TestClonesOfOneTemplateRunSideBySide(t *testing.T) {
	inTime(t, Durations{Clone: 5 * time.Second}, func(s *sim) {
		start := time.Now()
		var upids []string
		for id := 101; id < 121; id++ {
			upids = append(upids, s.begin("POST", clonePath, fmt.Sprintf("newid=%d&full=1", id)))
		}
		for _, u := range upids {
			if exit := s.ended(u); exit != "OK" {
				t.Error(exit)
			}
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("20 clones took %v, one takes 5s", took)
		}
	})
}

func TestInterruptedCloneLeavesNothing(t *testing.T) {
	inTime(t, Durations{Clone: 5 * time.Second}, func(s *sim) {
		before := len(s.Volumes())
		upid := s.begin("POST", clonePath, "newid=101&full=1")
		pass(2 * time.Second)
		s.data("DELETE", "/nodes/pve1/tasks/"+upid, "")
		if exit := s.ended(upid); !strings.HasPrefix(exit, "clone failed: copy failed") {
			t.Error(exit)
		}
		if _, ok := s.VM(101); ok || len(s.Volumes()) != before {
			t.Errorf("left over: VM %v, volumes %v", ok, s.Volumes())
		}
		s.clone(101)
	})
}

func TestCloneToAnotherNode(t *testing.T) {
	s := newSim(t, func(cfg *Config) {
		cfg.Templates = append(cfg.Templates, Template{VMID: 9001, Node: "pve1", Name: "here", Storage: "local-lvm"})
	})
	s.ends("POST", clonePath, "newid=101&target=pve2", "OK")
	if v, _ := s.VM(101); v.Node != "pve2" {
		t.Errorf("the clone is on %s", v.Node)
	}
	s.refused("POST", "/nodes/pve1/qemu/9001/clone", "newid=102&target=pve2", 500, "can't clone VM to node 'pve2' (VM uses local storage)")
	s.refused("POST", clonePath, "newid=102&full=1&target=pve2&storage=local", 500, "can't clone to non-shared storage 'local'")
	s.refused("POST", clonePath, "newid=102&full=1&storage=gone", 500, "storage 'gone' does not exist")
}

func TestLinkedCloneKeepsItsBase(t *testing.T) {
	s := newSim(t)
	s.ends("POST", clonePath, "newid=101", "OK")
	if got := s.conf(101, "scsi0"); got != "shared1:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2,size=2G" {
		t.Errorf("disk %v", got)
	}
	s.ends("DELETE", "/nodes/pve1/qemu/9000", "", "base volume 'shared1:9000/base-9000-disk-0.raw' is still in use by linked cloned")
	s.ends("DELETE", "/nodes/pve1/qemu/101", "", "OK")
	if n := len(s.Volumes()); n != 2 {
		t.Errorf("%d volumes are left", n)
	}
}

func TestCloneIDUsedOnAnotherNodeFailsInTheTask(t *testing.T) {
	s := newSim(t)
	if err := s.AddVM(VMSpec{VMID: 500, Node: "pve2", Name: "theirs"}); err != nil {
		t.Fatal(err)
	}
	s.ends("POST", clonePath, "newid=500&full=1", "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/500.conf' failed: File exists")
	if v, _ := s.VM(500); v.Name != "theirs" || v.Node != "pve2" {
		t.Errorf("the foreign VM is now %+v", v)
	}
}
