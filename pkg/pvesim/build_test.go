package pvesim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAClusterIsBuiltThroughTheAPI starts from bare nodes with one storage and makes everything else by
// calls: storage, pool, role, user, group, token, permissions, template. The token that was made clones
// from the template that was made.
func TestAClusterIsBuiltThroughTheAPI(t *testing.T) {
	s := newSim(t, func(cfg *Config) {
		cfg.Storages, cfg.Templates = []Storage{{Name: "local"}}, nil
	})
	s.data("POST", "/storage", "storage=fast&type=lvmthin&vgname=pve&thinpool=data&content=images&nodes=pve1,pve2")
	s.data("POST", "/storage", "storage=nas&type=nfs&server=192.0.2.5&export=/x&content=images,backup")
	if o := s.data("GET", "/storage/nas", "").(map[string]any); o["shared"] != 1.0 || o["server"] != "192.0.2.5" {
		t.Errorf("storage %v", o)
	}
	s.data("POST", "/pools", "poolid=customers")
	s.ends("POST", "/nodes/pve1/qemu", "vmid=9001&name=debian&memory=1024&agent=1&scsihw=virtio-scsi-single&serial0=socket&scsi0=nas:3&ide2=nas:cloudinit&net0=virtio,bridge=vmbr0&boot=order=scsi0&pool=customers", "OK")
	s.ends("POST", "/nodes/pve1/qemu/9001/template", "", "OK")
	if v, ok := s.VM(9001); !ok || !v.Template || v.Pool != "customers" || v.Config["scsi0"] != "nas:9001/base-9001-disk-0.raw,size=3G" {
		t.Errorf("template %+v", v)
	}
	s.data("POST", "/access/roles", "roleid=prov&privs=VM.Allocate,VM.Clone,VM.Audit")
	s.data("PUT", "/access/roles/prov", "append=1&privs=Datastore.AllocateSpace")
	s.data("POST", "/access/groups", "groupid=robots")
	s.data("POST", "/access/users", "userid=prov@pve&groups=robots&comment=provisioner")
	token := s.data("POST", "/access/users/prov@pve/token/t1", "").(map[string]any)
	s.data("PUT", "/storage/fast", "disable=1")
	s.data("PUT", "/pools", "poolid=customers&storage=nas")
	s.data("PUT", "/access/acl", "path=/pool/customers&groups=robots&roles=prov")
	s.data("PUT", "/access/acl", "path=/sdn/zones/localnetwork/vmbr0&groups=robots&roles=PVESDNUser")
	mine := &sim{s.Cluster, t, "prov@pve!t1=" + token["value"].(string)}
	clone := "newid=101&full=1&pool=customers&storage=nas"
	mine.refused("POST", "/nodes/pve1/qemu/9001/clone", clone, 403, "Permission check failed (/vms/9001, VM.Clone)")
	s.data("PUT", "/access/acl", "path=/&tokens=prov@pve!t1&roles=Administrator")
	mine.ends("POST", "/nodes/pve1/qemu/9001/clone", clone, "OK")
	mine.refused("GET", "/nodes/pve1/status", "", 403, "Permission check failed (/nodes/pve1, Sys.Audit)")

	s.data("PUT", "/access/users/prov@pve", "enable=0")
	mine.refused("GET", "/version", "", 401, "Authentication failed!")
	s.data("PUT", "/access/users/prov@pve", "enable=1")
	s.data("PUT", "/access/users/prov@pve/token/t1", "expire=1")
	mine.refused("GET", "/version", "", 401, "Authentication failed!")
	s.data("DELETE", "/access/users/prov@pve", "")
	if body := string(s.do("GET", "/access/acl", "").body); strings.Contains(body, "prov@pve") {
		t.Errorf("the user's permissions are left: %s", body)
	}
	s.refused("GET", "/access/users/prov@pve", "", 500, "no such user ('prov@pve')")
	s.data("DELETE", "/storage/fast", "")
	s.refused("GET", "/storage/fast", "", 500, "storage 'fast' does not exist")
}

func TestSingleObjects(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	for _, c := range []struct {
		method, path, params string
		code                 int
		says                 string // in the reason phrase or the body
	}{
		{"GET", "/", "", 200, `"subdir":"nodes"`},
		{"GET", "/nodes/pve1", "", 200, `"name":"qemu"`},
		{"GET", "/nodes/pve1/qemu/101", "", 200, `"subdir":"config"`},
		{"GET", "/nodes/pve1/qemu/101/status", "", 200, `"subdir":"current"`},
		{"GET", "/nodes/pve1/storage/local", "", 200, `"subdir":"content"`},
		{"GET", "/nodes/pve1/lxc", "", 200, `{"data":[]}`},
		{"GET", "/nodes/pve1/time", "", 200, `"timezone":"UTC"`},
		{"GET", "/nodes/pve1/version", "", 200, `"version":"9.2.11"`},
		{"GET", "/nodes/pve1/network/vmbr0", "", 200, `"type":"bridge"`},
		{"GET", "/nodes/pve1/network/vmbr9", "", 400, "interface does not exist"},
		{"GET", "/nodes/pve1/rrddata", "timeframe=hour", 200, `"time":`},
		{"GET", "/nodes/pve1/qemu/101/rrddata", "timeframe=day", 200, `"maxmem":`},
		{"GET", "/access", "", 200, `"subdir":"acl"`},
		{"GET", "/access/domains", "", 200, `"realm":"pve"`},
		{"GET", "/access/domains/ldap", "", 500, "domain 'ldap' does not exist"},
		{"GET", "/access/groups/none", "", 500, "group 'none' does not exist"},
		{"PUT", "/access/users/none@pve", "comment=x", 500, "update user failed: no such user ('none@pve')"},
		{"POST", "/access/users", "userid=x@pve&groups=none", 500, "create user failed: group 'none' does not exist"},
		{"DELETE", "/access/users/root@pam", "", 500, "delete user failed: unable to delete 'root@pam'"},
		{"DELETE", "/access/roles/Administrator", "", 500, "delete role failed: auto-generated role 'Administrator' cannot be modified"},
		{"PUT", "/access/roles/none", "privs=VM.Audit", 500, "update role failed: role 'none' does not exist"},
		{"PUT", "/access/roles/none", "append=1", 400, "missing property - 'append' requires this property"},
		{"GET", "/access/users/vmline@pve/token/none", "", 500, "no such token 'none' for user 'vmline@pve'"},
		{"GET", "/access/users/vmline@pve/token/prov", "", 200, `"privsep":1`},
		{"PUT", "/storage/none", "disable=1", 500, "storage 'none' does not exist"},
		{"PUT", "/storage/local", "digest=x&disable=1", 500, "detected modified configuration"},
		{"GET", "/cluster/ha/resources/vm:101", "", 500, "no such resource 'vm:101'"},
		{"GET", "/cluster/firewall/groups/none", "", 500, "no such security group 'none'"},
		{"GET", "/cluster/firewall/macros", "", 200, `"macro":"SSH"`},
	} {
		got := s.do(c.method, c.path, c.params)
		if got.code != c.code || !strings.Contains(got.reason+string(got.body), c.says) {
			t.Errorf("%s %s %s: %d %s %s", c.method, c.path, c.params, got.code, got.reason, got.body)
		}
	}
}

func TestFirewallOfClusterNodeAndGroup(t *testing.T) {
	s := newSim(t)
	s.data("POST", "/cluster/firewall/groups", "group=web&comment=servers")
	for _, base := range []string{"/cluster/firewall/rules", "/nodes/pve2/firewall/rules", "/cluster/firewall/groups/web"} {
		s.data("POST", base, "type=in&action=ACCEPT&proto=tcp&dport=80&enable=1")
		s.data("POST", base, "type=in&action=DROP")
		s.data("PUT", base+"/1", "comment=http")
		if rules := s.data("GET", base, "").([]any); len(rules) != 2 || rules[1].(map[string]any)["comment"] != "http" {
			t.Errorf("%s: %v", base, rules)
		}
		s.data("DELETE", base+"/0", "")
	}
	if rules := s.data("GET", "/nodes/pve1/firewall/rules", "").([]any); len(rules) != 0 {
		t.Errorf("pve1 has the rules of pve2: %v", rules)
	}
	s.refused("DELETE", "/cluster/firewall/groups/web", "", 500, "Security group 'web' is not empty")
	s.data("DELETE", "/cluster/firewall/groups/web/0", "")
	s.data("POST", "/cluster/firewall/groups", "group=www&rename=web")
	s.data("DELETE", "/cluster/firewall/groups/www", "")
	s.data("PUT", "/cluster/firewall/options", "enable=1")
	s.data("POST", "/cluster/firewall/aliases", "name=office&cidr=192.0.2.0/28")
	s.clone(101)
	if refs := s.data("GET", "/nodes/pve1/qemu/101/firewall/refs", "").([]any); len(refs) != 1 || refs[0].(map[string]any)["ref"] != "dc/office" {
		t.Errorf("refs %v", refs)
	}
	if f := s.Firewalls(); len(f) != 0 {
		t.Errorf("VMs have firewalls: %v", f)
	}
}

// TestNetworkInIPSet: the address of a network has a slash in it, which comes as %2F.
func TestNetworkInIPSet(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	set := "/nodes/pve1/qemu/101/firewall/ipset/ipfilter-net0"
	s.data("POST", "/nodes/pve1/qemu/101/firewall/ipset", "name=ipfilter-net0")
	s.data("POST", set, "cidr=192.0.2.0/24")
	s.data("POST", set, "cidr=2001:db8::/64")
	s.data("PUT", set+"/192.0.2.0%2F24", "comment=office")
	if o := s.data("GET", set+"/192.0.2.0%2F24", "").(map[string]any); o["comment"] != "office" {
		t.Errorf("entry %v", o)
	}
	remove := s.AddFault(Fault{Kind: Refuse, Method: "DELETE", Path: "/nodes/*/qemu/*/firewall/ipset/*/*", Text: "no"})
	s.refused("DELETE", set+"/192.0.2.0%2F24", "", 500, "no")
	remove()
	s.data("DELETE", set+"/192.0.2.0%2F24", "")
	s.data("DELETE", set+"/2001:db8::%2F64", "")
	s.data("DELETE", set, "")
}

func TestHighAvailability(t *testing.T) {
	inTime(t, Durations{Start: 2 * time.Second, Stop: time.Second}, func(s *sim) {
		s.clone(101)
		vm := "/nodes/pve1/qemu/101"
		s.data("POST", "/cluster/ha/resources", "sid=vm:101&state=stopped&max_restart=2")
		s.refused("POST", "/cluster/ha/resources", "sid=101", 500, "create resource failed: resource ID 'vm:101' already defined")
		ha := func() string { return fmt.Sprint(s.data("GET", vm+"/status/current", "").(map[string]any)["ha"]) }
		if got := ha(); got != "map[managed:1 state:stopped]" {
			t.Errorf("ha %s", got)
		}
		s.refused("DELETE", vm, "", 500, "unable to remove VM 101 - used in HA resources and purge parameter not set.")
		// The task that asks is over before the VM runs.
		upid := s.begin("POST", vm+"/status/start", "")
		if task := s.task(upid); task.Type != "hastart" || task.ExitStatus != "OK" {
			t.Errorf("%+v", task)
		}
		if v, _ := s.VM(101); v.Status != "stopped" {
			t.Error("the VM runs already")
		}
		pass(3 * time.Second)
		if v, _ := s.VM(101); v.Status != "running" || ha() != "map[managed:1 state:started]" {
			t.Errorf("VM %s, ha %s", v.Status, ha())
		}
		s.ends("POST", vm+"/status/shutdown", "", "OK")
		pass(2 * time.Second)
		s.ends("DELETE", vm, "purge=1", "OK")
		if list := s.data("GET", "/cluster/ha/resources", "").([]any); len(list) != 0 {
			t.Errorf("resources %v", list)
		}
		s.ends("POST", "/nodes/pve1/qemu", "vmid=102&ha-managed=1", "OK")
		s.data("DELETE", "/cluster/ha/resources/vm:102", "")
		s.ends("DELETE", "/nodes/pve1/qemu/102", "", "OK")
	})
}

func TestGuestAgentCommands(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.data("PUT", "/nodes/pve1/qemu/101/config", "name=web.example.com&cores=2")
	agent := "/nodes/pve1/qemu/101/agent"
	s.refused("GET", agent+"/get-host-name", "", 500, "VM 101 is not running")
	s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
	for command, want := range map[string]string{"get-host-name": "map[host-name:web]", "get-timezone": "map[offset:0 zone:UTC]", "fsfreeze-status": "thawed", "ping": "map[]"} {
		if got := fmt.Sprint(s.data("POST", agent, "command="+command).(map[string]any)["result"]); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
	if cpus := s.data("GET", agent+"/get-vcpus", "").(map[string]any)["result"].([]any); len(cpus) != 2 {
		t.Errorf("vcpus %v", cpus)
	}
	s.data("POST", agent+"/set-user-password", "username=root&password=hidden")
	for _, call := range s.Calls() {
		if call.Params["password"] == "hidden" {
			t.Error("the password is kept")
		}
	}
	s.data("POST", agent+"/shutdown", "")
	if v, _ := s.VM(101); v.Status != "stopped" {
		t.Error("the VM still runs")
	}
}
