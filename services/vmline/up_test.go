package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// upConfig writes a configuration for a simulated cluster and returns its path and the API's URL.
func upConfig(t *testing.T) (path, url string) {
	t.Helper()
	cluster := pvesim.New(pvesim.Default())
	t.Cleanup(cluster.Close)
	server, err := cluster.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	address := freeAddress(t)
	dir, err := os.MkdirTemp("", "up") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "vmline.yaml")
	text := fmt.Sprintf(`
data_dir: data
gateway: {listen: %q}
clusters: [{name: dc1, url: %q, token_id: vmline@pve!prov, token_secret_env: TOKEN}]
pools: [{name: public, cluster: dc1, bridge: vmbr0, prefix: 203.0.113.0/24}]
`, address, server.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, "https://" + address
}

// freeAddress is one where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// TestUp runs vmline as a new user does: the token's file is all that a client needs.
func TestUp(t *testing.T) {
	path, url := upConfig(t)
	t.Setenv("TOKEN", "00000000-0000-4000-8000-000000000001")
	var stderr bytes.Buffer
	up := program(t, "up", "--config", path)
	up.Stderr = &stderr
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	if err := awaitReady(t, url); err != nil {
		_ = up.Process.Kill()
		_ = up.Wait()
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	token := filepath.Join(filepath.Dir(path), "data/secrets/gateway/token")
	if code, out, err := vmline(t.Context(), "vm", "list", "-o", "json", "--url", url, "--token-file", token); code != exit.Done || out != "[]\n" {
		t.Errorf("list: code %d, %v, %q", code, err, out)
	}
	second, err := program(t, "up", "--config", path).CombinedOutput()
	if err == nil || !strings.Contains(string(second), "another process uses the data directory") {
		t.Errorf("a second one: %v, %s", err, second)
	}
	if err := up.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

func awaitReady(t *testing.T, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it is asked for nothing but its health
	}}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		answer, err := client.Get(url + "/readyz")
		if err == nil {
			err = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-again.C:
		}
	}
}

func TestUpRefusesABadConfigurationWithLineAndReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmline.yaml")
	if err := os.WriteFile(path, []byte("data_dir: d\nclusters:\n  - {name: dc1, addr: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := program(t, "up", "--config", path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), path+":3: clusters[0].addr: unknown key; known here: name, url,") {
		t.Errorf("%v: %s", err, out)
	}
}
