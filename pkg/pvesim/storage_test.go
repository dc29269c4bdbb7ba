package pvesim

import (
	"fmt"
	"testing"
	"time"
)

func TestBackupsOutliveTheirVM(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	when := time.Date(2026, 11, 20, 1, 2, 3, 0, time.UTC)
	plain, err := s.AddBackup(BackupSpec{VMID: 101, Node: "pve1", Storage: "local", Time: when})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.AddBackup(BackupSpec{VMID: 101, Node: "pve1", Storage: "local", Time: when.Add(time.Hour), Protected: true})
	if err != nil {
		t.Fatal(err)
	}
	content := "/nodes/pve1/storage/local/content"
	if n := len(s.data("GET", content, "content=backup&vmid=101").([]any)); n != 2 {
		t.Errorf("%d backups", n)
	}
	if n := len(s.data("GET", "/nodes/pve2/storage/local/content", "content=backup").([]any)); n != 0 {
		t.Errorf("%d backups on the other node", n)
	}
	s.refused("DELETE", content+"/"+kept, "", 500, "cannot remove protected volume 'backup/vzdump-qemu-101-2026_11_20-02_02_03.vma.zst' on 'local'")
	s.ends("DELETE", "/nodes/pve1/qemu/101", "purge=1&destroy-unreferenced-disks=1", "OK")
	s.ends("DELETE", content+"/"+plain, "", "OK")
	s.data("PUT", content+"/"+kept, "protected=0")
	s.ends("DELETE", content+"/"+kept, "delay=5", "OK")
	s.ends("DELETE", content+"/"+kept, "", "OK") // gone is gone
	if n := len(s.Volumes()); n != 2 {
		t.Errorf("%d volumes are left", n)
	}
}

func TestVzdumpLocksTheVM(t *testing.T) {
	inTime(t, Durations{Backup: time.Minute}, func(s *sim) {
		s.clone(101)
		upid := s.begin("POST", "/nodes/pve1/vzdump", "vmid=101&storage=local")
		s.refused("PUT", conf101, "cores=2", 500, "VM is locked (backup)")
		if exit := s.ended(upid); exit != "OK" {
			t.Error(exit)
		}
		s.data("PUT", conf101, "cores=2")
		if n := len(s.data("GET", "/nodes/pve1/storage/local/content", "content=backup").([]any)); n != 1 {
			t.Errorf("%d backups", n)
		}
	})
}

func TestFullStorage(t *testing.T) {
	s := newSim(t, func(cfg *Config) { cfg.Storages[0].TotalGB = 10 })
	s.ends("POST", clonePath, "newid=101&full=1&storage=local", "OK")
	noRoom := "No space left on device"
	text := "unable to create image: qemu-img: /var/lib/vz/images/101/vm-101-disk-1.raw: Could not write zeros for preallocation: " + noRoom
	s.ends("POST", conf101, "scsi1=local:50", text)
	s.refused("PUT", conf101, "scsi1=local:50", 500, text)
	s.refused("POST", conf101, "scsi1=local:50&background_delay=5", 500, "failed to update VM 101: "+text)
	if got := s.conf(101, "scsi1"); got != nil {
		t.Errorf("scsi1 %v", got)
	}
	s.SetStorageFull("local", true)
	s.ends("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=3G", "resize failed: qemu-img: /var/lib/vz/images/101/vm-101-disk-0.raw: Could not write zeros for preallocation: "+noRoom)
	s.SetStorageFull("local", false)
	s.ends("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=+1G", "OK")
	s.ends("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=3G", "OK") // the same again
	s.ends("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=2G", "shrinking disks is not supported")
}

func TestVolumeNamesByStorageType(t *testing.T) {
	for typ, want := range map[string]string{
		"dir": "st:101/vm-101-disk-0.raw", "nfs": "st:101/vm-101-disk-0.raw", "lvmthin": "st:vm-101-disk-0", "zfspool": "st:vm-101-disk-0", "rbd": "st:vm-101-disk-0",
	} {
		s := newSim(t, func(cfg *Config) { cfg.Storages = append(cfg.Storages, Storage{Name: "st", Type: typ}) })
		s.ends("POST", clonePath, "newid=101&full=1&storage=st", "OK")
		if got := s.conf(101, "scsi0"); got != want+",size=2G" {
			t.Errorf("%s: %v", typ, got)
		}
	}
}

func TestFirewallNeedsNoVM(t *testing.T) {
	s := newSim(t)
	rules := "/nodes/pve1/qemu/999/firewall/rules"
	for i := range 3 {
		s.data("POST", rules, fmt.Sprintf("type=in&action=ACCEPT&proto=tcp&dport=%d&enable=1&pos=5", 20+i))
	}
	fw := s.Firewalls()
	if len(fw) != 1 || fw[0].VMID != 999 || fw[0].Rules[0]["dport"] != "22" || fw[0].Rules[2]["dport"] != "20" {
		t.Errorf("the last rule is not the first: %+v", fw)
	}
	digest := s.data("GET", rules, "").([]any)[0].(map[string]any)["digest"].(string)
	s.data("DELETE", rules+"/0", "digest="+digest)
	s.refused("DELETE", rules+"/0", "digest="+digest, 500, "detected modified configuration - file changed by other user? Try again.")
	sets := "/nodes/pve1/qemu/999/firewall/ipset"
	s.data("POST", sets, "name=ipfilter-net0")
	s.data("POST", sets+"/ipfilter-net0", "cidr=192.0.2.5")
	s.refused("DELETE", sets+"/ipfilter-net0", "", 500, "IPSet 'ipfilter-net0' is not empty")
	s.data("DELETE", sets+"/ipfilter-net0/192.0.2.5", "")
	s.data("DELETE", sets+"/ipfilter-net0", "")
	s.data("PUT", "/nodes/pve1/qemu/999/firewall/options", "enable=1&policy_in=DROP")
	if got := s.Firewalls()[0].Options; got["enable"] != "1" || got["policy_in"] != "DROP" {
		t.Errorf("options %v", got)
	}
}

func TestMemoryOfASnapshotIsAVolume(t *testing.T) {
	s := newSim(t)
	s.ends("POST", "/nodes/pve1/qemu", "vmid=101&memory=512&scsi0=local-lvm:1", "OK")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	for _, name := range []string{"s1", "s2"} {
		s.ends("POST", "/nodes/pve1/qemu/101/snapshot", "vmstate=1&snapname="+name, "OK")
	}
	shown := s.data("GET", "/nodes/pve1/qemu/101/snapshot/s1/config", "").(map[string]any)
	if got := shown["vmstate"]; got != "local-lvm:vm-101-state-s1" {
		t.Errorf("the memory is in %v", got)
	}
	s.ends("POST", "/nodes/pve1/qemu/101/snapshot/s2/rollback", "", "OK")
	if got := s.conf(101, "vmstate"); got != nil {
		t.Errorf("after the rollback the VM itself has %v", got)
	}
	s.ends("DELETE", "/nodes/pve1/qemu/101/snapshot/s1", "", "OK")
	if list := s.data("GET", "/nodes/pve1/storage/local-lvm/content", "").([]any); len(list) != 2 {
		t.Errorf("with one snapshot left the storage has %v", list)
	}
	s.ends("POST", "/nodes/pve1/qemu/101/status/stop", "", "OK")
	s.ends("DELETE", "/nodes/pve1/qemu/101", "", "OK")
	if list := s.data("GET", "/nodes/pve1/storage/local-lvm/content", "").([]any); len(list) != 0 {
		t.Errorf("the VM left %v", list)
	}
}

func TestWhatIsNoVolumeID(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.badParam("PUT", conf101, "scsi3=foo", "scsi3", "invalid format - format error\nscsi3.file: invalid format - unable to parse volume ID 'foo'\n\n")
	s.refused("PUT", conf101, "scsi3=/dev/sdb", 500, "Only root can pass arbitrary filesystem paths.")
	s.data("PUT", conf101, "ide0=none,media=cdrom")
}
