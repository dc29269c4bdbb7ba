package rig

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestTheRoleOfTheREADME carries a machine through its whole life with a token that has only what the
// README's pveum commands grant. Without any one of the privileges it must fail, so that the role has
// none too many, except for those that the simulator cannot show to be needed.
func TestTheRoleOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	must(t, err)
	role := regexp.MustCompile(`pveum role add VMLine --privs "([^"]+)"`).FindSubmatch(readme)
	if role == nil {
		t.Fatal("README.md has no role VMLine")
	}
	privileges := strings.Fields(string(role[1]))
	var acl []pvesim.ACL
	for _, grant := range regexp.MustCompile(`pveum acl modify (\S+) --roles VMLine --(?:users|tokens) '?([^'\s]+)'?`).FindAllSubmatch(readme, -1) {
		acl = append(acl, pvesim.ACL{Path: string(grant[1]), Who: string(grant[2]), Role: "VMLine"})
	}
	if problem := lifeWith(t, "9", privileges, acl); problem != nil {
		t.Fatalf("with the whole role: %s: %s", problem.GetCause(), problem.GetNext())
	}
	eight := append(slices.DeleteFunc(slices.Clone(privileges), func(p string) bool { return p == "VM.GuestAgent.Unrestricted" }), "VM.Monitor")
	if problem := lifeWith(t, "8", eight, acl); problem != nil {
		t.Fatalf("with the whole role on Proxmox VE 8: %s: %s", problem.GetCause(), problem.GetNext())
	}
	// Without Sys.Audit a node's memory is not shown: placement is blind, but nothing fails.
	// Without the right to see storages or backups, Proxmox hides the backups: none are deleted.
	// VM.Config.CDROM is asked for the cloud-init drive on some releases, the simulator asks for Disk.
	unseen := []string{"Sys.Audit", "Datastore.Audit", "VM.Backup", "VM.Config.CDROM"}
	for i, p := range privileges {
		if slices.Contains(unseen, p) {
			continue
		}
		t.Run("without "+p, func(t *testing.T) {
			if lifeWith(t, "9", slices.Delete(slices.Clone(privileges), i, i+1), acl) == nil {
				t.Errorf("%s is not needed", p)
			}
		})
	}
}

// lifeWith makes machines that need every kind of call, has one carry out every command, adopts one and
// terminates them all. It returns what stopped it.
func lifeWith(t *testing.T, release string, privileges []string, acl []pvesim.ACL) *vmlinev1.Problem {
	t.Helper()
	cfg := pvesim.Default()
	cfg.PVE, cfg.Roles = release, map[string][]string{"VMLine": privileges}
	cfg.ACL = acl
	cfg.Templates = []pvesim.Template{{VMID: 9001, Node: "pve1", Name: "local-tmpl", Storage: "local", DiskGB: 2}}
	r := New(t, Options{Sim: &cfg})
	must(t, r.Sim.AddVM(pvesim.VMSpec{ // without a cloud-init drive, so that one has to be made
		VMID: 9000, Node: "pve1", Name: "tmpl", Storage: "shared1", DiskGB: 2, Template: true,
		Config: map[string]string{"agent": "1", "boot": "order=scsi0", "net0": "virtio,bridge=vmbr0"},
	}))
	r.StartAll()
	moved := Full("web-2")
	moved.Template, moved.Node = "local-tmpl", "pve2"
	full := Full("web-1")
	full.Readiness = vmlinev1.Readiness_READINESS_CLOUD_INIT_DONE
	for ref, pkg := range map[string]*vmlinev1.Package{"w1-1001": full, "w1-1002": moved} {
		r.Order(ref, pkg)
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool { return Parked(vm) || Ended(vmlinev1.Operation_KIND_CREATE)(vm) })
		if Parked(vm) {
			return vm.GetProblem()
		}
		if pkg == full {
			if problem := work(r, ref, career(t, r)); problem != nil {
				return problem
			}
		}
		_, err := r.Sim.AddBackup(pvesim.BackupSpec{VMID: int(vm.GetVmid()), Storage: "shared1"})
		must(t, err)
		r.Sim.AddSnapshot(int(vm.GetVmid()), "before", "")
		r.Terminate(ref)
		vm = r.Await(ref, func(vm *vmlinev1.VM) bool { return Parked(vm) || Ended(vmlinev1.Operation_KIND_TERMINATE)(vm) })
		if Parked(vm) {
			return vm.GetProblem()
		}
	}
	r.CheckWorld()
	return adoption(r)
}
