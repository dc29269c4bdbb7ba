package withstand

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// impossible is an order or a termination that needs a person, what the person reads, and how the
// person mends it.
type impossible struct {
	name string
	// spoil makes it impossible; pkg is the order, which it may change.
	spoil func(w *workshop, ref string, pkg *vmlinev1.Package)
	// mend makes the repeated command possible.
	mend func(w *workshop, ref string, pkg *vmlinev1.Package)
	// before says that a termination needs mend as well, tidy that mend takes back what spoil did
	// beside the order.
	before, tidy bool
	// cause, kept and next are what the person reads.
	cause, kept, next string
}

// workshop is a rig with what spoils and mends orders.
type workshop struct {
	*rig.Rig
	t     *testing.T
	ahead *between
}

// monday is when backups were made.
var monday = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	cfg := pvesim.Default()
	for i := range cfg.Nodes {
		cfg.Nodes[i].Bridges = []string{"vmbr0", "vmbr1"}
	}
	cfg.Tokens["root@pam!mend"] = "00000000-0000-4000-8000-000000000002"
	cfg.Roles = map[string][]string{"Reader": {"VM.Audit", "Datastore.Audit", "Sys.Audit", "VM.Clone", "VM.Allocate", "Datastore.AllocateSpace", "SDN.Use"}}
	pools := []*vmlinev1.Pool{
		{Name: "v4", Cluster: rig.Cluster, Bridge: "vmbr0", Prefix: "10.64.0.0/16", Gateway: "10.64.0.1"},
		{Name: "tiny", Cluster: rig.Cluster, Bridge: "vmbr1", Prefix: "10.65.0.0/30", Gateway: "10.65.0.1"},
	}
	w := &workshop{rig.New(t, rig.Options{Sim: &cfg, Pools: pools}), t, &between{}}
	startAll(w.Rig, 1, w.ahead.proxmoxEdge())
	return w
}

// of is the same workshop for a subtest.
func (w *workshop) of(t *testing.T) *workshop { return &workshop{w.For(t), t, w.ahead} }

// ask calls the API as root, like a person would.
func (w *workshop) ask(method, path string, params url.Values) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://pve.invalid:8006/api2/json"+path, strings.NewReader(params.Encode()))
	must(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "PVEAPIToken=root@pam!mend=00000000-0000-4000-8000-000000000002")
	resp, err := w.Sim.RoundTrip(req)
	must(w.t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// vm is the VM's newest state.
func (w *workshop) vm(ref string) *vmlinev1.VM {
	w.t.Helper()
	last, err := w.Bus.Last(w.t.Context(), ref)
	must(w.t, err)
	return last.VM
}

// allow gives the services' token the rights of a role on a path instead of those that it inherits.
func (w *workshop) allow(path, role string) {
	w.ask(http.MethodPut, "/access/acl", url.Values{"path": {path}, "roles": {role}, "tokens": {rig.TokenID}})
}

// forget takes the rights of allow back, so that the inherited ones hold again.
func (w *workshop) forget(path, role string) {
	w.ask(http.MethodPut, "/access/acl", url.Values{"path": {path}, "roles": {role}, "tokens": {rig.TokenID}, "delete": {"1"}})
}

// Sentences that several problems share.
const (
	asItIs  = "The machine is left as it is, its addresses and its VMID stay reserved."
	grantIt = "Give the API token the right that the text names, on the path that it names."
	findOut = "Find out whose machine it is. If it is the customer's, restore its description, tag and vmgenid; if not, move it to another VMID. Then repeat the command."
)

var orders = []impossible{
	{
		name: "pool empty", tidy: true,
		cause: "The order needs 1 more IPv4 address(es) for cluster dc1, bridge vmbr1, but there are none: pool tiny (10.65.0.0/30) has 0 of 1 free",
		kept:  "No address is reserved for this VM.",
		next:  "Add a range to pool tiny, or another pool for cluster dc1, bridge vmbr1, or terminate VMs that are not needed, then repeat the order.",
		spoil: func(w *workshop, ref string, pkg *vmlinev1.Package) {
			other := rig.Small("other")
			other.Network.Bridge, pkg.Network.Bridge = "vmbr1", "vmbr1"
			w.Order(ref+"-other", other)
			w.Await(ref+"-other", rig.Ended(create))
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			w.Terminate(ref + "-other")
			w.Await(ref+"-other", rig.Ended(terminate))
		},
	},
	{
		name:  "no pool",
		cause: "No pool has IPv4 addresses for cluster dc1, bridge vmbr0, VLAN 7",
		kept:  "No address is reserved for this VM.",
		next:  "Add an IPv4 pool for cluster dc1, bridge vmbr0, VLAN 7 to the configuration, or correct the package, then repeat the order.",
		spoil: func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.Network.Vlan = 7 },
		mend:  func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.Network.Vlan = 0 },
	},
	{
		name:  "template missing",
		cause: `the cluster has no template "none-REF"`,
		kept:  "Nothing was made yet; the addresses stay reserved.",
		next:  "Make that template on Proxmox, or correct its name in the package; then repeat the order.",
		spoil: func(_ *workshop, ref string, pkg *vmlinev1.Package) { pkg.Template = "none-" + ref },
		mend: func(w *workshop, _ string, pkg *vmlinev1.Package) {
			must(w.t, w.Sim.AddVM(pvesim.VMSpec{VMID: 9100, Node: "pve1", Name: pkg.GetTemplate(), Storage: "shared1", DiskGB: 2, CloudInit: true, Template: true,
				Config: map[string]string{"boot": "order=scsi0", "net0": "virtio,bridge=vmbr0"}}))
		},
	},
	{
		name:  "storage of the full clone unknown",
		cause: "clone template 9000 on node NODE into VM 100: storage 'nowhere' does not exist (cluster dc1, POST /nodes/NODE/qemu/9000/clone, 500, refused)",
		kept:  "No machine was made. Its addresses and its VMID stay reserved.",
		next:  "Change the order or the cluster as the text says, then retry.",
		spoil: func(_ *workshop, _ string, pkg *vmlinev1.Package) {
			pkg.CloneType, pkg.SystemDisk.Storage = vmlinev1.CloneType_CLONE_TYPE_FULL, "nowhere"
		},
		mend: func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.SystemDisk.Storage = "shared1" },
	},
	{
		name:  "storage of the additional disk unknown",
		cause: "change ciuser, cores, ipconfig0, memory, scsi1, tags of VM 100 on node NODE: storage 'nowhere' does not exist (cluster dc1, POST /nodes/NODE/qemu/100/config, 500, refused)",
		kept:  asItIs,
		next:  "Change the order or the cluster as the text says, then retry.",
		spoil: func(_ *workshop, _ string, pkg *vmlinev1.Package) {
			pkg.AdditionalDisk, pkg.Node = &vmlinev1.Disk{Storage: "nowhere", SizeGb: 5}, "pve2"
		},
		mend: func(_ *workshop, _ string, pkg *vmlinev1.Package) {
			pkg.AdditionalDisk.Storage, pkg.Node = "shared1", "pve3"
		},
	},
	{ // row 13
		name:  "disk smaller than the template's",
		cause: "template tmpl has a system disk of 2.0 GiB and the package says 1 GB; Proxmox cannot shrink a disk",
		kept:  "Nothing was made yet; the addresses stay reserved.",
		next:  "Sell at least 2 GB, or use a smaller template; then repeat the order.",
		spoil: func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.SystemDisk.SizeGb = 1 },
		mend:  func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.SystemDisk.SizeGb = 2 },
	},
	{
		name:  "node unknown",
		cause: "node NODE, which the package names, is not an online node of the cluster",
		kept:  "Nothing was made yet; the addresses stay reserved.",
		next:  "Name another node in the package, or none; then repeat the order.",
		spoil: func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.Node = "pve9" },
		mend:  func(_ *workshop, _ string, pkg *vmlinev1.Package) { pkg.Node = "pve3" },
	},
	{
		name: "no right to configure", tidy: true,
		cause: "change ciuser, cores, ipconfig0, memory, tags of VM 700 on node NODE: Permission check failed (/vms/700, VM.Config.Disk|VM.Config.CDROM|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.HWType|VM.Config.Options|VM.Config.Cloudinit) (cluster dc1, POST /nodes/NODE/qemu/700/config, 403, no-permission)",
		kept:  asItIs,
		next:  grantIt,
		spoil: func(w *workshop, _ string, pkg *vmlinev1.Package) {
			pkg.FirstVmid = 700
			w.allow("/vms/700", "Reader")
		},
		mend: func(w *workshop, _ string, _ *vmlinev1.Package) { w.forget("/vms/700", "Reader") },
	},
	{ // row 1
		name: "a foreign machine of the same name takes the VMID", before: true,
		cause: `the machine 100 (impossible) on node NODE is not ours: its description does not say "vmline ref=REF UID"`,
		kept:  "The machine was not touched. Its addresses and its VMID stay reserved.",
		next:  findOut,
		spoil: func(w *workshop, _ string, pkg *vmlinev1.Package) {
			w.ahead.observe(func(_ int, c call) {
				if c.is(http.MethodPost, "/clone") {
					must(w.t, w.Sim.AddVM(pvesim.VMSpec{VMID: newID(c.req), Node: "pve1", Name: pkg.GetName(), Storage: "shared1", DiskGB: 1}))
				}
			})
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			w.ahead.observe(nil)
			w.Sim.Remove(int(w.vm(ref).GetVmid()))
		},
	},
	{
		name:  "somebody removes the machine in the middle",
		cause: "the VM does not exist on Proxmox",
		kept:  asItIs,
		next:  "Somebody has removed it. To have it made again, repeat the order or the reinstallation that was making it; if it was ready already, cancel this operation and reinstall; if it was suspended, reset its status to ready and reinstall. Or terminate the service to release its addresses and its VMID.",
		spoil: func(w *workshop, _ string, _ *vmlinev1.Package) {
			w.ahead.observe(func(_ int, c call) {
				if c.is(http.MethodPost, "/config") {
					for _, vm := range w.Ours() {
						w.Sim.Remove(vm.VMID)
					}
				}
			})
		},
		mend: func(w *workshop, _ string, _ *vmlinev1.Package) { w.ahead.observe(nil) },
	},
}

// TestRows1And13OrdersThatNeedAPerson: each is parked with a sentence, nothing of it is unseen, and the mended
// repetition of the order ends ready; another such order is terminated instead.
func TestRows1And13OrdersThatNeedAPerson(t *testing.T) {
	t.Parallel()
	shop := newWorkshop(t)
	for i, c := range orders {
		t.Run(c.name, func(t *testing.T) {
			w := shop.of(t)
			w.mended(c, fmt.Sprintf("order-%d", 8100+i))
			w.givenUp(c, fmt.Sprintf("order-%d", 8150+i))
			w.CheckReserved(0, 0)
		})
	}
}

// park orders what is impossible.
func (w *workshop) park(c impossible, ref string) *vmlinev1.Package {
	w.t.Helper()
	pkg := rig.Small("impossible")
	c.spoil(w, ref, pkg)
	w.Order(ref, pkg)
	vm := w.Await(ref, settled(create))
	c.check(w.t, vm)
	w.shown(vm)
	return pkg
}

// mended has the repeated order end ready.
func (w *workshop) mended(c impossible, ref string) {
	w.t.Helper()
	pkg := w.park(c, ref)
	c.mend(w, ref, pkg)
	vm := again(w.Rig, ref, create, pkg)
	if rig.Parked(vm) {
		w.t.Fatalf("still parked: %v", vm.GetProblem())
	}
	if pkg.GetNode() != "" && vm.GetNode() != pkg.GetNode() {
		w.t.Errorf("it lives on %s, the repeated order names %s", vm.GetNode(), pkg.GetNode())
	}
	w.CheckLog(ref)
	w.CheckWorld()
	w.end(ref)
}

// givenUp has the order terminated instead. A foreign machine has to be mended for that, too.
func (w *workshop) givenUp(c impossible, ref string) {
	w.t.Helper()
	pkg := w.park(c, ref)
	w.ahead.observe(nil)
	if c.before {
		c.mend(w, ref, pkg)
	}
	w.end(ref)
	if c.tidy {
		c.mend(w, ref, pkg)
	}
}

func (w *workshop) end(ref string) {
	w.t.Helper()
	if vm := again(w.Rig, ref, terminate, nil); rig.Parked(vm) {
		w.t.Fatalf("the termination is parked: %v", vm.GetProblem())
	}
	w.CheckLog(ref)
	w.CheckWorld()
}

// shown fails the test if a machine stands in the cluster that its VM's state does not show.
func (w *workshop) shown(vm *vmlinev1.VM) {
	w.t.Helper()
	for _, ours := range w.Ours() {
		if strings.Contains(ours.Description, "ref="+vm.GetRef()+" ") && (ours.VMID != int(vm.GetVmid()) || ours.Node != vm.GetNode()) {
			w.t.Errorf("machine %d on %s is not shown: %v", ours.VMID, ours.Node, vm)
		}
	}
}

// volatile is what differs in every run.
var volatile = strings.NewReplacer("pve1", "NODE", "pve2", "NODE", "pve3", "NODE", "pve9", "NODE")

func (c impossible) check(t *testing.T, vm *vmlinev1.VM) {
	t.Helper()
	p := vm.GetProblem()
	cause := strings.ReplaceAll(p.GetCause(), machine.Mark(vm), "vmline ref=REF UID")
	cause = volatile.Replace(strings.ReplaceAll(cause, vm.GetRef(), "REF"))
	if !rig.Parked(vm) || cause != c.cause || p.GetKept() != c.kept || p.GetNext() != c.next {
		t.Errorf("parked %v\ncause: %q,\nkept: %q,\nnext: %q,", rig.Parked(vm), cause, p.GetKept(), p.GetNext())
	}
}

var terminations = []impossible{
	{
		name:  "backup protected",
		cause: "these backups are protected: shared1:backup/vzdump-qemu-100-2026_01_05-00_00_00.vma.zst",
		kept:  "No backup was deleted and the machine is not destroyed; its addresses and its VMID stay reserved.",
		next:  "Take the protection away or move the backups, then repeat the termination.",
		spoil: func(w *workshop, ref string, _ *vmlinev1.Package) {
			vm := w.vm(ref)
			_, err := w.Sim.AddBackup(pvesim.BackupSpec{VMID: int(vm.GetVmid()), Node: vm.GetNode(), Storage: "shared1", SizeBytes: 1, Protected: true, Time: monday})
			must(w.t, err)
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			path := fmt.Sprintf("/nodes/pve1/storage/shared1/content/shared1:backup/vzdump-qemu-%d-2026_01_05-00_00_00.vma.zst", w.vm(ref).GetVmid())
			w.ask(http.MethodPut, path, url.Values{"protected": {"0"}})
		},
	},
	{
		name:  "machine protected",
		cause: "destroy VM 100 on node NODE: can't remove VM 100 - protection mode enabled (cluster dc1, DELETE /nodes/NODE/qemu/100, 500, refused)",
		kept:  "The machine is not destroyed; its addresses and its VMID stay reserved.",
		next:  "Change the order or the cluster as the text says, then retry.",
		spoil: func(w *workshop, ref string, _ *vmlinev1.Package) {
			vm := w.vm(ref)
			w.ask(http.MethodPut, fmt.Sprintf("/nodes/%s/qemu/%d/config", vm.GetNode(), vm.GetVmid()), url.Values{"protection": {"1"}})
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			vm := w.vm(ref)
			w.ask(http.MethodPut, fmt.Sprintf("/nodes/%s/qemu/%d/config", vm.GetNode(), vm.GetVmid()), url.Values{"protection": {"0"}})
		},
	},
	{
		name:  "no right to stop it",
		cause: "stop VM 100 on node NODE: Permission check failed (/vms/100, VM.PowerMgmt) (cluster dc1, POST /nodes/NODE/qemu/100/status/stop, 403, no-permission)",
		kept:  "The machine is not destroyed; its addresses and its VMID stay reserved.",
		next:  grantIt,
		spoil: func(w *workshop, ref string, _ *vmlinev1.Package) {
			w.allow(fmt.Sprintf("/vms/%d", w.vm(ref).GetVmid()), "Reader")
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			w.forget(fmt.Sprintf("/vms/%d", w.vm(ref).GetVmid()), "Reader")
		},
	},
	{ // row 1
		name:  "a foreign machine under the VMID",
		cause: `the machine 100 (theirs) on node NODE is not ours: its description does not say "vmline ref=REF UID"`,
		kept:  "The machine was not touched. Its addresses and its VMID stay reserved.",
		next:  findOut,
		spoil: func(w *workshop, ref string, _ *vmlinev1.Package) {
			vmid := int(w.vm(ref).GetVmid())
			w.Sim.Remove(vmid)
			must(w.t, w.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: w.vm(ref).GetNode(), Name: "theirs", Storage: "shared1", DiskGB: 1, Running: true}))
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			state, _ := w.Sim.VM(int(w.vm(ref).GetVmid()))
			if state.Name != "theirs" || state.Status != "running" {
				w.t.Errorf("the foreign machine was touched: %+v", state)
			}
			w.Sim.Remove(state.VMID)
		},
	},
	{
		name:  "the mark was edited away",
		cause: `the machine 100 (machine) on node NODE is not ours: its description does not say "vmline ref=REF UID"`,
		kept:  "The machine was not touched. Its addresses and its VMID stay reserved.",
		next:  findOut,
		spoil: func(w *workshop, ref string, _ *vmlinev1.Package) {
			vm := w.vm(ref)
			w.ask(http.MethodPut, fmt.Sprintf("/nodes/%s/qemu/%d/config", vm.GetNode(), vm.GetVmid()), url.Values{"description": {"my machine"}})
		},
		mend: func(w *workshop, ref string, _ *vmlinev1.Package) {
			vm := w.vm(ref)
			if state, _ := w.Sim.VM(int(vm.GetVmid())); state.Status != "running" {
				w.t.Errorf("the machine was touched: %+v", state)
			}
			w.ask(http.MethodPut, fmt.Sprintf("/nodes/%s/qemu/%d/config", vm.GetNode(), vm.GetVmid()),
				url.Values{"description": {fmt.Sprintf("vmline ref=%s uid=%s", ref, vm.GetUid())}})
		},
	},
}

// TestRow1TerminationsThatNeedAPerson: nothing is destroyed, the problem says why, and the mended
// repetition cleans all up.
func TestRow1TerminationsThatNeedAPerson(t *testing.T) {
	t.Parallel()
	shop := newWorkshop(t)
	for i, c := range terminations {
		t.Run(c.name, func(t *testing.T) {
			w := shop.of(t)
			ref := fmt.Sprintf("end-%d", 8200+i)
			w.Order(ref, rig.Small("machine"))
			w.Await(ref, rig.Ended(create))
			c.spoil(w, ref, nil)
			w.Terminate(ref)
			vm := w.Await(ref, settled(terminate))
			c.check(t, vm)
			if _, exists := w.Sim.VM(int(vm.GetVmid())); !exists {
				t.Error("a machine was destroyed")
			}
			w.CheckReserved(1, 1)
			c.mend(w, ref, nil)
			if vm = again(w.Rig, ref, terminate, nil); rig.Parked(vm) {
				t.Fatalf("still parked: %v", vm.GetProblem())
			}
			w.CheckLog(ref)
			w.CheckWorld()
			w.CheckReserved(0, 0)
		})
	}
}

// TestUnknownClusterIsRefused: nothing is begun, and the reason says what there is.
func TestUnknownClusterIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	pkg := rig.Small("lost")
	pkg.Cluster = "dc7"
	id := w.Order("lost-8301", pkg)
	refusals, err := w.Bus.Bucket(t.Context(), bus.BucketREFUSAL)
	must(t, err)
	refusal := &vmlinev1.Refusal{}
	eventually(t, "the refusal", func() bool {
		_, err := refusals.Get(t.Context(), id, refusal)
		return err == nil
	})
	p := refusal.GetProblem()
	got := []string{p.GetCause(), p.GetKept(), p.GetNext()}
	want := []string{`the package names cluster "dc7"; there are: dc1`, "Nothing was changed.", "Correct the package's cluster, or add the cluster to the configuration."}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if _, err := w.Bus.Last(t.Context(), "lost-8301"); err == nil {
		t.Error("a refused order has a VM")
	}
	w.CheckReserved(0, 0)
	pkg.Cluster = rig.Cluster
	w.Order("lost-8301", pkg)
	w.Await("lost-8301", rig.Ended(create))
}
