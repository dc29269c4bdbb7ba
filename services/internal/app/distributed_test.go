package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/pvesim"
)

const (
	simToken  = "vmline@pve!prov"
	simSecret = "00000000-0000-4000-8000-000000000001"
	tsig      = "c2VjcmV0IG9mIHRoZSB0ZXN0"
)

// password is one for each user, in the form that nats-server.conf asks for.
func password(user string) string { return "p" + strings.ToLower(user) + "9" }

func testEnv() map[string]string {
	env := map[string]string{"REDIS_PASSWORD": password("redis"), "VMLINE_DC1_TOKEN_SECRET": simSecret, "VMLINE_TSIG_SECRET": tsig}
	for _, user := range []string{"VMLINE", "GATEWAY", "LIFECYCLE", "IPAM", "PROVISIONER", "DNS"} {
		env["NATS_"+user+"_PASSWORD"] = password(user)
	}
	return env
}

// TestDistributed runs docker-compose.yml as plain processes, against a real NATS server with
// deploy/nats/nats-server.conf and a real Redis, and carries one order to ready and to its end. A
// service that lacks a permission on the NATS server would fail here.
func TestDistributed(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it builds and runs eight programs")
	}
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("skipped: there is no redis-server on this machine")
	}
	d := newDeployment(t, testEnv())
	d.build()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cluster, names := d.surroundings()
	d.startNATS(ctx)
	d.start("redis", redis, append(d.redisArgs(), "--bind", "127.0.0.1", "--port", fmt.Sprint(d.ports["redis"]))...)
	if out, err := d.run(ctx, "apply", d.bin+"vmline", "apply"); err != nil {
		t.Fatalf("apply: %v\n%s", err, out)
	}
	for _, s := range All() {
		d.start(s.Name, d.bin+s.Name)
	}
	for _, s := range All() {
		d.waitHealthy(ctx, s.Name)
	}

	client := d.client()
	pkg := api.Package{
		Cluster: "dc1", Template: "tmpl", Name: "one", Cores: 2, MemoryMiB: 2048, SystemDisk: api.Disk{SizeGB: 8},
		Network:   api.Network{Bridge: "vmbr0", IPv4Count: 1},
		CloudInit: api.CloudInit{User: "debian", Password: "hunter2 and more"},
		DNS:       api.DNS{Domain: "vps.example", PTR: true},
	}
	op, err := client.PutService(ctx, "w1-1", pkg)
	if err != nil {
		t.Fatal(err)
	}
	finish(ctx, t, client, op)
	s, err := client.GetService(ctx, "w1-1")
	if err != nil {
		t.Fatal(err)
	}
	vm, ok := cluster.VM(int(s.VMID))
	if !ok || vm.Status != "running" || vm.Config["cores"] != "2" || vm.Config["cipassword"] == "" || s.Status != "ready" {
		t.Errorf("the API says %s; the machine: %+v", s.Status, vm)
	}
	if err := until(ctx, func() error { return answers(names, "one.vps.example.", s.Addresses[0].Address) }); err != nil {
		t.Error(err)
	}
	if op, err = client.DeleteService(ctx, "w1-1"); err != nil {
		t.Fatal(err)
	}
	finish(ctx, t, client, op)
	if _, there := cluster.VM(int(s.VMID)); there {
		t.Error("the machine is still there")
	}
	d.checkLogs()
}

func finish(ctx context.Context, t *testing.T, client *api.Client, op api.Operation) {
	t.Helper()
	for !op.Ended() {
		var err error
		if op, err = client.GetOperation(ctx, op.ID, 20*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if op.Status != api.StatusSucceeded {
		t.Fatalf("%s is %s: %+v", op.Type, op.Status, op.Error)
	}
}

func answers(server, name, want string) error {
	answer, _, err := (&dns.Client{Net: "tcp", Timeout: time.Minute}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), server)
	if err != nil {
		return err
	}
	if len(answer.Answer) != 1 || !strings.HasSuffix(answer.Answer[0].String(), want) {
		return fmt.Errorf("%s: %v, want %s", name, answer.Answer, want)
	}
	return nil
}

// surroundings starts a cluster and a DNS server, and writes the configuration that names them.
func (d *deployment) surroundings() (*pvesim.Cluster, string) {
	t := d.t
	t.Helper()
	cluster := pvesim.New(pvesim.Default())
	proxmox, err := cluster.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxmox.Close)
	names, err := nameserver.Start(nameserver.Config{
		Addrs: []string{"127.0.0.1:0"}, Zones: []string{"vps.example.", "113.0.203.in-addr.arpa."},
		Keys: []nameserver.Key{{Name: "vmline.", Secret: tsig}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = names.Close(context.Background()) })
	text := fmt.Sprintf(`
data_dir: data
clusters: [{name: dc1, url: %q, token_id: %q, token_secret_env: VMLINE_DC1_TOKEN_SECRET}]
pools: [{name: public, cluster: dc1, bridge: vmbr0, prefix: 203.0.113.0/24, gateway: 203.0.113.1}]
dns:
  zones:
    - {name: vps.example, server: %q, tsig: {name: vmline, secret_env: VMLINE_TSIG_SECRET}}
    - {name: 113.0.203.in-addr.arpa, server: %q, tsig: {name: vmline, secret_env: VMLINE_TSIG_SECRET}}
`, proxmox.URL, simToken, names.Addrs()[0], names.Addrs()[0])
	if err := os.WriteFile(filepath.Join(d.dir, "vmline.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return cluster, names.Addrs()[0]
}

// startNATS runs the server with the file that the container gets. Its store is moved to a directory
// of the test's; flags move it to free ports.
func (d *deployment) startNATS(ctx context.Context) {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(repo(d.t), "deploy/nats/nats-server.conf"))
	if err != nil {
		d.t.Fatal(err)
	}
	const store = "store_dir: /data\n"
	if strings.Count(string(text), store) != 1 {
		d.t.Fatalf("nats-server.conf does not say %q once", store)
	}
	conf := filepath.Join(d.dir, "nats-server.conf")
	moved := strings.Replace(string(text), store, fmt.Sprintf("store_dir: %q\n", filepath.Join(d.dir, "jetstream")), 1)
	if err := os.WriteFile(conf, []byte(moved), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.start("nats", d.bin+"nats-server", "--config", conf, "--addr", "127.0.0.1", "--port", fmt.Sprint(d.ports["nats"]), "--http_port", fmt.Sprint(d.ports["monitor"]))
	err = until(ctx, func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.ports["nats"]))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// redisArgs are the container's, without the program's name.
func (d *deployment) redisArgs() []string {
	args := slices.Clone(d.compose.Services["redis"].Command[1:])
	for i := range args {
		args[i], _ = expand(args[i], d.env)
	}
	return args
}

// waitHealthy does what the health check of the container does.
func (d *deployment) waitHealthy(ctx context.Context, name string) {
	d.t.Helper()
	check := d.compose.Services[name].Healthcheck.Test
	err := until(ctx, func() error {
		out, err := d.run(ctx, name, d.bin+name, check[2:]...)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		d.t.Fatalf("%s does not become healthy: %v", name, err)
	}
}

func (d *deployment) client() *api.Client {
	d.t.Helper()
	token, err := config.ReadSecretFile(filepath.Join(d.dataDir("gateway"), "secrets/gateway/token"))
	if err != nil {
		d.t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(d.dataDir("gateway"), "secrets/gateway/tls.crt"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &api.Client{
		BaseURL: fmt.Sprintf("https://127.0.0.1:%d", d.ports["gateway"]), Token: string(token), HTTP: &http.Client{Transport: transport},
	}
}

// checkLogs: no service was refused anything by NATS, and none has written down a secret.
func (d *deployment) checkLogs() {
	d.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(d.logs)) {
		log := d.log(name).String()
		if strings.Contains(strings.ToLower(log), "permissions violation") {
			d.t.Errorf("%s lacks a permission on the NATS server:\n%s", name, log)
		}
		for _, secret := range append(slices.Collect(maps.Values(d.env)), "hunter2") {
			if strings.Contains(log, secret) {
				d.t.Errorf("%s wrote a secret into its log: %s", name, secret)
			}
		}
	}
}
