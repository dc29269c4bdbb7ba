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
	"sync"
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
	t.Setenv("TOKEN", theToken)
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
	serve(t, path, url)
	token := filepath.Join(filepath.Dir(path), "data/secrets/gateway/token")
	if code, out, err := vmline(t.Context(), "vm", "list", "-o", "json", "--url", url, "--token-file", token); code != exit.Done || out != "[]\n" {
		t.Errorf("list: code %d, %v, %q", code, err, out)
	}
	second, err := program(t, "up", "--config", path).CombinedOutput()
	if err == nil || !strings.Contains(string(second), "another process uses the data directory") {
		t.Errorf("a second one: %v, %s", err, second)
	}
}

// serve runs `vmline up` as a process of its own and waits until it is ready. The test's end stops it in order, or
// stop before, which returns what it has logged.
func serve(t *testing.T, config, url string) (stop func() string) {
	t.Helper()
	var stderr bytes.Buffer
	up := program(t, "up", "--config", config)
	up.Cancel = nil // it ends when it is told to
	up.Stderr = &stderr
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceValue(func() string {
		_ = up.Process.Signal(syscall.SIGTERM) // it may have ended already, which Wait says
		if err := up.Wait(); err != nil || t.Failed() {
			t.Errorf("vmline up: %v\n%s", err, stderr.String())
		}
		return stderr.String()
	})
	t.Cleanup(func() { stop() })
	if err := awaitReady(t, url); err != nil {
		t.Fatal(err)
	}
	return stop
}

func awaitReady(t *testing.T, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
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
