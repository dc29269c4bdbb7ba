package pvesim

import (
	"strings"
	"testing"
)

// TestCreateAsProvidersDo makes a VM with every value in the long form in which Terraform's providers write
// them, and looks at how it is stored.
func TestCreateAsProvidersDo(t *testing.T) {
	s := newSim(t)
	const uuid = "0b4b5f8e-9f7f-4a7c-8e38-50c1e1c9a8d3"
	s.ends("POST", "/nodes/pve1/qemu", strings.ReplaceAll(`vmid=201&acpi=1&agent=enabled=1,fstrim_cloned_disks=0,type=virtio&bios=ovmf&boot=order=scsi0;ide3&cores=2&cpu=cputype=x86-64-v2-AES,flags=+aes
&cdrom=none&efidisk0=file=local-lvm:1,format=raw,efitype=4m,pre-enrolled-keys=0&tpmstate0=file=local-lvm:1,version=v2.0&virtio0=file=local:1,format=qcow2,iothread=1
&ide3=file=shared1:cloudinit,media=cdrom&memory=2048&net0=model=virtio,bridge=vmbr0,firewall=0,macaddr=aa:bb:cc:00:11:22,queues=2,rate=12.500000,tag=5,trunks=1;2
&scsi0=file=local-lvm:8,aio=io_uring,backup=1,cache=none,discard=on,iothread=1,replicate=1,ssd=1&smbios1=uuid=`+uuid+`,serial=abc&vmgenid=0&startup=order=1,up=3
&tags=b;a&template=0&vga=type=std`, "\n", ""), "OK")
	for key, want := range map[string]any{
		"agent": "enabled=1,fstrim_cloned_disks=0,type=virtio", "cpu": "cputype=x86-64-v2-AES,flags=+aes", "ide2": "none,media=cdrom",
		"efidisk0":  "local-lvm:vm-201-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M",
		"ide3":      "shared1:201/vm-201-cloudinit.qcow2,media=cdrom",
		"memory":    "2048",
		"net0":      "virtio=AA:BB:CC:00:11:22,bridge=vmbr0,firewall=0,queues=2,rate=12.500000,tag=5,trunks=1;2",
		"scsi0":     "local-lvm:vm-201-disk-1,aio=io_uring,backup=1,cache=none,discard=on,iothread=1,replicate=1,size=8G,ssd=1",
		"smbios1":   "uuid=" + uuid + ",serial=abc",
		"startup":   "order=1,up=3",
		"tags":      "a;b",
		"tpmstate0": "local-lvm:vm-201-disk-2,size=4M,version=v2.0",
		"vga":       "type=std",
		"virtio0":   "local:201/vm-201-disk-0.qcow2,iothread=1,size=1G",
		"vmgenid":   "0",
	} {
		if got := s.conf(201, key); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	status := s.data("GET", "/nodes/pve1/qemu/201/status/current", "").(map[string]any)
	if status["maxdisk"] != float64(8<<30) || status["agent"] != 1.0 {
		t.Errorf("%v", status)
	}
	s.data("PUT", "/nodes/pve1/qemu/201/config", "efidisk0=local:1,efitype=4m&delete=virtio0")
	if got := s.conf(201, "efidisk0"); got != "local:201/vm-201-disk-1.raw,efitype=4m,size=528K" {
		t.Errorf("efidisk0 %v", got)
	}
	s.ends("POST", "/nodes/pve1/qemu/201/clone", "newid=202&full=1", "OK")
	if got := s.conf(202, "smbios1").(string); got == "uuid="+uuid+",serial=abc" || got[len(got)-len(",serial=abc"):] != ",serial=abc" {
		t.Errorf("smbios1 of the clone %s", got)
	}
	if got := s.do("PUT", "/nodes/pve1/qemu/201/config", "cdrom=none&ide2=none"); got.code != 400 {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestBootOrderThatNobodyGave(t *testing.T) {
	s := newSim(t)
	for vm, want := range map[string]string{
		"vmid=201&virtio0=local:1&scsi2=local:1&scsi1=local:1&efidisk0=local:1&net1=virtio,bridge=vmbr0": "order=scsi1;net1",
		"vmid=202&ide2=shared1:cloudinit&sata0=local:1&ide0=none,media=cdrom&net0=virtio,bridge=vmbr0":   "order=sata0;ide0;net0",
		"vmid=203": " ",
	} {
		s.ends("POST", "/nodes/pve1/qemu", vm, "OK")
		v, _ := s.VM(int(vm[7]-'0') + 200)
		if v.Config["boot"] != want {
			t.Errorf("%s: %s, want %s", vm, v.Config["boot"], want)
		}
	}
}

func TestBootOrderFollowsDevices(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.data("PUT", conf101, "scsi1=local:1&ide0=none,media=cdrom")
	s.data("PUT", conf101, "boot=order=scsi0;scsi1;net0") // the new CD drive was in it
	for _, c := range []struct{ change, boot string }{
		{"boot=order=scsi0;scsi1;net0", "order=scsi0;scsi1;net0"},
		{"ide1=none,media=cdrom", "order=scsi0;scsi1;net0;ide1"},
		{"delete=scsi1", "order=scsi0;net0;ide1"},
		{"delete=cores", "order=scsi0;net0;ide1"},
		{"delete=net0,ide1&boot=order=scsi0", "order=scsi0"},
		{"delete=scsi0", " "},
	} {
		s.data("PUT", conf101, c.change)
		if got := s.conf(101, "boot"); got != c.boot {
			t.Errorf("%s: boot %v, want %s", c.change, got, c.boot)
		}
	}
	const text = "invalid bootorder: device 'scsi0' does not exist'"
	s.refused("PUT", conf101, "boot=order=scsi0", 500, text)
	s.ends("POST", conf101, "boot=order=scsi0", text)
	s.data("PUT", conf101, "boot=order=scsi0&scsi0=local:1&protection=1")
	s.refused("PUT", conf101, "delete=scsi0", 500, "can't remove drive 'scsi0' - protection mode enabled")
	for boot, want := range map[string]string{
		"order=scsi0;scsi31": "boot.order: invalid format - invalid boot device 'scsi31'",
		"order=efidisk0":     "boot.order: invalid format - invalid boot device 'efidisk0'",
		"scsi0":              "boot.legacy: value does not match the regex pattern",
	} {
		if got := s.do("PUT", conf101, "boot="+boot); got.code != 400 || !strings.Contains(string(got.body), want) {
			t.Errorf("boot=%s: %d %s", boot, got.code, got.body)
		}
	}
	s.data("PUT", conf101, "boot=cdn")
	s.refused("PUT", conf101, "boot=order=scsi0;ide2&delete=ide2", 500, "invalid bootorder: device 'ide2' does not exist'")
}

// TestStartAfterCreationIsATaskOfItsOwn, which fails where the machine cannot start.
func TestStartAfterCreationIsATaskOfItsOwn(t *testing.T) {
	s := newSim(t)
	s.ends("POST", "/nodes/pve1/qemu", "vmid=201&start=1&net0=virtio,bridge=vmbr0", "OK")
	s.ends("POST", "/nodes/pve1/qemu", "vmid=202&start=1&net0=virtio,bridge=nosuch", "OK")
	for id, want := range map[int]bool{201: true, 202: false} {
		if v, _ := s.VM(id); (v.Status == "running") != want {
			t.Errorf("VM %d is %s", id, v.Status)
		}
	}
	var exits []string
	for _, task := range s.Tasks() {
		if task.Type == "qmstart" {
			exits = append(exits, task.ExitStatus)
		}
	}
	if len(exits) != 2 || exits[0] != "OK" || exits[1] != "bridge 'nosuch' does not exist" {
		t.Errorf("starts ended %q", exits)
	}
}
