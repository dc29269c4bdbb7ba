package whmcs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/services/gateway"
	"github.com/vmline/vmline/services/internal/rig"
)

// pending has the tests in PHP's group pending-gateway run as well: those of signatures, actions, the
// feed, versions, clusters and webhooks.
const pending = false

// patience is how long PHPUnit may take.
const patience = 5 * time.Minute

func TestModule(t *testing.T) {
	needPHP(t)
	sim := pvesim.Default()
	sim.Durations = pvesim.Durations{Clone: 50 * time.Millisecond, Start: 20 * time.Millisecond}
	r := rig.New(t, rig.Options{Sim: &sim})
	r.StartAll()
	environment := append(os.Environ(), serve(t, r)...)
	args := []string{"--configuration", "phpunit.xml", "--fail-on-skipped"}
	if !pending {
		args = append(args, "--exclude-group", "pending-gateway")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "phpunit", args...)
	cmd.Dir = filepath.Join("..", "..", "..", "deploy", "whmcs", "tests")
	cmd.Env = environment
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

// serve starts a gateway over TLS with a certificate of its own making, and returns what PHP has to
// know of it.
func serve(t *testing.T, r *rig.Rig) []string {
	t.Helper()
	certificate, fingerprint := selfSigned(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	token := secrets.NewToken()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- gateway.Run(ctx, gateway.Config{
			Bus: r.Bus, Listener: listener, Token: token, Sealer: r.Opener.Sealer(), DigestKey: bytes.Repeat([]byte("k"), 32),
			TLS:    &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
			Logger: slog.New(slog.DiscardHandler),
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with: %v", err)
		}
	})
	return []string{
		"VMLINE_URL=https://" + listener.Addr().String(), "VMLINE_TOKEN=" + token, "VMLINE_FINGERPRINT=" + fingerprint,
		"VMLINE_CLUSTER=" + rig.Cluster,
	}
}

// selfSigned makes a certificate as the gateway makes its own, and its fingerprint.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vmline"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fmt.Sprintf("SHA256:%s", hex.EncodeToString(sum[:]))
}
