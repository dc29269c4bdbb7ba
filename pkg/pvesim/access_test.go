package pvesim

import (
	"strings"
	"testing"
)

// limited makes a caller with a role on some paths; user and token have the same.
func limited(t *testing.T, privs string, paths ...string) *sim {
	s := newSim(t, func(cfg *Config) {
		cfg.Tokens["few@pve!t1"] = "s"
		cfg.Roles = map[string][]string{"Few": strings.Fields(privs)}
		cfg.Pools = []string{"p"}
		cfg.ACL = []ACL{}
		for _, p := range paths {
			cfg.ACL = append(cfg.ACL, ACL{Path: p, Who: "few@pve", Role: "Few"}, ACL{Path: p, Who: "few@pve!t1", Role: "Few"})
		}
	})
	s.token = "few@pve!t1=s"
	return s
}

func TestPermissions(t *testing.T) {
	none := limited(t, "")
	none.refused("GET", "/nodes/pve1/qemu/9000/config", "", 403, "Permission check failed (/vms/9000, VM.Audit)")
	none.refused("POST", clonePath, "newid=101", 403, "Permission check failed (/vms/9000, VM.Clone)")
	none.refused("GET", "/cluster/status", "", 403, "Permission check failed (/, Sys.Audit)")
	if list := none.data("GET", "/cluster/resources", "type=vm").([]any); len(list) != 0 {
		t.Errorf("sees %v", list)
	}

	all := limited(t, "VM.Clone VM.Audit VM.Allocate Datastore.AllocateSpace SDN.Use VM.Config.CPU VM.PowerMgmt", "/")
	all.clone(101)
	all.data("PUT", conf101, "cores=2")
	all.refused("PUT", conf101, "memory=2048", 403, "Permission check failed (/vms/101, VM.Config.Memory)")
	all.refused("PUT", conf101, "net0=virtio,bridge=vmbr0", 403, "Permission check failed (/vms/101, VM.Config.Network)")
	all.ends("POST", status101+"start", "", "OK")

	noStorage := limited(t, "VM.Clone VM.Audit VM.Allocate SDN.Use", "/")
	noStorage.refused("POST", clonePath, "newid=101&full=1", 403, "Permission check failed (/storage/shared1, Datastore.AllocateSpace)")
	noBridge := limited(t, "VM.Clone VM.Allocate Datastore.AllocateSpace", "/")
	noBridge.refused("POST", clonePath, "newid=101&full=1", 403, "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)")
}

func TestDeeperEntryReplacesTheOneAbove(t *testing.T) {
	s := limited(t, "VM.Audit", "/")
	s.data("GET", "/nodes/pve1/qemu/9000/config", "")
	s.mu.Lock()
	s.access.acl = append(s.access.acl, ACL{Path: "/vms/9000", Who: "few@pve", Role: "NoAccess"})
	s.mu.Unlock()
	s.refused("GET", "/nodes/pve1/qemu/9000/config", "", 403, "Permission check failed (/vms/9000, VM.Audit)")
}

func TestTokenHasNoMoreThanItsUser(t *testing.T) {
	s := limited(t, "VM.Audit")
	s.mu.Lock()
	s.access.acl = []ACL{{Path: "/", Who: "few@pve!t1", Role: "Administrator"}}
	s.mu.Unlock()
	s.refused("GET", "/nodes/pve1/qemu/9000/config", "", 403, "Permission check failed (/vms/9000, VM.Audit)")
}

func TestPoolGivesRightsOnItsMembers(t *testing.T) {
	s := limited(t, "VM.Allocate VM.Clone VM.Audit VM.PowerMgmt Datastore.AllocateSpace Pool.Audit", "/pool/p")
	s.mu.Lock()
	s.pools["p"].vms[9000], s.pools["p"].storages["shared1"] = true, true
	s.access.acl = append(s.access.acl, ACL{Path: "/sdn", Who: "few@pve", Role: "PVESDNUser"}, ACL{Path: "/sdn", Who: "few@pve!t1", Role: "PVESDNUser"})
	s.mu.Unlock()
	s.refused("POST", clonePath, "newid=101&full=1", 403, "Permission check failed")
	s.refused("POST", clonePath, "newid=101&full=1&pool=none", 403, "Permission check failed (pool 'none' does not exist)")
	s.ends("POST", clonePath, "newid=101&full=1&pool=p", "OK")
	if v, _ := s.VM(101); v.Pool != "p" {
		t.Errorf("pool %q", v.Pool)
	}
	s.ends("POST", status101+"start", "", "OK")
	s.ends("POST", status101+"stop", "", "OK")
	s.ends("DELETE", "/nodes/pve1/qemu/101", "", "OK")
	s.refused("DELETE", "/nodes/pve1/qemu/101", "", 403, "Permission check failed (/vms/101, VM.Allocate)")
}

func TestTasksOfOthersAreHidden(t *testing.T) {
	s := newSim(t, func(cfg *Config) { cfg.Tokens["few@pve!t1"] = "s"; cfg.ACL = nil })
	s.mu.Lock()
	s.access.acl = []ACL{{Path: "/", Who: "vmline@pve", Role: "Administrator"}, {Path: "/", Who: testToken, Role: "Administrator"}}
	s.mu.Unlock()
	upid := s.begin("POST", clonePath, "newid=101&full=1")
	s.data("GET", "/nodes/pve1/tasks/"+upid+"/status", "")
	s.token = "few@pve!t1=s"
	s.refused("GET", "/nodes/pve1/tasks/"+upid+"/status", "", 403, "Permission check failed (/nodes/pve1, Sys.Audit)")
	s.refused("DELETE", "/nodes/pve1/tasks/"+upid, "", 403, "Permission check failed (/nodes/pve1, Sys.Modify)")
	if list := s.data("GET", "/nodes/pve1/tasks", "").([]any); len(list) != 0 {
		t.Errorf("sees %v", list)
	}
}

// TestOnlyRootChangesWhatReachesTheHost: not even a token of root@pam with all privileges does.
func TestOnlyRootChangesWhatReachesTheHost(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	for change, text := range map[string]string{
		"args=-x":                      "only root can set 'args' config",
		"delete=args":                  "only root can set 'args' config",
		"hookscript=local:snippets/x":  "only root can set 'hookscript' config",
		"affinity=0-3":                 "only root can set 'affinity' config",
		"lock=backup":                  "only root can set 'lock' config",
		"delete=lock":                  "only root can set 'lock' config",
		"hostpci0=0000:00:01.0":        "only root can set 'hostpci0' config for non-mapped devices",
		"serial1=/dev/ttyS0":           "only root can set 'serial1' config for real devices",
		"usb0=host=1234:5678":          "only root can set 'usb0' config for real devices",
		"cores=2&hookscript=local:s/x": "only root can set 'hookscript' config",
		"cores=2&delete=args,affinity": "only root can set 'affinity' config",
	} {
		s.refused("PUT", conf101, change, 500, text)
	}
	s.data("PUT", conf101, "serial1=socket&usb0=spice")
}

func TestANewMachineNeedsTheRightToEachKey(t *testing.T) {
	s := limited(t, "VM.Allocate VM.Config.Memory", "/pool/p")
	s.refused("POST", "/nodes/pve1/qemu", "vmid=201&pool=p&memory=512&cores=2", 403, "Permission check failed (/vms/201, VM.Config.CPU)")
	s.ends("POST", "/nodes/pve1/qemu", "vmid=201&pool=p&memory=512", "OK")
	few := limited(t, "VM.Allocate VM.Audit VM.Config.Options", "/")
	few.refused("POST", "/nodes/pve1/qemu", "vmid=201&startup=order=1", 403, "Permission check failed (/, Sys.Modify)")
	few.refused("POST", "/nodes/pve1/qemu", "vmid=201&boot=order=net0", 403, "Permission check failed (/vms/201, VM.Config.Disk)")
}

func TestPermissionsAreGivenOnlyToWhatThereIs(t *testing.T) {
	s := newSim(t)
	s.data("POST", "/access/users", "userid=u@pve")
	for params, want := range map[string]string{
		"path=/vms/101&roles=PVEAdmin&users=nobody@pve": "ACL update failed: user 'nobody@pve' does not exist",
		"path=/vms/101&roles=PVEAdmin&groups=none":      "ACL update failed: group 'none' does not exist",
		"path=/vms/101&roles=PVEAdmin&tokens=u@pve!t1":  "ACL update failed: no such token 't1' for user 'u@pve'",
		"path=/vms/101&roles=Nobody&users=u@pve":        "ACL update failed: role 'Nobody' does not exist",
	} {
		s.refused("PUT", "/access/acl", params, 500, want)
	}
	s.badParam("PUT", "/access/acl", "path=/vm/101&roles=PVEAdmin&users=u@pve", "path", "invalid ACL path '/vm/101'")
	s.badParam("PUT", "/access/acl", "path=/vms/101&roles=PVEAdmin", "users", "either 'users', 'groups' or 'tokens' is required.")
	s.data("PUT", "/access/acl", "path=/sdn/zones/localnetwork/vmbr0&roles=PVESDNUser&users=u@pve")
	s.refused("DELETE", "/access/roles/PVEAdmin", "", 500, "delete role failed: auto-generated role 'PVEAdmin' cannot be modified")
}

// TestNoAccessCountsMoreThanAnything that is granted at the same place, or by a pool.
func TestNoAccessCountsMoreThanAnything(t *testing.T) {
	s := limited(t, "VM.Audit", "/pool/p", "/vms/9000")
	s.mu.Lock()
	s.pools["p"].vms[101] = true
	s.mu.Unlock()
	give := func(role, path string) {
		s.mu.Lock()
		s.access.acl = append(s.access.acl, ACL{Path: path, Who: "few@pve!t1", Role: role})
		s.mu.Unlock()
	}
	s.refused("GET", "/nodes/pve1/qemu/101/config", "", 500, "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist")
	s.data("GET", "/nodes/pve1/qemu/9000/config", "")
	give("NoAccess", "/vms/101")
	give("NoAccess", "/vms/9000")
	s.refused("GET", "/nodes/pve1/qemu/101/config", "", 403, "Permission check failed (/vms/101, VM.Audit)")
	s.refused("GET", "/nodes/pve1/qemu/9000/config", "", 403, "Permission check failed (/vms/9000, VM.Audit)")
}
