package pvesim

import (
	"fmt"
	"strings"
	"testing"
)

func TestAllGuestsOfANode(t *testing.T) {
	s := newSim(t)
	for id := 101; id <= 103; id++ {
		s.clone(id)
	}
	s.data("PUT", conf101, "onboot=1")
	states := func() string {
		text := ""
		for _, v := range s.VMs() {
			text += fmt.Sprint(v.VMID, " ", v.Status, v.Lock, " ")
		}
		return text
	}
	for _, c := range []struct{ call, params, want string }{
		{"startall", "", "101 running 102 stopped 103 stopped 9000 stopped "},
		{"startall", "force=1&vms=102,9000", "101 running 102 running 103 stopped 9000 stopped "},
		{"stopall", "vms=101", "101 stopped 102 running 103 stopped 9000 stopped "},
		{"startall", "force=1", "101 running 102 running 103 running 9000 stopped "},
		{"suspendall", "vms=103", "101 running 102 running 103 stoppedsuspended 9000 stopped "},
		{"stopall", "", "101 stopped 102 stopped 103 stoppedsuspended 9000 stopped "},
	} {
		s.ends("POST", "/nodes/pve1/"+c.call, c.params, "OK")
		if got := states(); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.call, c.params, got, c.want)
		}
	}
	started := 0
	for _, task := range s.Tasks() {
		started += flag(task.Type == "qmstart")
	}
	if started != 4 {
		t.Errorf("%d machines were started in a task of their own", started)
	}
}

func TestNodePower(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.clone(102)
	s.ends("POST", "/nodes/pve1/startall", "force=1", "OK")
	s.data("PUT", conf101, "onboot=1")
	s.data("POST", "/nodes/pve1/status", "command=reboot")
	one, _ := s.VM(101)
	two, _ := s.VM(102)
	if one.Status != "running" || two.Status != "stopped" {
		t.Errorf("after the reboot: %s, %s", one.Status, two.Status)
	}
	s.data("POST", "/nodes/pve1/status", "command=shutdown")
	s.refused("GET", conf101, "", 595, noRoute)
	s.refused("POST", "/nodes/pve1/wakeonlan", "", 500, "No wake on LAN MAC address defined for 'pve1'!")
	s.refused("POST", "/nodes/pve9/wakeonlan", "", 500, "no such cluster node 'pve9'")
	s.SetNodeOnline("pve1", true)
	if got := s.do("PUT", "/nodes/pve1/config", "wakeonlan=nothing"); got.code != 400 {
		t.Errorf("%d %s", got.code, got.body)
	}
	s.data("PUT", "/nodes/pve1/config", "wakeonlan=bc:24:11:00:00:09&description=first&startall-onboot-delay=5")
	s.data("PUT", "/nodes/pve1/config", "delete=description")
	if got := fmt.Sprint(s.data("GET", "/nodes/pve1/config", "")); !strings.Contains(got, "startall-onboot-delay:5 wakeonlan:bc:24:11:00:00:09]") || strings.Contains(got, "first") {
		t.Errorf("%s", got)
	}
	s.data("POST", "/nodes/pve1/status", "command=shutdown")
	if got := s.data("POST", "/nodes/pve1/wakeonlan", ""); got != "bc:24:11:00:00:09" {
		t.Errorf("%v", got)
	}
	if one, _ = s.VM(101); one.Status != "running" {
		t.Errorf("after waking: %s", one.Status)
	}
}

func TestWhatNodesTell(t *testing.T) {
	s := newSim(t)
	for path, want := range map[string]string{
		"/nodes/pve1/services":                       "service:pveproxy state:running",
		"/nodes/pve1/sdn/zones":                      "zone:localnetwork",
		"/nodes/pve1/sdn/zones/localnetwork/content": "vnet:vmbr0",
		"/cluster/config/nodes":                      "node:pve3 nodeid:3",
		"/nodes/pve1/disks/list":                     "devpath:/dev/nvme0n1",
		"/nodes/pve1/disks/smart?disk=/dev/nvme0n1":  "health:PASSED",
		"/nodes/pve1/subscription":                   "status:notfound",
		"/nodes/pve1/capabilities/qemu/cpu":          "name:EPYC-Genoa vendor:AuthenticAMD",
		"/nodes/pve1/capabilities/qemu/machines":     "id:pc-q35-10.0",
		"/nodes/pve1/storage/local/rrddata":          "used:",
		"/nodes/pve1/capabilities":                   "name:qemu",
	} {
		path, params, _ := strings.Cut(path, "?")
		if strings.HasSuffix(path, "rrddata") {
			params = "timeframe=day"
		}
		if got := fmt.Sprint(s.data("GET", path, params)); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
	s.refused("GET", "/nodes/pve1/disks/smart", "disk=/dev/sdz", 500, "unable to get physical disk for '/dev/sdz'")
	s.refused("GET", "/cluster/ceph/status", "", 500, "binary not installed: /usr/bin/ceph-mon")
	if got := s.do("PUT", "/nodes/pve1/time", "timezone=Moon/Sea"); got.code != 400 {
		t.Errorf("%d %s", got.code, got.body)
	}
	s.data("PUT", "/nodes/pve1/time", "timezone=UTC")
}
