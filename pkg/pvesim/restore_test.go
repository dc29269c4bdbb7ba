package pvesim

import (
	"strings"
	"testing"
)

func TestRestore(t *testing.T) {
	s := newSim(t)
	s.ends("POST", "/nodes/pve1/qemu", "vmid=101&name=one&scsi0=local-lvm:4&scsi1=local:1,backup=0&ide2=shared1:cloudinit&net0=virtio,bridge=vmbr0&description=before", "OK")
	s.data("POST", "/pools", "poolid=p1")
	s.ends("POST", "/nodes/pve1/vzdump", "vmid=101&storage=shared1", "OK")
	volid := s.data("GET", "/nodes/pve1/storage/shared1/content", "content=backup").([]any)[0].(map[string]any)["volid"].(string)
	archive := "archive=" + volid
	text := s.data("GET", "/nodes/pve1/vzdump/extractconfig", "volume="+volid).(string)
	if !strings.Contains(text, "description: before\n") || strings.Contains(text, "scsi1:") {
		t.Errorf("%s", text)
	}
	s.data("PUT", conf101, "description=after&scsi2=local:1")
	s.refused("POST", "/nodes/pve1/qemu", "vmid=101&"+archive, 500, "unable to restore VM 101 - VM 101 already exists on node 'pve1'")
	s.refused("POST", "/nodes/pve1/qemu", "vmid=102&archive=shared1:backup/no", 500, "volume 'shared1:backup/no' does not exist")
	s.refused("POST", "/nodes/pve1/qemu", "vmid=102&scsi5=local:1&"+archive, 400, "Parameter verification failed.")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	s.ends("POST", "/nodes/pve1/qemu", "vmid=101&force=1&"+archive, "unable to restore VM 101 - vm is running")
	s.ends("POST", "/nodes/pve1/qemu/101/status/stop", "", "OK")

	mac := s.conf(101, "net0")
	s.ends("POST", "/nodes/pve1/qemu", "vmid=101&force=1&"+archive, "OK")
	for key, want := range map[string]any{
		"description": "before", "net0": mac, "scsi0": "local-lvm:vm-101-disk-0,size=4G", "scsi1": nil, "scsi2": nil,
		"unused0": "local:101/vm-101-disk-0.raw", "unused1": "local:101/vm-101-disk-1.raw", "lock": nil,
	} {
		if got := s.conf(101, key); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	s.ends("POST", "/nodes/pve1/qemu", "vmid=102&unique=1&storage=local&pool=p1&name=two&start=1&"+archive, "OK")
	v, _ := s.VM(102)
	if v.Status != "running" || v.Pool != "p1" || v.Name != "two" || v.Config["net0"] == mac || v.Config["scsi0"] != "local:102/vm-102-disk-0.raw,size=4G" {
		t.Errorf("%+v", v)
	}
	s.ends("DELETE", "/nodes/pve1/qemu/101", "", "OK")
	s.ends("POST", "/nodes/pve2/qemu", "vmid=101&"+archive, "OK") // the backup is on a shared storage
}
