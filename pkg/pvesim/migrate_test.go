package pvesim

import (
	"fmt"
	"strings"
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

// TestMigrationSaysWhyInItsLog: the exit status of a failed migration is always the same.
func TestMigrationSaysWhyInItsLog(t *testing.T) {
	const linked = "/nodes/pve1/qemu/102/migrate"
	for _, c := range []struct {
		name, path, params string
		spoil              func(*sim)
		exit, logged       string
	}{
		{"node down", migrate101, "target=pve2&online=1", func(s *sim) { s.SetNodeOnline("pve2", false) }, "migration aborted", "ERROR: migration aborted (duration 00:00:00): Can't connect to destination address using public key"},
		{"running, local disks", migrate101, "target=pve2&online=1", nil, "migration aborted", "can't migrate local disk 'local:101/vm-101-disk-0.raw': can't live migrate attached local disks without with-local-disks option"},
		{"running, with local disks", migrate101, "target=pve2&online=1&with-local-disks=1", nil, "OK", "migration finished successfully (duration 00:00:00)"},
		{"snapshot", migrate101, "target=pve2&online=1&with-local-disks=1", func(s *sim) { s.AddSnapshot(101, "s1", "") }, "migration aborted", "can't migrate local disk 'local:101/vm-101-disk-0.raw': online storage migration not possible if non-replicated snapshot exists"},
		{"no bridge", migrate101, "target=pve3&online=1&with-local-disks=1", nil, "migration problems", "ERROR: online migrate failure - remote command failed with exit code 255"},
		{"linked clone", linked, "target=pve2", nil, "migration aborted", "ERROR: migration aborted (duration 00:00:00): Problem found while scanning volumes - can't migrate 'local:9001/base-9001-disk-0.raw/102/vm-102-disk-0.qcow2' as it's a clone of '9001/base-9001-disk-0.raw'"},
		{"high availability", migrate101, "target=pve2", func(s *sim) { s.underHA(101) }, "OK", "Requesting HA migration for VM 101 to node pve2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(t, func(cfg *Config) {
				cfg.Nodes[2].Bridges = []string{"vmbr1"}
				cfg.Templates = append(cfg.Templates, Template{VMID: 9001, Node: "pve1", Name: "local", Storage: "local"})
			})
			s.ends("POST", "/nodes/pve1/qemu/9001/clone", "newid=101&full=1", "OK")
			s.ends("POST", "/nodes/pve1/qemu/9001/clone", "newid=102", "OK")
			if c.name != "high availability" {
				s.ends("POST", status101+"start", "", "OK")
			}
			if c.spoil != nil {
				c.spoil(s)
			}
			upid := s.begin("POST", c.path, c.params)
			if got := s.ended(upid); got != c.exit {
				t.Errorf("ended %q, want %q", got, c.exit)
			}
			if log := strings.Join(s.task(upid).Log, "\n"); !strings.Contains(log, c.logged) {
				t.Errorf("log lacks %q:\n%s", c.logged, log)
			}
			want := map[bool]string{true: "pve2", false: "pve1"}[c.exit == "OK"]
			for _, id := range []int{101, 102} {
				if v, _ := s.VM(id); v.Lock != "" || id == 101 && v.Node != want {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}

const migrate101 = "/nodes/pve1/qemu/101/migrate"

// underHA puts a VM under high availability, stopped.
func (s *sim) underHA(vmid int) {
	s.t.Helper()
	s.data("POST", "/cluster/ha/resources", fmt.Sprintf("sid=vm:%d&state=stopped", vmid))
}

func TestMigrateNeedsTheStorages(t *testing.T) {
	s := newSim(t, func(cfg *Config) { cfg.Storages[1].Nodes = []string{"pve1"} })
	s.clone(101)
	s.refused("POST", migrate101, "target=pve2", 500, "storage 'shared1' is not available on node 'pve2'")
	s.refused("POST", migrate101, "target=pve2&force=1", 400, "Parameter verification failed.")
}

func TestReassignRefusals(t *testing.T) {
	const move = "/nodes/pve1/qemu/101/move_disk"
	s := newSim(t)
	s.clone(101)
	s.clone(102)
	s.ends("POST", conf101, "scsi1=shared1:1", "OK")
	s.refused("POST", move, "disk=scsi1&target-vmid=999", 500, "could not find target VM 999")
	s.refused("POST", move, "disk=scsi1&target-vmid=101", 400, "Parameter verification failed.")
	s.refused("POST", move, "disk=scsi1&target-vmid=9000", 500, "Can't move disks from or to template VMs")
	s.refused("POST", move, "disk=scsi0&target-vmid=102", 500, "Target disk key 'scsi0' is already in use for VM '102'")
	s.refused("POST", move, "disk=ide2&target-vmid=102&target-disk=ide3", 500, "CD drive contents can't be moved to another VM")
	s.refused("POST", move, "disk=scsi1&target-vmid=102&target-digest=ab", 500, "VM 102: checksum mismatch (file change by other user?)")
	s.ends("POST", status101+"start", "", "OK")
	s.refused("POST", move, "disk=scsi1&target-vmid=102", 500, "Cannot move disk to another VM while the source VM is running - detach first")
	s.ends("POST", status101+"stop", "", "OK")
	s.AddSnapshot(101, "s1", "")
	s.refused("POST", move, "disk=scsi1&target-vmid=102", 500, "Can't move disk used by a snapshot to another VM")
	s.SetLock(102, "backup")
	s.refused("POST", move, "disk=scsi1&target-vmid=102", 500, "VM is locked (backup)")
}
