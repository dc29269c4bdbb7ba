package whmcs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/services/dns"
	"github.com/vmline/vmline/services/gateway"
	"github.com/vmline/vmline/services/internal/rig"
)

// patience is how long PHPUnit may take.
const patience = 5 * time.Minute

func TestModule(t *testing.T) {
	needPHP(t)
	sim := pvesim.Default()
	sim.Durations = pvesim.Durations{Clone: 50 * time.Millisecond, Start: 20 * time.Millisecond}
	sim.Templates = append(sim.Templates, pvesim.Template{VMID: 9001, Node: "pve1", Name: "ubuntu-26", Storage: "shared1", DiskGB: 2})
	r := rig.New(t, rig.Options{Sim: &sim})
	r.StartAll()
	proxmox := httptest.NewServer(r.Sim)
	t.Cleanup(proxmox.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "phpunit", "--configuration", "phpunit.xml", "--fail-on-skipped")
	cmd.Dir = filepath.Join("..", "..", "..", "deploy", "whmcs", "tests")
	cmd.Env = slices.Concat(os.Environ(), serve(t, r), []string{
		"VMLINE_PROXMOX=" + proxmox.URL, "VMLINE_PROXMOX_TOKEN=" + rig.TokenID + "=" + rig.TokenSecret, "VMLINE_NAMESERVER=" + names(t, r),
	})
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("phpunit: %v\n%s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(out))
}

// needPHP skips the test with a reason unless PHP is here with what the tests need.
func needPHP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("phpunit"); err != nil {
		t.Skip("no phpunit here: apt-get install phpunit")
	}
	const check = `foreach (['curl', 'mbstring', 'openssl', 'pdo_sqlite', 'posix'] as $e) { extension_loaded($e) or exit("the extension $e"); }
		foreach (['Illuminate/Database/autoload.php', 'Illuminate/Events/autoload.php', 'smarty4/bootstrap.php'] as $f) {
			stream_resolve_include_path($f) or exit($f); }`
	out, err := exec.CommandContext(t.Context(), "php", "-r", check).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Skipf("this PHP lacks %s: apt-get install php-cli php-curl php-mbstring php-xml php-sqlite3 php-illuminate-database php-illuminate-events smarty4", out)
	}
}

// names starts a name server and the service that keeps the records there, and returns its address.
func names(t *testing.T, r *rig.Rig) string {
	t.Helper()
	key := nameserver.Key{Name: "vmline", Secret: base64.StdEncoding.EncodeToString([]byte("a key of thirty-two bytes to sign"))}
	zones := []string{"example.net", "64.10.in-addr.arpa"}
	server, err := nameserver.Start(nameserver.Config{Addrs: []string{"127.0.0.1:0"}, Zones: zones, Keys: []nameserver.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(context.Background()) }) // the test is over
	c := dns.Config{Bus: r.Bus, Logger: slog.New(slog.DiscardHandler)}
	for _, zone := range zones {
		c.Zones = append(c.Zones, dns.Zone{Name: zone, Server: server.Addrs()[0], TTL: 300, TSIG: dns.TSIG{Name: key.Name, Secret: key.Secret}})
	}
	run(t, func(ctx context.Context) error { return dns.Run(ctx, c) })
	return server.Addrs()[0]
}

// run runs a service until the test ends.
func run(t *testing.T, service func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a service ended with: %v", err)
		}
	})
}

// serve starts a gateway over TLS with a certificate of its own making, and returns what PHP has to
// know of it.
func serve(t *testing.T, r *rig.Rig) []string {
	t.Helper()
	certificate, err := secrets.LoadOrCreateCertificate(t.TempDir(), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := gateway.Config{
		Bus: r.Bus, Redis: r.Redis, Listener: listener, Token: secrets.NewToken(), Sealer: r.Opener.Sealer(), DigestKey: bytes.Repeat([]byte("k"), 32),
		TLS:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		Fingerprint: secrets.Fingerprint(certificate), Limit: gateway.Limit{Requests: 100_000, Window: time.Minute},
		WebhookNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, WebhookHTTP: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	run(t, func(ctx context.Context) error { return gateway.Run(ctx, c) })
	url := "https://" + listener.Addr().String()
	environment := []string{"VMLINE_URL=" + url, "VMLINE_TOKEN=" + c.Token, "VMLINE_FINGERPRINT=" + c.Fingerprint, "VMLINE_CLUSTER=" + rig.Cluster}
	return append(environment, keys(t, &api.Client{BaseURL: url, Token: c.Token, HTTP: trusting(certificate)})...)
}

// keys makes a key of each scope, as an admin does for WHMCS.
func keys(t *testing.T, client *api.Client) (environment []string) {
	t.Helper()
	for _, scope := range api.Scopes {
		key, err := client.CreateKey(t.Context(), api.NewKey{ID: "whmcs-" + string(scope), Kind: api.KeySigning, Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		environment = append(environment, "VMLINE_SECRET_"+strings.ToUpper(string(scope))+"="+key.Secret)
	}
	return environment
}

// trusting is a client that takes the gateway's own certificate as its authority.
func trusting(certificate tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}
