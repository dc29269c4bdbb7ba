package pvesim

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const conf101 = "/nodes/pve1/qemu/101/config"

func TestDigestGuardsAChange(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	old := s.conf(101, "digest").(string)
	s.data("PUT", conf101, "cores=2&digest="+old)
	s.refused("PUT", conf101, "cores=3&digest="+old, 500, "checksum mismatch (file change by other user?)")
	s.refused("POST", conf101, "cores=3&digest="+old, 500, "checksum mismatch (file change by other user?)")
	s.ends("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=9G&digest="+old, "checksum mismatch (file change by other user?)")
}

func TestRunningVMKeepsChangesPending(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.data("PUT", conf101, "cores=1&memory=512")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	s.data("PUT", conf101, "cores=4&memory=2048&description=live&cpulimit=2")
	v, _ := s.VM(101)
	if fmt.Sprint(v.Pending) != "map[cores:4 memory:2048]" || v.Description != "live" || v.Config["cpulimit"] != "2" {
		t.Errorf("pending %v, config %v", v.Pending, v.Config)
	}
	s.data("PUT", conf101, "revert=memory")
	s.ends("POST", "/nodes/pve1/qemu/101/status/stop", "", "OK")
	if v, _ = s.VM(101); len(v.Pending) != 0 || v.Config["cores"] != "4" || v.Config["memory"] != "512" {
		t.Errorf("after the stop: pending %v, config %v", v.Pending, v.Config)
	}
}

func TestAdditionalDiskIsNotIdempotent(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	for range 2 {
		s.ends("POST", conf101, "scsi1=shared1:3", "OK")
	}
	if a, b := s.conf(101, "scsi1"), s.conf(101, "unused0"); a != "shared1:101/vm-101-disk-2.raw,size=3G" || b != "shared1:101/vm-101-disk-1.raw" {
		t.Errorf("scsi1 %v, unused0 %v", a, b)
	}
	s.data("PUT", "/nodes/pve1/qemu/101/unlink", "idlist=unused0")
	s.data("PUT", "/nodes/pve1/qemu/101/unlink", "idlist=scsi1&force=1")
	if n := len(s.Volumes()); n != 4 {
		t.Errorf("%d volumes: %v", n, s.Volumes())
	}
}

func TestDiskLimitsAreKeptInOrder(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.data("PUT", conf101, "scsi0=shared1:101/vm-101-disk-0.raw,mbps_wr=40,mbps_rd=50,iops_rd=100")
	if got := s.conf(101, "scsi0"); got != "shared1:101/vm-101-disk-0.raw,iops_rd=100,mbps_rd=50,mbps_wr=40,size=2G" {
		t.Error(got)
	}
	got := s.do("PUT", conf101, "scsi0=shared1:101/vm-101-disk-0.raw,mbps=1,mbps_rd=50")
	if got.code != 400 || !strings.Contains(string(got.body), "unable to parse drive options") {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestNetworkCardWithoutMACGetsANewOne(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	old := s.conf(101, "net0").(string)
	s.data("PUT", conf101, "net0="+old+",tag=7")
	if got := s.conf(101, "net0"); got != old+",tag=7" {
		t.Errorf("%v, had %v", got, old)
	}
	s.data("PUT", conf101, "net0=virtio,bridge=vmbr0")
	if s.conf(101, "net0") == old {
		t.Error("the MAC address stayed")
	}
}

func TestJSONBodiesAreTyped(t *testing.T) {
	for _, c := range []struct {
		body string
		code int
		text string
	}{
		{`{"cores":3,"onboot":true}`, 200, ""},
		{`{"agent":true}`, 400, "type check ('string') failed - got JSON::PP::Boolean"},
		{`{"cores":{}}`, 400, "type check ('integer') failed - got HASH"},
		{`{"cores":`, 500, "malformed JSON string"},
	} {
		s := newSim(t)
		s.clone(101)
		got := s.json("PUT", conf101, c.body)
		if got.code != c.code || !strings.Contains(string(got.body), c.text) {
			t.Errorf("%s: %d %s", c.body, got.code, got.body)
		}
	}
}

// TestConfigurationRoundTrips sets random values, in any order, and reads them back.
func TestConfigurationRoundTrips(t *testing.T) {
	values := map[string][]string{
		"cores": {"1", "8"}, "memory": {"512", "4096"}, "description": {"a\nb", "ü", "%0A"}, "ciuser": {"x"}, "tags": {"a", "a;b"},
		"onboot": {"0", "1"}, "cpulimit": {"1.5", "2"}, "ipconfig0": {"ip=192.0.2.5/24,gw=192.0.2.1", "ip6=auto"}, "name": {"n1", "n2.example"},
	}
	rapid.Check(t, func(t *rapid.T) {
		c := New(Default())
		defer c.Close()
		if err := c.AddVM(VMSpec{VMID: 101, Node: "pve1", Name: "x", Running: rapid.Bool().Draw(t, "running")}); err != nil {
			t.Fatal(err)
		}
		s := &sim{Cluster: c, token: testToken + "=" + Default().Tokens[testToken]}
		want := map[string]string{}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			k := rapid.SampledFrom(sortedKeys(values)).Draw(t, "key")
			if _, set := want[k]; set && rapid.Bool().Draw(t, "remove") {
				delete(want, k)
				if got := s.do("PUT", conf101, "delete="+k); got.code != 200 {
					t.Fatalf("delete %s: %s", k, got.body)
				}
				continue
			}
			want[k] = rapid.SampledFrom(values[k]).Draw(t, "value")
			if got := s.do("PUT", conf101, k+"="+want[k]); got.code != 200 {
				t.Fatalf("%s=%s: %s", k, want[k], got.body)
			}
		}
		v, _ := c.VM(101)
		have := maps.Clone(v.Config)
		maps.Copy(have, v.Pending)
		for k, value := range want {
			if have[k] != value {
				t.Fatalf("%s is %q, was set to %q", k, have[k], value)
			}
		}
	})
}

func TestCloudinitKnowsWhatTheDriveHolds(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.data("PUT", conf101, "ciuser=ann&cipassword=S3cret!&ipconfig0=ip=192.0.2.5/24,gw=192.0.2.1,ip6=2001:db8::5/64,gw6=2001:db8::1")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	s.data("PUT", conf101, "ciuser=bob")
	pending := fmt.Sprint(s.data("GET", "/nodes/pve1/qemu/101/cloudinit", ""))
	if !strings.Contains(pending, "map[key:ciuser pending:bob value:ann]") || strings.Contains(pending, "S3cret") {
		t.Error(pending)
	}
	s.data("PUT", "/nodes/pve1/qemu/101/cloudinit", "")
	if now := fmt.Sprint(s.data("GET", "/nodes/pve1/qemu/101/cloudinit", "")); !strings.Contains(now, "map[key:ciuser value:bob]") {
		t.Error(now)
	}
	network := s.data("GET", "/nodes/pve1/qemu/101/cloudinit/dump", "type=network").(string)
	for _, line := range []string{"address: '192.0.2.5'", "netmask: '255.255.255.0'", "type: static6", "address: '2001:db8::5/64'"} {
		if !strings.Contains(network, line) {
			t.Errorf("no %q in\n%s", line, network)
		}
	}
	for _, call := range s.Calls() {
		if p := call.Params["cipassword"]; p != "" && p != "<hidden>" {
			t.Errorf("a recorded call holds the password %q", p)
		}
	}
}

func TestAVolumeThatASnapshotNeedsIsNotFreed(t *testing.T) {
	s := newSim(t)
	s.ends("POST", "/nodes/pve1/qemu", "vmid=101&scsi0=local-lvm:1&scsi1=local-lvm:1", "OK")
	s.ends("POST", "/nodes/pve1/qemu/101/snapshot", "snapname=s1", "OK")
	held := "unable to delete 'local-lvm:vm-101-disk-1' - volume is still in use (snapshot?)"
	s.badParam("PUT", conf101, "delete=scsi1&force=1", "scsi1", "unable to apply pending change scsi1 : "+held+"\n")
	s.data("PUT", conf101, "revert=scsi1")
	s.data("PUT", conf101, "delete=scsi1")
	s.refused("PUT", conf101, "delete=unused0", 500, held)
	if got := s.conf(101, "unused0"); got != "local-lvm:vm-101-disk-1" {
		t.Errorf("unused0 is %v", got)
	}
	s.ends("DELETE", "/nodes/pve1/qemu/101/snapshot/s1", "", "OK")
	s.data("PUT", conf101, "delete=unused0")
	s.ends("POST", "/nodes/pve1/qemu/101/snapshot", "snapname=s2", "OK")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	s.badParam("PUT", conf101, "delete=scsi0&force=1", "scsi0", "hotplug problem - unable to delete 'local-lvm:vm-101-disk-0' - volume is still in use (snapshot?)\n")
}

func TestAKeyIsChangedInOneWay(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.badParam("PUT", conf101, "cores=2&revert=cores", "delete", "you can't use '-cores' and -revert cores' at the same time")
	s.badParam("PUT", conf101, "delete=cores&revert=cores", "revert", "you can't use '-revert cores' and '-delete cores' at the same time")
	s.data("PUT", conf101, "description=x")
	s.data("PUT", conf101, "description=")
	if got := s.conf(101, "description"); got != nil {
		t.Errorf("an empty description is shown as %v", got)
	}
}

func TestOptionsOfDevices(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	for change, text := range map[string]string{
		"vga=nonsense":            "vga.type: value 'nonsense' does not have a value in the enumeration 'cirrus, qxl, qxl2, qxl3, qxl4, none, serial0, serial1, serial2, serial3, std, virtio, virtio-gl, vmware'",
		"vga=std,memory=1":        "vga.memory: value must have a minimum value of 4",
		"audio0=device=nonsense":  "audio0.device: value 'nonsense' does not have a value in the enumeration 'ich9-intel-hda, intel-hda, AC97'",
		"machine=q35,viommu=none": "machine.viommu: value 'none' does not have a value in the enumeration 'intel, virtio'",
		"numa0=memory=512":        "numa0.cpus: property is missing and it is not optional",
		"usb0=spice,usb4=1":       "usb0.usb4: property is not defined in schema and the schema does not allow additional properties",
	} {
		name, _, _ := strings.Cut(change, "=")
		s.badParam("PUT", conf101, change, name, "invalid format - format error\n"+text+"\n")
	}
	s.data("PUT", conf101, "vga=serial0&machine=q35&numa0=cpus=0-1,memory=512&usb0=spice,usb3=1&audio0=device=AC97")
}
