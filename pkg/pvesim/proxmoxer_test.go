package pvesim

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProxmoxer serves a client in another language, over TLS: proxmoxer, on which Ansible's modules
// for Proxmox VE are built. It needs Debian's package python3-proxmoxer.
func TestProxmoxer(t *testing.T) {
	python := ""
	for _, name := range []string{"python3", "/usr/bin/python3"} { // a Python of one's own may come first and not know the package
		if exec.CommandContext(t.Context(), name, "-c", "import proxmoxer, requests").Run() == nil {
			python = name
		}
	}
	if python == "" {
		t.Skip("no Python with proxmoxer here")
	}
	cfg := Default()
	cfg.Tokens, cfg.Passwords = map[string]string{"root@pam!sim": "SECRET"}, map[string]string{"root@pam": "hello"}
	c := New(cfg)
	defer c.Close()
	server, err := c.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, server.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/proxmoxer_life.py", u.Hostname(), u.Port(), ca, "SECRET", "hello").CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Errorf("%v\n%s", err, out)
	}
}
