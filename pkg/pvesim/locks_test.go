package pvesim

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCommandsWaitForTheLockFile(t *testing.T) {
	inTime(t, Durations{Clone: 4 * time.Second}, func(s *sim) {
		clone := s.begin("POST", clonePath, "newid=101&full=1")
		resize := s.begin("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=10G")
		if exit := s.ended(clone) + s.ended(resize); exit != "OKOK" {
			t.Error(exit)
		}
		if got := s.conf(101, "scsi0"); got != "shared1:101/vm-101-disk-0.raw,size=10G" {
			t.Errorf("disk %v", got)
		}
		if log := s.task(resize).Log; log[0] != "trying to acquire lock..." || log[1] != " OK" {
			t.Errorf("log %q", log)
		}
	})
}

func TestLockFileTimesOut(t *testing.T) {
	inTime(t, Durations{}, func(s *sim) {
		s.clone(101)
		release, ok := s.HoldLock(101)
		if !ok {
			t.Fatal("the lock is not free")
		}
		late := "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout"
		start := time.Now()
		s.refused("PUT", "/nodes/pve1/qemu/101/config", "cores=2", 500, late)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("waited %v", took)
		}
		s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", late)
		if _, again := s.HoldLock(101); again {
			t.Error("the lock was given twice")
		}
		release()
		s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	})
}

func TestLockKeyStopsCommands(t *testing.T) {
	for _, lock := range configFields["lock"].enum {
		s := newSim(t)
		s.clone(101)
		s.SetLock(101, lock)
		text := "VM is locked (" + lock + ")"
		s.refused("PUT", "/nodes/pve1/qemu/101/config", "cores=2", 500, text)
		s.refused("POST", "/nodes/pve1/qemu/101/clone", "newid=102", 500, text)
		s.refused("PUT", "/nodes/pve1/qemu/101/cloudinit", "", 500, text)
		if lock != suspended { // starting it resumes it
			s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", text)
		}
		s.ends("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=10G", text)
		s.ends("DELETE", "/nodes/pve1/qemu/101", "", text)
		s.ends("POST", "/nodes/pve1/qemu/101/status/stop", "", "OK")
		s.SetLock(101, "")
		s.ends("DELETE", "/nodes/pve1/qemu/101", "", "OK")
	}
}

func TestSlowChangeAnswers596AndIsDone(t *testing.T) {
	inTime(t, Durations{Config: 40 * time.Second}, func(s *sim) {
		s.clone(101)
		start := time.Now()
		s.refused("PUT", "/nodes/pve1/qemu/101/config", "cores=4", 596, "Connection timed out")
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("waited %v", took)
		}
		pass(11 * time.Second)
		if got := s.conf(101, "cores"); got != 4.0 {
			t.Errorf("cores are %v", got)
		}
	})
}

// TestFlockKeepsItsPromises drives one lock file with random callers: never an exclusive holder beside
// another, never a waiter left when the lock is free.
func TestFlockKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(Config{After: func(time.Duration, func()) func() { return func() {} }})
		c.mu.Lock()
		defer c.mu.Unlock()
		var holders []bool // shared?
		waiting := map[int]func(){}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0, 1:
				shared := rapid.Bool().Draw(t, "shared")
				atOnce, cancel := c.lock(lockWant{file: "x", shared: shared, timeout: time.Hour}, func() {
					delete(waiting, i)
					holders = append(holders, shared)
				}, func() {})
				if !atOnce {
					waiting[i] = cancel
				}
			case 2:
				if len(holders) > 0 {
					holders = holders[1:]
					c.unlock("x")
				}
			}
			for _, shared := range holders {
				if !shared && len(holders) > 1 {
					t.Fatal("an exclusive lock is held beside another: " + fmt.Sprint(holders))
				}
			}
			if len(holders) == 0 && len(waiting) > 0 {
				t.Fatal("the lock is free and somebody waits")
			}
		}
	})
}

// TestParallelClonesWaitForTheStorage: each clone makes two volumes, each under the storage's lock. Who
// waits for longer than 10 s fails and leaves nothing behind.
func TestParallelClonesWaitForTheStorage(t *testing.T) {
	for _, c := range []struct{ storage, late, waits string }{
		{"shared1", "clone failed: cfs-lock 'storage-shared1' error: got lock request timeout", "trying to acquire cfs lock 'storage-shared1' ..."},
		{"local-lvm", "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout", "trying to acquire lock..."},
	} {
		inTime(t, Durations{Clone: time.Second, Allocate: 3 * time.Second}, func(s *sim) {
			var upids []string
			for id := 101; id <= 106; id++ {
				upids = append(upids, s.begin("POST", clonePath, fmt.Sprintf("newid=%d&full=1&storage=%s", id, c.storage)))
			}
			exits := map[string]int{}
			for _, upid := range upids {
				exits[s.ended(upid)]++
			}
			if exits["OK"] == 0 || exits[c.late] == 0 || exits["OK"]+exits[c.late] != len(upids) {
				t.Errorf("%s: %v", c.storage, exits)
			}
			waited := false
			for _, line := range s.task(upids[5]).Log {
				waited = waited || line == c.waits
			}
			if !waited {
				t.Errorf("%s: log %q", c.storage, s.task(upids[5]).Log)
			}
			if vms, volumes := len(s.VMs())-1, len(s.Volumes())-2; vms != exits["OK"] || volumes != 2*vms {
				t.Errorf("%s: %d VMs and %d volumes after %d clones", c.storage, vms, volumes, exits["OK"])
			}
			s.ends("POST", "/nodes/pve1/qemu", "vmid=120&scsi0="+c.storage+":1", "OK")
			s.ends("POST", "/nodes/pve1/qemu/120/config", "scsi1="+c.storage+":1", "OK")
			s.ends("POST", "/nodes/pve1/qemu/120/move_disk", "disk=scsi1&storage=local", "OK")
			if c.storage != "shared1" { // each node locks its own
				s.ends("POST", "/nodes/pve2/qemu", "vmid=121&scsi0=local-lvm:1", "OK")
			}
		})
	}
}
