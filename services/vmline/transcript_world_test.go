package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/pvesim"
)

// upProcess is a `vmline up` with all that it needs around it.
type upProcess struct {
	sim   *pvesim.Cluster
	flags []string
	// url of the API, and the directory where its token and certificate are.
	url, secrets string
	// same puts names that stay the same in the place of ports and directories.
	same *strings.Replacer
}

const (
	theDomain = "vps.example"
	theToken  = "00000000-0000-4000-8000-000000000001" // what the simulated cluster has for its user
	tsigName  = "vmline.test."
)

// startUp runs `vmline up` as a process of its own until the test ends.
func startUp(t *testing.T) *upProcess {
	t.Helper()
	dir, err := os.MkdirTemp("", "up") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	u := &upProcess{}
	proxmox := u.startSim(t)
	dns, secret := startNames(t)
	address := freeAddress(t)
	path := filepath.Join(dir, "vmline.yaml")
	text := fmt.Sprintf(`
data_dir: data
gateway: {listen: %q}
clusters: [{name: dc1, url: %q, token_id: vmline@pve!prov, token_secret_env: TOKEN}]
pools:
  - {name: public, cluster: dc1, bridge: vmbr0, prefix: 203.0.113.0/24, gateway: 203.0.113.1, first: 203.0.113.10, last: 203.0.113.19}
dns:
  zones:
    - {name: %s, server: %q, ttl: 60, tsig: {name: %s, secret_env: TSIG}}
    - {name: 113.0.203.in-addr.arpa, server: %q, ttl: 60, tsig: {name: %s, secret_env: TSIG}}
nats: {sync: fast}
`, address, proxmox, theDomain, dns, tsigName, dns, tsigName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TOKEN", theToken)
	t.Setenv("TSIG", secret)
	u.url, u.secrets = "https://"+address, filepath.Join(dir, "data/secrets/gateway")
	serve(t, path, u.url)
	u.flags = []string{"--url", u.url, "--token-file", filepath.Join(u.secrets, "token")}
	u.same = strings.NewReplacer(address, "GATEWAY", dir, "DIRECTORY")
	return u
}

// startSim runs a simulated cluster whose tasks take next to no time, and returns its URL.
func (u *upProcess) startSim(t *testing.T) string {
	t.Helper()
	cfg := pvesim.Default()
	cfg.Seed = 1
	cfg.Templates[0].Name = "debian-13"
	other := cfg.Templates[0]
	other.VMID, other.Name = 9001, "debian-12"
	cfg.Templates = append(cfg.Templates, other)
	cfg.VMs = append(cfg.VMs, pvesim.VMSpec{
		VMID: 500, Node: "pve1", Name: "grown", Storage: "shared1", DiskGB: 10, CloudInit: true, Running: true,
		Config: map[string]string{"net0": "virtio=BC:24:11:00:05:00,bridge=vmbr0", "ipconfig0": "ip=203.0.113.15/24,gw=203.0.113.1"},
	})
	u.sim = pvesim.New(cfg)
	t.Cleanup(u.sim.Close)
	server, err := u.sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.URL
}

// startNames runs a DNS server and returns its address and the secret with which it is updated.
func startNames(t *testing.T) (address, secret string) {
	t.Helper()
	secret = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32)))
	server, err := nameserver.Start(nameserver.Config{
		Addrs: []string{"127.0.0.1:0"}, Zones: []string{theDomain + ".", "113.0.203.in-addr.arpa."},
		Keys: []nameserver.Key{{Name: tsigName, Secret: secret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop the name server: %v", err)
		}
	})
	return server.Addrs()[0], secret
}
