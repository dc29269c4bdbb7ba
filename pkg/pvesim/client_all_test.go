package pvesim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/luthermonson/go-proxmox"
)

// check is one call of a client, by name.
type check struct {
	name string
	call func() error
}

// defects are calls in which go-proxmox v0.8.2 errs against a real Proxmox VE too, with its words.
var defects = map[string]string{
	"MigratePreconditions": "VirtualMachineMigratePreconditions.",                                // it wants JSON's booleans, where Perl sends numbers
	"Networks":             "NodeNetwork.bridge_fd of type string",                               // recorded as a number
	"Network":              "NodeNetwork.bridge_fd of type string",                               // likewise
	"QEMUCPUModels":        "QEMUCPUModel.custom of type bool",                                   // Perl sends numbers
	"Storage.Status":       "cannot unmarshal array into Go value of type proxmox.StorageStatus", // it asks for the index page
}

func (c check) run(t *testing.T) {
	t.Helper()
	err := c.call()
	if defect := defects[c.name]; defect != "" && err != nil && strings.Contains(err.Error(), defect) {
		return
	}
	if err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
}

// runs turns a client's call that starts a task into one that fails when the task does.
func runs(start func() (*proxmox.Task, error)) func() error {
	return func() error {
		task, err := start()
		if err != nil {
			return err
		}
		if err := task.Ping(context.Background()); err != nil {
			return err
		}
		if task.IsRunning || task.ExitStatus != "OK" {
			return fmt.Errorf("task %s: running %v, exit status %q", task.UPID, task.IsRunning, task.ExitStatus)
		}
		return nil
	}
}

// gives checks a value that a client's call returns.
func gives[V any](get func() (V, error), good func(V) bool) func() error {
	return func() error {
		v, err := get()
		if err == nil && !good(v) {
			err = fmt.Errorf("it gives %+v", v)
		}
		return err
	}
}

// goProxmox is a client with a running VM 150 on pve1 whose disk can take snapshots.
func goProxmox(t *testing.T) (*proxmox.Client, *proxmox.Node, *proxmox.VirtualMachine) {
	t.Helper()
	s := newSim(t)
	s.ends("POST", clonePath, "newid=150&full=1&format=qcow2&name=one.example.com", "OK")
	s.ends("POST", "/nodes/pve1/qemu/150/config", "ipconfig0=ip=192.0.2.20/24&ciuser=x", "OK")
	s.ends("POST", "/nodes/pve1/qemu/150/status/start", "", "OK")
	pve := client(s.Cluster)
	node, err := pve.Node(t.Context(), "pve1")
	if err != nil {
		t.Fatal(err)
	}
	vm, err := node.VirtualMachine(t.Context(), 150)
	if err != nil {
		t.Fatal(err)
	}
	return pve, node, vm
}

func TestGoProxmoxCallsOfVMs(t *testing.T) {
	_, node, vm := goProxmox(t)
	ctx := t.Context()
	snap := vm.Snapshot("s1")
	for _, c := range []check{
		{"VirtualMachines", gives(func() (proxmox.VirtualMachines, error) { return node.VirtualMachines(ctx) }, func(l proxmox.VirtualMachines) bool { return len(l) == 2 })},
		{"DirIndex", some(func() ([]*proxmox.VirtualMachineDirIndexEntry, error) { return vm.DirIndex(ctx) })},
		{"StatusIndex", some(func() ([]*proxmox.VirtualMachineStatusIndexEntry, error) { return vm.StatusIndex(ctx) })},
		{"AddTag", runs(func() (*proxmox.Task, error) { return vm.AddTag(ctx, "gold") })},
		{"Ping", func() error { return vm.Ping(ctx) }},
		{"RemoveTag", runs(func() (*proxmox.Task, error) { return vm.RemoveTag(ctx, "gold") })},
		{"ConfigSync", func() error { return vm.ConfigSync(ctx, proxmox.VirtualMachineOption{Name: "description", Value: "x"}) }},
		{"Pending", func() error { _, err := vm.Pending(ctx); return err }},
		{"CloudInitPending", some(func() ([]*proxmox.VirtualMachineCloudInitPending, error) { return vm.CloudInitPending(ctx) })},
		{"CloudInitRegenerate", func() error { return vm.CloudInitRegenerate(ctx) }},
		{"CloudInitDump", gives(func() (string, error) { return vm.CloudInitDump(ctx, "user") }, func(s string) bool { return len(s) > 20 })},
		{"RRDData", some(func() ([]*proxmox.RRDData, error) { return vm.RRDData(ctx, proxmox.TimeframeHour) })},
		{"NewSnapshot", runs(func() (*proxmox.Task, error) { return vm.NewSnapshot(ctx, "s1") })},
		{"Snapshots", gives(func() ([]*proxmox.VirtualMachineSnapshot, error) { return vm.Snapshots(ctx) }, func(l []*proxmox.VirtualMachineSnapshot) bool { return len(l) == 2 })},
		{"Snapshot.SubResources", some(func() ([]*proxmox.VirtualMachineSnapshotIndexEntry, error) { return snap.SubResources(ctx) })},
		{"Snapshot.UpdateConfig", func() error {
			text := "before the update"
			return snap.UpdateConfig(ctx, &proxmox.VirtualMachineSnapshotUpdateOptions{Description: text})
		}},
		{"Snapshot.Config", gives(func() (map[string]any, error) { return snap.Config(ctx) }, func(m map[string]any) bool { return m["description"] == "before the update" })},
		{"Snapshot.Rollback", runs(func() (*proxmox.Task, error) { return snap.Rollback(ctx) })},
		{"Snapshot.Delete", runs(func() (*proxmox.Task, error) { return snap.Delete(ctx) })},
		{"Start", runs(func() (*proxmox.Task, error) { return vm.Start(ctx) })},
		{"WaitForAgent", func() error { return vm.WaitForAgent(ctx, 1) }},
		{"AgentPing", func() error { return vm.AgentPing(ctx) }},
		{"AgentGetHostName", gives(func() (string, error) { return vm.AgentGetHostName(ctx) }, func(s string) bool { return s == "one" })},
		{"AgentGetNetworkIFaces", gives(func() ([]*proxmox.AgentNetworkIface, error) { return vm.AgentGetNetworkIFaces(ctx) }, func(l []*proxmox.AgentNetworkIface) bool { return len(l) > 0 })},
		{"AgentGetInfo", func() error { _, err := vm.AgentGetInfo(ctx); return err }},
		{"AgentGetFsInfo", some(func() ([]*proxmox.AgentFsInfo, error) { return vm.AgentGetFsInfo(ctx) })},
		{"AgentGetVCPUs", some(func() ([]*proxmox.AgentVCPU, error) { return vm.AgentGetVCPUs(ctx) })},
		{"AgentGetTime", func() error { _, err := vm.AgentGetTime(ctx); return err }},
		{"AgentGetTimezone", func() error { _, err := vm.AgentGetTimezone(ctx); return err }},
		{"AgentGetUsers", func() error { _, err := vm.AgentGetUsers(ctx); return err }},
		{"AgentFsfreezeStatus", func() error { _, err := vm.AgentFsfreezeStatus(ctx); return err }},
		{"AgentSetUserPassword", func() error { return vm.AgentSetUserPassword(ctx, "secret", "root") }},
		{"AgentExec", gives(func() (int, error) { return vm.AgentExec(ctx, []string{"true"}, "") }, func(pid int) bool { return pid > 0 })},
		{"Pause", runs(func() (*proxmox.Task, error) { return vm.Pause(ctx) })},
		{"Resume", runs(func() (*proxmox.Task, error) { return vm.Resume(ctx) })},
		{"Reset", runs(func() (*proxmox.Task, error) { return vm.Reset(ctx) })},
		{"Reboot", runs(func() (*proxmox.Task, error) { return vm.Reboot(ctx) })},
		{"Hibernate", runs(func() (*proxmox.Task, error) { return vm.Hibernate(ctx) })},
		{"Resume from disk", runs(func() (*proxmox.Task, error) { return vm.Resume(ctx) })},
		{"MigratePreconditions", func() error { _, err := vm.MigratePreconditions(ctx, "pve2"); return err }},
		{"Shutdown", runs(func() (*proxmox.Task, error) { return vm.Shutdown(ctx) })},
		{"MoveDisk", runs(func() (*proxmox.Task, error) {
			return vm.MoveDisk(ctx, "scsi0", &proxmox.VirtualMachineMoveDiskOptions{Storage: "local-lvm", Delete: true})
		})},
		{"ResizeDisk", runs(func() (*proxmox.Task, error) { return vm.ResizeDisk(ctx, "scsi0", "+1G") })},
		{"UnlinkDisk", func() error { _, err := vm.UnlinkDisk(ctx, "ide2", true); return err }},
		{"Migrate", runs(func() (*proxmox.Task, error) {
			return vm.Migrate(ctx, &proxmox.VirtualMachineMigrateOptions{Target: "pve2", WithLocalDisks: true})
		})},
		{"ConvertToTemplate", runs(func() (*proxmox.Task, error) {
			vm.Node = "pve2" // where it was moved to
			return vm.ConvertToTemplate(ctx)
		})},
		{"Delete", runs(func() (*proxmox.Task, error) {
			return vm.Delete(ctx, &proxmox.VirtualMachineDeleteOptions{Purge: true, DestroyUnreferencedDisks: true})
		})},
		{"NewVirtualMachine", runs(func() (*proxmox.Task, error) {
			return node.NewVirtualMachine(ctx, 160, proxmox.VirtualMachineOption{Name: "scsi0", Value: "local:4"}, proxmox.VirtualMachineOption{Name: "memory", Value: 1024})
		})},
	} {
		c.run(t)
	}
}

// some checks that a client's call returns something in its list.
func some[L ~[]V, V any](get func() (L, error)) func() error {
	return gives(get, func(list L) bool { return len(list) > 0 })
}

func TestGoProxmoxCallsOfFirewalls(t *testing.T) {
	pve, node, vm := goProxmox(t)
	ctx := t.Context()
	cl := (&proxmox.Cluster{}).New(pve)
	rule := func() *proxmox.FirewallRule {
		return &proxmox.FirewallRule{Type: "in", Action: "ACCEPT", Proto: "tcp", Dport: "22", Enable: 1}
	}
	for _, c := range []check{
		{"NewFirewallRule", func() error { return vm.NewFirewallRule(ctx, rule()) }},
		{"FirewallRules", some(func() ([]*proxmox.FirewallRule, error) { return vm.FirewallRules(ctx) })},
		{"FirewallRule.Delete", func() error { return vm.FirewallRule(0).Delete(ctx) }},
		{"FirewallOptionSet", func() error { return vm.FirewallOptionSet(ctx, &proxmox.FirewallVirtualMachineOption{Enable: true}) }},
		{"NewFirewallIPSet", func() error {
			return vm.NewFirewallIPSet(ctx, proxmox.FirewallIPSetCreationOption{Name: "ipfilter-net0"})
		}},
		{"NewFirewallIPSetEntry", func() error {
			return vm.NewFirewallIPSetEntry(ctx, "ipfilter-net0", proxmox.FirewallIPSetEntryCreationOption{CIDR: "192.0.2.1"})
		}},
		{"UpdateFirewallIPSetEntry", func() error {
			return vm.UpdateFirewallIPSetEntry(ctx, "ipfilter-net0", "192.0.2.1", &proxmox.FirewallIPSetEntryUpdateOption{Comment: "x"})
		}},
		{"GetFirewallIPSetEntries", some(func() ([]*proxmox.FirewallIPSetEntry, error) { return vm.GetFirewallIPSetEntries(ctx, "ipfilter-net0") })},
		{"GetFirewallIPSetEntry", func() error { _, err := vm.GetFirewallIPSetEntry(ctx, "ipfilter-net0", "192.0.2.1"); return err }},
		{"DeleteFirewallIPSetEntry", func() error { return vm.DeleteFirewallIPSetEntry(ctx, "ipfilter-net0", "192.0.2.1", "") }},
		{"DeleteFirewallIPSet", func() error { return vm.DeleteFirewallIPSet(ctx, "ipfilter-net0", false) }},
		{"NewFirewallAlias", func() error {
			return vm.NewFirewallAlias(ctx, &proxmox.FirewallAlias{Name: "office", Cidr: "192.0.2.0/28"})
		}},
		{"UpdateFirewallAlias", func() error {
			return vm.UpdateFirewallAlias(ctx, "office", &proxmox.FirewallAlias{Cidr: "192.0.2.0/27"})
		}},
		{"GetFirewallAliases", some(func() ([]*proxmox.FirewallAlias, error) { return vm.GetFirewallAliases(ctx) })},
		{"FirewallRefs", some(func() ([]*proxmox.FirewallRef, error) { return vm.FirewallRefs(ctx, "alias") })},
		{"DeleteFirewallAlias", func() error { return vm.DeleteFirewallAlias(ctx, "office") }},
		{"cluster: NewFirewallRule", func() error { return cl.NewFirewallRule(ctx, rule()) }},
		{"cluster: FirewallRules", some(func() ([]*proxmox.FirewallRule, error) { return cl.FirewallRules(ctx) })},
		{"cluster: FirewallRuleDelete", func() error { return cl.FirewallRuleDelete(ctx, 0) }},
		{"cluster: FirewallOptions", func() error { _, err := cl.FirewallOptions(ctx); return err }},
		{"cluster: FirewallMacros", some(func() ([]*proxmox.FirewallMacro, error) { return cl.FirewallMacros(ctx) })},
		{"cluster: NewFWGroup", func() error { return cl.NewFWGroup(ctx, &proxmox.FirewallSecurityGroup{Group: "web"}) }},
		{"cluster: FWGroups", some(func() ([]*proxmox.FirewallSecurityGroup, error) { return cl.FWGroups(ctx) })},
		{"cluster: FirewallSubdirs", some(func() ([]string, error) { return cl.FirewallSubdirs(ctx) })},
		{"node: NewFirewallRule", func() error { return node.NewFirewallRule(ctx, rule()) }},
		{"node: FirewallRules", some(func() ([]*proxmox.FirewallRule, error) { return node.FirewallRules(ctx) })},
	} {
		c.run(t)
	}
}

func TestGoProxmoxCallsOfClusterStorageAndTasks(t *testing.T) {
	pve, node, vm := goProxmox(t)
	ctx := t.Context()
	cl := (&proxmox.Cluster{}).New(pve)
	store, err := node.Storage(ctx, "shared1")
	if err != nil {
		t.Fatal(err)
	}
	volume := ""
	started := "started"
	for _, c := range []check{
		{"Nodes", some(func() (proxmox.NodeStatuses, error) { return pve.Nodes(ctx) })},
		{"Networks", some(func() (proxmox.NodeNetworks, error) { return node.Networks(ctx) })},
		{"Network", func() error { _, err := node.Network(ctx, "vmbr0"); return err }},
		{"Containers", func() error { _, err := node.Containers(ctx); return err }},
		{"node: Version", func() error { _, err := node.Version(ctx); return err }},
		{"node: RRDData", some(func() ([]*proxmox.RRDData, error) { return node.RRDData(ctx, proxmox.TimeframeDay, proxmox.AVERAGE) })},
		{"Status", func() error { return cl.Status(ctx) }},
		{"Resources", some(func() (proxmox.ClusterResources, error) { return cl.Resources(ctx) })},
		{"Storages", gives(func() (proxmox.Storages, error) { return node.Storages(ctx) }, func(l proxmox.Storages) bool { return len(l) == 3 })},
		{"Storage.Status", func() error { _, err := store.Status(ctx); return err }},
		{"Storage.GetContent", some(func() ([]*proxmox.StorageContent, error) { return store.GetContent(ctx) })},
		{"Storage.AllocContent", gives(func() (string, error) {
			var err error
			volume, err = store.AllocContent(ctx, &proxmox.StorageContentAllocOptions{Filename: "vm-150-disk-7.raw", Size: "1G", VMID: 150})
			return volume, err
		}, func(s string) bool { return s == "shared1:150/vm-150-disk-7.raw" })},
		{"Storage.DeleteContent", runs(func() (*proxmox.Task, error) { return store.DeleteContent(ctx, volume) })},
		{"ClusterStorages", some(func() (proxmox.ClusterStorages, error) { return pve.ClusterStorages(ctx) })},
		{"ClusterStorage", func() error { _, err := pve.ClusterStorage(ctx, "local"); return err }},
		{"Vzdump", runs(func() (*proxmox.Task, error) {
			return node.Vzdump(ctx, &proxmox.VirtualMachineBackupOptions{VMID: 150, Storage: "shared1"})
		})},
		{"Tasks", some(func() ([]*proxmox.Task, error) { return node.Tasks(ctx, &proxmox.NodeTasksOptions{}) })},
		{"Task.Wait and Log", func() error {
			task, err := vm.Stop(ctx)
			if err != nil {
				return err
			}
			if err := task.Wait(ctx, time.Millisecond, time.Second); err != nil {
				return err
			}
			log, err := task.Log(ctx, 0, 50)
			if err == nil && log[len(log)-1] != "TASK OK" {
				err = fmt.Errorf("log %v", log)
			}
			return errors.Join(err, task.Stop(ctx))
		}},
		{"NewPool", func() error { return pve.NewPool(ctx, "customers", "c") }},
		{"Pools", some(func() (proxmox.Pools, error) { return pve.Pools(ctx) })},
		{"Pool.Update", func() error {
			pool, err := pve.Pool(ctx, "customers")
			if err != nil {
				return err
			}
			return pool.Update(ctx, &proxmox.PoolUpdateOption{VirtualMachines: "150", Storage: "shared1"})
		}},
		{"Pool", gives(func() (*proxmox.Pool, error) { return pve.Pool(ctx, "customers") }, func(p *proxmox.Pool) bool { return len(p.Members) > 1 })},
		{"NewHAResource", func() error {
			return cl.NewHAResource(ctx, &proxmox.HAResourceCreateOption{SID: "vm:150", State: &started})
		}},
		{"HAResources", some(func() ([]*proxmox.HAResource, error) { return cl.HAResources(ctx, "") })},
		{"HAStatus", some(func() ([]*proxmox.HAStatusEntry, error) { return cl.HAStatus(ctx) })},
		{"HAResourceDelete", func() error { return cl.HAResourceDelete(ctx, "vm:150", false) }},
	} {
		c.run(t)
	}
}

func TestGoProxmoxCallsOfAccess(t *testing.T) {
	pve, _, _ := goProxmox(t)
	ctx := t.Context()
	user := func() (*proxmox.User, error) { return pve.User(ctx, "u1@pve") }
	for _, c := range []check{
		{"NewGroup", func() error { return pve.NewGroup(ctx, "staff", "all") }},
		{"Groups", some(func() (proxmox.Groups, error) { return pve.Groups(ctx) })},
		{"NewUser", func() error {
			return pve.NewUser(ctx, &proxmox.NewUser{UserID: "u1@pve", Enable: true, Password: "hello-hello", Groups: proxmox.CSV{"staff"}})
		}},
		{"Users", gives(func() (proxmox.Users, error) { return pve.Users(ctx) }, func(l proxmox.Users) bool { return len(l) == 3 })},
		{"User", gives(user, func(u *proxmox.User) bool { return u.UserID == "u1@pve" && bool(u.Enable) })},
		{"User.Update", func() error {
			u, err := user()
			if err != nil {
				return err
			}
			return u.Update(ctx, proxmox.UserOptions{Comment: "first"})
		}},
		{"Group", gives(func() (*proxmox.Group, error) { return pve.Group(ctx, "staff") }, func(g *proxmox.Group) bool { return len(g.Members) == 1 })},
		{"Password", func() error { return pve.Password(ctx, "u1@pve", "hello-hello-2") }},
		{"NewRole", func() error { return pve.NewRole(ctx, "look", "VM.Audit") }},
		{"Roles", some(func() (proxmox.Roles, error) { return pve.Roles(ctx) })},
		{"Role", gives(func() (proxmox.Permission, error) { return pve.Role(ctx, "look") }, func(p proxmox.Permission) bool { return bool(p["VM.Audit"]) })},
		{"UpdateACL", func() error {
			return pve.UpdateACL(ctx, proxmox.ACLOptions{Path: "/vms", Roles: "look", Groups: "staff", Propagate: true})
		}},
		{"ACL", some(func() (proxmox.ACLs, error) { return pve.ACL(ctx) })},
		{"Permissions", func() error { _, err := pve.Permissions(ctx, &proxmox.PermissionsOptions{}); return err }},
		{"tokens", func() error {
			u, err := user()
			if err != nil {
				return err
			}
			made, err := u.NewAPIToken(ctx, proxmox.Token{TokenID: "t1", Privsep: false})
			if err != nil || made.Value == "" {
				return fmt.Errorf("%+v, %w", made, err)
			}
			if list, err := u.GetAPITokens(ctx); err != nil || len(list) != 1 {
				return fmt.Errorf("%+v, %w", list, err)
			}
			return u.DeleteAPIToken(ctx, "t1")
		}},
		{"Domains", some(func() (proxmox.Domains, error) { return pve.Domains(ctx) })},
		{"User.Delete", func() error {
			u, err := user()
			if err != nil {
				return err
			}
			return u.Delete(ctx)
		}},
		{"Group.Delete", func() error {
			g, err := pve.Group(ctx, "staff")
			if err != nil {
				return err
			}
			return g.Delete(ctx)
		}},
	} {
		c.run(t)
	}
}
