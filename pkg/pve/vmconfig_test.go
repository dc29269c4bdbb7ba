package pve

import (
	"errors"
	"slices"
	"testing"
)

func config(kv ...string) VMConfig {
	v := VMConfig{Values: map[string]string{}}
	for i := 0; i < len(kv); i += 2 {
		v.Values[kv[i]] = kv[i+1]
	}
	return v
}

func TestVMConfigValues(t *testing.T) {
	body := `{"data":{"cores":4,"memory":"2048","cpulimit":"1.5","kvm":0,"template":1,"description":"a\nb","tags":"a;b;c",` +
		`"digest":"d1","lock":"clone","name":"n","vmgenid":"u","numa":true}}`
	v, err := newTest(t, always(200, "OK", body)).VMConfig(t.Context(), "pve1", 101)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cores": "4", "memory": "2048", "cpulimit": "1.5", "kvm": "0", "template": "1", "numa": "1"}
	for k, w := range want {
		if v.Values[k] != w {
			t.Errorf("%s is %q, want %q", k, v.Values[k], w)
		}
	}
	if v.Digest != "d1" || v.Lock != "clone" || v.Has("digest") || v.Has("lock") || !v.Template() {
		t.Errorf("%+v", v)
	}
	if v.Name() != "n" || v.Description() != "a\nb" || v.VMGenID() != "u" || !slices.Equal(v.Tags(), []string{"a", "b", "c"}) {
		t.Errorf("%s %q %s %v", v.Name(), v.Description(), v.VMGenID(), v.Tags())
	}
}

func TestVMConfigWithoutDigest(t *testing.T) {
	if _, err := newTest(t, always(200, "OK", `{"data":{}}`)).VMConfig(t.Context(), "pve1", 101); KindOf(err) != Unreachable {
		t.Error(err)
	}
}

func TestDiskAndNet(t *testing.T) {
	v := config("scsi0", "local:101/vm-101-disk-0.qcow2,size=1G", "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "scsi1", ",", "net1", "x")
	if d, err := v.Disk("scsi0"); err != nil || d.Storage() != "local" {
		t.Errorf("%+v, %v", d, err)
	}
	if n, err := v.Net("net0"); err != nil || n.Bridge() != "vmbr0" {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := v.Disk("scsi2"); !errors.Is(err, ErrNotSet) {
		t.Error(err)
	}
	if _, err := v.Net("net7"); !errors.Is(err, ErrNotSet) {
		t.Error(err)
	}
	// What does not parse is there all the same.
	if _, err := v.Disk("scsi1"); err == nil || errors.Is(err, ErrNotSet) {
		t.Error(err)
	}
	if _, err := v.Net("net1"); err == nil || errors.Is(err, ErrNotSet) {
		t.Error(err)
	}
}

func TestSystemDisk(t *testing.T) {
	const disk, cd = "local:101/vm-101-disk-0.qcow2,size=1G", "local:101/vm-101-cloudinit.qcow2,media=cdrom"
	for _, test := range []struct {
		name, want string
		v          VMConfig
	}{
		{"order", "scsi0", config("boot", "order=scsi0", "scsi0", disk, "ide2", cd)},
		{"order with CD and net first", "virtio1", config("boot", "order=ide2;net0;virtio1;scsi0", "scsi0", disk, "virtio1", disk, "ide2", cd, "net0", "virtio")},
		{"order names what is not there", "scsi0", config("boot", "order=sata0;net0", "scsi0", disk)},
		{"old", "virtio0", config("boot", "cdn", "bootdisk", "virtio0", "virtio0", disk, "scsi0", disk)},
		{"old with order", "scsi0", config("boot", "legacy=cdn", "bootdisk", "scsi0", "scsi0", disk, "ide0", disk)},
		{"none, first disk", "scsi3", config("ide2", cd, "scsi3", disk, "virtio0", disk, "efidisk0", disk, "unused0", disk)},
		{"cloud-init without media", "sata0", config("scsi0", "local:cloudinit", "sata0", disk)},
		{"empty CD", "", config("ide2", "none,media=cdrom")},
		{"nothing", "", config()},
	} {
		if got := test.v.SystemDisk(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
