package pvesim

import (
	"fmt"
	"strings"
	"testing"
)

func TestNetworkOfANode(t *testing.T) {
	s := newSim(t)
	const path = "/nodes/pve1/network"
	names := func() string {
		text := []string{}
		for _, x := range s.data("GET", path, "type=any_bridge").([]any) {
			o := x.(map[string]any)
			text = append(text, fmt.Sprint(o["iface"], " ", o["active"]))
		}
		return strings.Join(text, ", ")
	}
	s.data("POST", path, "iface=vmbr9&type=bridge&cidr=198.51.100.1/24&bridge_ports=eno2&autostart=1&mtu=9000")
	s.data("POST", path, "iface=bond0&type=bond&slaves=eno1 eno2&bond_mode=802.3ad")
	if got := names(); got != "vmbr0 1, vmbr9 <nil>" {
		t.Errorf("before it is applied: %s", got)
	}
	s.clone(101)
	s.data("PUT", conf101, "net1=virtio,bridge=vmbr9")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "bridge 'vmbr9' does not exist")
	for params, want := range map[string]string{
		"iface=vmbr9&type=bridge":           `"iface":"interface already exists"`,
		"iface=vmbr8&type=tunnel":           `"type":"value 'tunnel' does not have a value`,
		"iface=vmbr8&type=bridge&mtu=100":   `"mtu":"value must have a minimum value of 1280"`,
		"iface=vmbr8&type=bridge&address=x": `"address":"invalid format`,
	} {
		if got := s.do("POST", path, params); got.code != 400 || !strings.Contains(string(got.body), want) {
			t.Errorf("%s: %d %s", params, got.code, got.body)
		}
	}
	s.ends("PUT", path, "", "OK")
	if got := names(); got != "vmbr0 1, vmbr9 1" {
		t.Errorf("after it is applied: %s", got)
	}
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	s.data("PUT", path+"/vmbr9", "type=bridge&comments=dmz&delete=mtu")
	if got := s.data("GET", path+"/vmbr9", "").(map[string]any); got["comments"] != "dmz" || got["mtu"] != nil || got["cidr"] != "198.51.100.1/24" || got["method"] != "static" {
		t.Errorf("%v", got)
	}
	s.data("DELETE", path+"/vmbr0", "")
	s.data("DELETE", path, "") // never mind
	s.data("DELETE", path+"/vmbr9", "")
	s.ends("PUT", path, "", "OK")
	if got := names(); got != "vmbr0 1" {
		t.Errorf("at the end: %s", got)
	}
	if got := s.do("DELETE", path+"/vmbr9", ""); got.code != 400 || !strings.Contains(string(got.body), "interface does not exist") {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestManyMachinesMove(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.clone(102)
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	s.ends("POST", "/nodes/pve1/migrateall", "target=pve2&vms=101,102&with-local-disks=1", "OK")
	s.refused("POST", "/nodes/pve2/migrateall", "target=pve9", 500, "no such cluster node 'pve9'")
	s.data("POST", "/cluster/ha/resources", "sid=vm:101")
	if got := fmt.Sprint(s.data("POST", "/cluster/ha/resources/vm:101/migrate", "node=pve3")); got != "map[requested-node:pve3 sid:vm:101]" {
		t.Errorf("%s", got)
	}
	for id, node := range map[int]string{101: "pve3", 102: "pve2", 9000: "pve1"} {
		if v, _ := s.VM(id); v.Node != node {
			t.Errorf("%d on %s, want %s", id, v.Node, node)
		}
	}
	if v, _ := s.VM(101); v.Status != "running" {
		t.Errorf("101 %s", v.Status)
	}
}
