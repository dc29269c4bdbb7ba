package pvesim

import (
	"testing"
	"time"
)

func TestMigrateTakesLocalDisksAlong(t *testing.T) {
	inTime(t, Durations{Migrate: time.Minute}, func(s *sim) {
		s.ends("POST", clonePath, "newid=101&full=1&storage=local", "OK")
		upid := s.begin("POST", "/nodes/pve1/qemu/101/migrate", "target=pve2&targetstorage=local-lvm")
		if lock := s.conf(101, "lock"); lock != "migrate" {
			t.Errorf("lock %v", lock)
		}
		s.refused("PUT", conf101, "cores=2", 500, "VM is locked (migrate)")
		if exit := s.ended(upid); exit != "OK" {
			t.Error(exit)
		}
		v, _ := s.VM(101)
		if v.Node != "pve2" || v.Lock != "" || v.Config["scsi0"] != "local-lvm:vm-101-disk-0,size=2G" {
			t.Errorf("%+v", v)
		}
		s.refused("GET", conf101, "", 500, "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist")
		s.ends("DELETE", "/nodes/pve2/qemu/101", "", "OK")
		if n := len(s.Volumes()); n != 2 {
			t.Errorf("%d volumes are left: %v", n, s.Volumes())
		}
	})
}

func TestMigrateRefusals(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	path := "/nodes/pve1/qemu/101/migrate"
	s.refused("POST", path, "target=pve9", 500, "no such cluster node 'pve9'")
	s.refused("POST", path, "target=pve1", 400, "Parameter verification failed.")
	s.ends("POST", status101+"start", "", "OK")
	s.refused("POST", path, "target=pve2", 500, "can't migrate running VM without --online")
	s.ends("POST", path, "target=pve2&online=1", "OK")
	if v, _ := s.VM(101); v.Node != "pve2" || v.Status != "running" {
		t.Errorf("%+v", v)
	}
}

func TestMovedByHand(t *testing.T) {
	s := newSim(t)
	s.ends("POST", clonePath, "newid=101&full=1&storage=local", "OK")
	if err := s.Move(101, "pve3"); err != nil {
		t.Fatal(err)
	}
	s.refused("GET", conf101, "", 500, "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist")
	s.ends("POST", "/nodes/pve3/qemu/101/status/start", "", "OK")
	if err := s.Move(101, "nowhere"); err == nil {
		t.Error("moved to a node that does not exist")
	}
}

func TestReassignedDiskSurvives(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.clone(102)
	s.ends("POST", conf101, "scsi1=shared1:1", "OK")
	s.ends("POST", conf101, "delete=scsi1", "OK")
	s.ends("POST", "/nodes/pve1/qemu/101/move_disk", "disk=unused0&target-vmid=102&target-disk=unused0", "OK")
	s.ends("DELETE", "/nodes/pve1/qemu/101", "destroy-unreferenced-disks=1&purge=1", "OK")
	if got := s.conf(102, "unused0"); got != "shared1:102/vm-102-disk-1.raw" {
		t.Errorf("unused0 %v", got)
	}
	s.ends("POST", "/nodes/pve1/qemu/102/move_disk", "disk=scsi0&storage=local-lvm&delete=1", "OK")
	if got := s.conf(102, "scsi0"); got != "local-lvm:vm-102-disk-0,size=2G" {
		t.Errorf("scsi0 %v", got)
	}
}
