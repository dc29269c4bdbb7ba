package pvesim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/luthermonson/go-proxmox"
)

func TestGoProxmoxCallsOfConsolesFilesAndBackups(t *testing.T) {
	pve, node, vm := goProxmox(t)
	ctx := t.Context()
	cl := (&proxmox.Cluster{}).New(pve)
	store, err := node.Storage(ctx, "local")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []check{
		{"UploadString", runs(func() (*proxmox.Task, error) { return store.UploadString("iso", "install.iso", "CD001") })},
		{"DownloadURL", runs(func() (*proxmox.Task, error) {
			return store.DownloadURL(ctx, "import", "debian.qcow2", "https://example.com/debian.qcow2")
		})},
		{"Config with an image", runs(func() (*proxmox.Task, error) {
			return vm.Config(ctx, proxmox.VirtualMachineOption{Name: "scsi5", Value: "local:0,import-from=local:import/debian.qcow2"}, proxmox.VirtualMachineOption{Name: "ide3", Value: "local:iso/install.iso,media=cdrom"})
		})},
		{"VNCProxy", gives(func() (*proxmox.VNC, error) {
			return vm.VNCProxy(ctx, &proxmox.VNCConfig{Websocket: true, GeneratePassword: true})
		}, func(v *proxmox.VNC) bool { return v.Port == 5900 && v.Ticket != "" && v.Password != "" && v.Cert != "" })},
		{"TermProxy", func() error {
			_, err := vm.TermProxy(ctx)
			if err == nil || err.Error() != "500 unable to find a serial interface" {
				return fmt.Errorf("not refused: %w", err)
			}
			return vm.ConfigSync(ctx, proxmox.VirtualMachineOption{Name: "vga", Value: "serial0"})
		}},
		{"Stop", runs(func() (*proxmox.Task, error) { return vm.Stop(ctx) })}, // another console needs it
		{"Start", runs(func() (*proxmox.Task, error) { return vm.Start(ctx) })},
		{"TermProxy on a serial console", gives(func() (*proxmox.Term, error) { return vm.TermProxy(ctx) }, func(v *proxmox.Term) bool { return v.Port == 5901 && v.Ticket != "" })},
		{"SendKey", func() error { return vm.SendKey(ctx, "ctrl-alt-delete") }},
		{"AgentFileWrite", func() error { return vm.AgentFileWrite(ctx, "/etc/motd", []byte("Hello, you!\n")) }},
		{"AgentFileRead", gives(func() (*proxmox.AgentFileRead, error) { return vm.AgentFileRead(ctx, "/etc/motd") }, func(f *proxmox.AgentFileRead) bool { return f.Content == "Hello, you!\n" && !bool(f.Truncated) })},
		{"NewBackup", func() error {
			return cl.NewBackup(ctx, &proxmox.ClusterBackupOptions{ID: "nightly", Schedule: "02:00", VMID: "150,9000", Storage: "local", Enabled: true})
		}},
		{"Backups", gives(func() (proxmox.ClusterBackups, error) { return cl.Backups(ctx) }, func(l proxmox.ClusterBackups) bool { return len(l) == 1 && l[0].ID == "nightly" })},
		{"Backup", func() error { _, err := cl.Backup(ctx, "nightly"); return err }},
		{"BackupInfoSubdirs", gives(func() ([]string, error) { return cl.BackupInfoSubdirs(ctx) }, func(l []string) bool { return len(l) == 1 && l[0] == "not-backed-up" })},
		{"GuestsNotInBackup", gives(func() ([]*proxmox.BackupGuestEntry, error) { return cl.GuestsNotInBackup(ctx) }, func(l []*proxmox.BackupGuestEntry) bool { return len(l) == 0 })},
		{"ReplicationJobs", func() error { _, err := cl.ReplicationJobs(ctx); return err }},
		{"UpdateDNS", func() error { return node.UpdateDNS(ctx, &proxmox.NodeDNS{DNS1: "192.0.2.53", Search: "example.net"}) }},
		{"DNS", gives(func() (*proxmox.NodeDNS, error) { return node.DNS(ctx) }, func(d *proxmox.NodeDNS) bool { return d.DNS1 == "192.0.2.53" && d.Search == "example.net" })},
		{"SetTimezone", func() error { return node.SetTimezone(ctx, "UTC") }},
		{"Time", gives(func() (*proxmox.NodeTime, error) { return node.Time(ctx) }, func(n *proxmox.NodeTime) bool { return n.Timezone == "UTC" && n.Time > 0 })},
		{"Subscription", func() error { _, err := node.Subscription(ctx); return err }},
		{"QEMUCPUModels", some(func() ([]*proxmox.QEMUCPUModel, error) { return node.QEMUCPUModels(ctx, "") })},
		{"QEMUMachineTypes", some(func() ([]*proxmox.QEMUMachineType, error) { return node.QEMUMachineTypes(ctx, "") })},
		{"Disks", some(func() ([]*proxmox.Disk, error) { return node.Disks(ctx, false, false, "") })},
		{"Vzdump", runs(func() (*proxmox.Task, error) {
			return node.Vzdump(ctx, &proxmox.VirtualMachineBackupOptions{VMID: 150, Storage: "local"})
		})},
		{"VzdumpExtractConfig and NewVirtualMachine from a backup", runs(func() (*proxmox.Task, error) {
			volid, err := backupIn(ctx, store)
			if err != nil {
				return nil, err
			}
			if conf, err := node.VzdumpExtractConfig(ctx, volid); err != nil || conf.Memory == 0 {
				return nil, fmt.Errorf("configuration %+v, %w", conf, err)
			}
			return node.NewVirtualMachine(ctx, 170, proxmox.VirtualMachineOption{Name: "archive", Value: volid}, proxmox.VirtualMachineOption{Name: "unique", Value: 1})
		})},
	} {
		c.run(t)
	}
}

// backupIn finds a backup in a storage.
func backupIn(ctx context.Context, store *proxmox.Storage) (volid string, err error) {
	list, err := store.GetContent(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range list {
		if strings.HasPrefix(c.Volid, "local:backup/") {
			return c.Volid, nil
		}
	}
	return "", errors.New("no backup")
}

// TestGoProxmoxOwnCloudInit is how the Cluster API's provider gives a machine its first settings: on a CD of its
// own, which is uploaded and goes when the guest has read it.
func TestGoProxmoxOwnCloudInit(t *testing.T) {
	_, node, vm := goProxmox(t)
	ctx := t.Context()
	fresh := func() error {
		got, err := node.VirtualMachine(ctx, 150)
		if err == nil {
			*vm = *got
		}
		return err
	}
	for _, c := range []check{
		{"Stop", runs(func() (*proxmox.Task, error) { return vm.Stop(ctx) })},
		{"CloudInit", func() error { return vm.CloudInit(ctx, "ide3", "#cloud-config\n", "instance-id: x\n", "", "") }},
		{"VirtualMachine", fresh},
		{"its CD", gives(func() (*proxmox.VirtualMachineConfig, error) { return vm.VirtualMachineConfig, nil }, func(c *proxmox.VirtualMachineConfig) bool {
			return c.Boot == "order=scsi0;ide3" && strings.HasPrefix(c.IDEs["ide3"], "local:iso/user-data-150.iso,media=cdrom,size=")
		})},
		{"Start", runs(func() (*proxmox.Task, error) { return vm.Start(ctx) })},
		{"WaitForAgent", func() error { return vm.WaitForAgent(ctx, 5) }},
		{"AgentExec of cloud-init", gives(func() (*proxmox.AgentExecStatus, error) {
			pid, err := vm.AgentExec(ctx, []string{"cloud-init", "status"}, "")
			if err != nil {
				return nil, err
			}
			return vm.WaitForAgentExecExit(ctx, pid, 5)
		}, func(s *proxmox.AgentExecStatus) bool { return s.ExitCode == 0 && strings.Contains(s.OutData, "done") })},
		{"UnmountCloudInitISO", func() error { return vm.UnmountCloudInitISO(ctx, "ide3") }},
		{"VirtualMachine afterwards", fresh},
		{"its empty CD drive", gives(func() (string, error) { return vm.VirtualMachineConfig.IDEs["ide3"], nil }, func(s string) bool { return s == "none,media=cdrom" })},
	} {
		c.run(t)
	}
}
