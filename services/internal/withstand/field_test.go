package withstand

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestRow6TerminatedInEveryStatus: a creation that is stuck behind each of its statuses is terminated.
func TestRow6TerminatedInEveryStatus(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9401, Node: "pve1", Name: "local", Storage: "local"})
	r := rig.New(t, rig.Options{Sim: &cfg})
	startAll(r, 1, rig.Edge{})
	for i, c := range []struct {
		method, path string
		status       vmlinev1.Status
	}{
		{http.MethodGet, "/cluster/resources", vmlinev1.Status_STATUS_SET_IP},
		{http.MethodPost, "/nodes/*/qemu/*/clone", vmlinev1.Status_STATUS_SET_IP},
		{http.MethodPost, "/nodes/*/qemu/*/migrate", vmlinev1.Status_STATUS_CLONE},
		{http.MethodPost, "/nodes/*/qemu/*/config", vmlinev1.Status_STATUS_MIGRATED},
		{http.MethodPut, "/nodes/*/qemu/*/resize", vmlinev1.Status_STATUS_MIGRATED},
		{http.MethodPut, "/nodes/*/qemu/*/firewall/options", vmlinev1.Status_STATUS_SET_NETWORK},
		{http.MethodPost, "/nodes/*/qemu/*/status/start", vmlinev1.Status_STATUS_SET_CLOUDINIT},
		{http.MethodGet, "/nodes/*/qemu/*/status/current", vmlinev1.Status_STATUS_STARTING},
	} {
		ref, pkg := fmt.Sprintf("stuck-%d", 6201+i), rig.Full("stuck")
		if strings.HasSuffix(c.path, "/migrate") {
			pkg.Template, pkg.Node = "local", "pve2"
		}
		if strings.HasSuffix(c.path, "/resources") {
			pkg.Template = "not in the list that is known" // so that it is read anew
		}
		if c.status == vmlinev1.Status_STATUS_STARTING {
			pkg.Readiness = vmlinev1.Readiness_READINESS_AGENT // or the start's task is proof enough
		}
		mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: c.method, Path: c.path, Text: "a text that nobody has seen yet"})
		r.Order(ref, pkg)
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool { return troubled(vm) && vm.GetStatus() == c.status })
		if !strings.Contains(vm.GetProblem().GetCause(), "a text that nobody has seen yet") {
			t.Errorf("%s: %v", c.path, vm.GetProblem())
		}
		r.Terminate(ref)
		r.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetKind() == terminate })
		mend()
		r.Await(ref, rig.Ended(terminate))
		r.CheckLog(ref)
		r.CheckWorld()
		r.CheckReserved(0, 0)
	}
}

// TestRow15MovedBetweenTwoCalls: twenty-four machines, each moved to another node right before
// another one of the calls that name it. Every next call finds it.
func TestRow15MovedBetweenTwoCalls(t *testing.T) {
	t.Parallel()
	const machines, first = 24, 400
	r := rig.New(t, rig.Options{})
	calls, moved := map[int]int{}, 0
	ahead := &between{before: func(_ int, c call) {
		var vmid int
		if _, rest, ok := strings.Cut(c.req.URL.Path, "/qemu/"); ok {
			_, _ = fmt.Sscanf(rest, "%d", &vmid) // 0 where it is no number
		}
		state, exists := r.Sim.VM(vmid)
		if vmid < first || vmid >= first+machines || !exists {
			return
		}
		if calls[vmid]++; calls[vmid] == vmid-first+1 {
			moved++
			must(t, r.Sim.Move(vmid, map[string]string{"pve1": "pve2", "pve2": "pve3", "pve3": "pve1"}[state.Node]))
		}
	}}
	startAll(r, 1, ahead.proxmoxEdge())
	all := refs("moved", machines)
	for i, ref := range all {
		pkg := rig.Full(ref)
		pkg.FirstVmid = uint32(first + i)
		r.Order(ref, pkg)
	}
	awaitAll(r, all, create)
	r.CheckReserved(3*machines, machines)
	for _, ref := range all {
		r.Terminate(ref)
	}
	awaitAll(r, all, terminate)
	r.CheckWorld()
	r.CheckReserved(0, 0)
	if moved < 16 {
		t.Errorf("only %d machines were moved", moved)
	}
}

// locks are what Proxmox puts under the key lock (PVE::QemuServer, option lock).
var locks = []string{"backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}

// TestRow19LocksAreWaitedFor: a termination waits for each of the locks, shows it with its age, and
// never takes it away.
func TestRow19LocksAreWaitedFor(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	all := refs("locked", len(locks))
	for _, ref := range all {
		r.Order(ref, rig.Small(ref))
	}
	for i, ref := range all {
		r.Sim.SetLock(int(r.Await(ref, rig.Ended(create)).GetVmid()), locks[i])
		r.Terminate(ref)
	}
	for i, ref := range all {
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetRetry().GetAttempts() > 3 })
		state, exists := r.Sim.VM(int(vm.GetVmid()))
		if !exists || state.Lock != locks[i] || state.Status != "running" {
			t.Errorf("%s: the machine is %+v", locks[i], state)
		}
		p := vm.GetProblem()
		if vm.GetRemoteLock() != locks[i] || !strings.Contains(p.GetCause(), "("+locks[i]+")") || p.GetSince() == nil || !p.GetSince().AsTime().Before(vm.GetUpdatedAt().AsTime()) {
			t.Errorf("%s is not shown: lock %q, %v", locks[i], vm.GetRemoteLock(), p)
		}
	}
	r.CheckReserved(len(locks), len(locks))
	for _, vm := range r.Ours() {
		r.Sim.SetLock(vm.VMID, "")
	}
	awaitAll(r, all, terminate)
	r.CheckWorld()
	r.CheckReserved(0, 0)
}

// TestRows10And11And25WhatIsSet: the template's settings that the package does not speak of stay as they
// are, nothing is left pending for cloud-init, and "no limit" is no key at all.
func TestRows10And11And25WhatIsSet(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	template := map[string]string{
		"agent": "1,fstrim_cloned_disks=1", "bios": "ovmf", "balloon": "256", "boot": "order=scsi0", "cpu": "host,flags=+aes", "hotplug": "disk,network", "machine": "q35",
		"net0": "virtio,bridge=vmbr0,mtu=1450,queues=4", "numa": "1", "ostype": "l26", "scsihw": "virtio-scsi-single", "serial0": "socket", "tags": "golden", "vga": "serial0",
	}
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9501, Node: "pve1", Name: "rich", Storage: "shared1", Config: template})
	r := rig.New(t, rig.Options{Sim: &cfg})
	startAll(r, 1, rig.Edge{})
	mac := regexp.MustCompile(`=BC:24:11(:[0-9A-F]{2}){3}`)
	volume := regexp.MustCompile(`^[^,]+`)
	for i, c := range []struct {
		pkg  *vmlinev1.Package
		want map[string]string
	}{
		{rig.Small("small"), map[string]string{"cores": "1", "memory": "1024", "onboot": "", "cpu": template["cpu"], "scsi0": "DISK,size=10G", "scsi1": "", "net0": "virtio,bridge=vmbr0,mtu=1450,queues=4"}},
		{rig.Full("full"), map[string]string{
			"cores": "4", "memory": "8192", "onboot": "1", "cpu": "host,flags=+aes", "scsi0": "DISK,iops_rd=5000,iops_wr=4000,mbps_rd=300,mbps_wr=200,size=40G",
			"scsi1": "DISK,mbps_rd=100,mbps_wr=100,serial=vmline-additional,size=100G", "net0": "virtio,bridge=vmbr0,firewall=1,mtu=1450,queues=4,rate=12.5",
		}},
	} {
		ref := fmt.Sprintf("rich-%d", 6301+i)
		c.pkg.Template = "rich"
		r.Order(ref, c.pkg)
		vm := r.Await(ref, rig.Ended(create))
		state, _ := r.Sim.VM(int(vm.GetVmid()))
		for key, value := range template {
			if _, set := c.want[key]; !set && key != "tags" && state.Config[key] != value {
				t.Errorf("%s: %s is %q, the template's is %q", ref, key, state.Config[key], value)
			}
		}
		for key, value := range c.want {
			got := mac.ReplaceAllString(state.Config[key], "")
			if strings.HasPrefix(key, "scsi") && got != "" {
				got = volume.ReplaceAllString(got, "DISK")
			}
			if got != value {
				t.Errorf("%s: %s is %q, want %q", ref, key, got, value)
			}
		}
		if len(state.Pending) > 0 || state.Config["tags"] != "golden;vmline" || !strings.Contains(state.Config["net0"], vm.GetMac()) {
			t.Errorf("%s: pending %v, tags %q, MAC %s", ref, state.Pending, state.Config["tags"], vm.GetMac())
		}
	}
}
