package pvesim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/luthermonson/go-proxmox"
)

const testToken = "vmline@pve!prov"

// client is a go-proxmox client of a cluster in the same process.
func client(c *Cluster) *proxmox.Client {
	return proxmox.NewClient("http://sim/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: c}), proxmox.WithAPIToken(testToken, Default().Tokens[testToken]))
}

// done fails the test unless a task has ended well.
func done(t *testing.T, task *proxmox.Task, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	if task.IsRunning || task.ExitStatus != "OK" {
		t.Fatalf("task %s: running %v, exit status %q", task.UPID, task.IsRunning, task.ExitStatus)
	}
}

func TestGoProxmoxCarriesAVMThroughItsLife(t *testing.T) {
	c := New(Default())
	defer c.Close()
	ctx, pve := context.Background(), client(c)
	v, err := pve.Version(ctx)
	if err != nil || v.Version != Release {
		t.Fatalf("version %v, %v", v, err)
	}
	if nodes, err := pve.Nodes(ctx); err != nil || len(nodes) != 3 {
		t.Fatalf("nodes %v, %v", nodes, err)
	}
	node, err := pve.Node(ctx, "pve1")
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := node.VirtualMachine(ctx, 9000)
	if err != nil || !bool(tmpl.Template) {
		t.Fatalf("template %v, %v", tmpl, err)
	}
	id, task, err := tmpl.Clone(ctx, &proxmox.VirtualMachineCloneOptions{NewID: 150, Name: "one", Full: true, Description: "d"})
	done(t, task, err)
	if id != 150 {
		t.Errorf("clone got ID %d", id)
	}
	vm, err := node.VirtualMachine(ctx, 150)
	if err != nil {
		t.Fatal(err)
	}
	task, err = vm.Config(ctx, proxmox.VirtualMachineOption{Name: "cores", Value: 2}, proxmox.VirtualMachineOption{Name: "memory", Value: 1024})
	done(t, task, err)
	task, err = vm.ResizeDisk(ctx, "scsi0", "10G")
	done(t, task, err)
	if err := vm.NewFirewallRule(ctx, &proxmox.FirewallRule{Type: "in", Action: "ACCEPT", Proto: "tcp", Dport: "22", Enable: 1}); err != nil {
		t.Fatal(err)
	}
	if rules, err := vm.FirewallRules(ctx); err != nil || len(rules) != 1 || rules[0].Dport != "22" {
		t.Fatalf("rules %v, %v", rules, err)
	}
	task, err = vm.Start(ctx)
	done(t, task, err)
	if err := vm.Ping(ctx); err != nil || !vm.IsRunning() || vm.CPUs != 2 || vm.MaxMem != 1<<30 {
		t.Fatalf("VM after start: %+v, %v", vm, err)
	}
	task, err = vm.Stop(ctx)
	done(t, task, err)
	if snaps, err := vm.Snapshots(ctx); err != nil || len(snaps) != 1 || snaps[0].Name != "current" {
		t.Fatalf("snapshots %v, %v", snaps, err)
	}
	task, err = vm.Delete(ctx, nil)
	done(t, task, err)
	if _, ok := c.VM(150); ok {
		t.Error("the VM is still there")
	}
	if n := len(c.Volumes()); n != 2 {
		t.Errorf("%d volumes are left, want the template's 2", n)
	}
}

func TestGoProxmoxOverTLS(t *testing.T) {
	c := New(Default())
	s, err := c.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CertPEM) {
		t.Fatal("the certificate is no PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	pve := proxmox.NewClient(s.URL, proxmox.WithHTTPClient(&http.Client{Transport: transport, Timeout: 10 * time.Second}), proxmox.WithAPIToken(testToken, Default().Tokens[testToken]))
	cl := (&proxmox.Cluster{}).New(pve)
	id, err := cl.NextID(context.Background())
	if err != nil || id != 100 {
		t.Fatalf("next ID %d, %v", id, err)
	}
	rs, err := cl.Resources(context.Background(), "vm")
	if err != nil || len(rs) != 1 || rs[0].VMID != 9000 {
		t.Fatalf("resources %v, %v", rs, err)
	}
}
