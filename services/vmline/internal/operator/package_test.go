package operator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/services/vmline/internal/exit"
)

func TestReadPackage(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, text, want string }{
		{name: "YAML", text: "cluster: dc1\ntemplate: debian\ncores: 2\nmemory_mib: 2048\nnetwork: {bridge: vmbr0, rate_mbps: 1.5}\n"},
		{name: "JSON", text: `{"cluster": "dc1", "template": "debian", "cores": 2, "memory_mib": 2048, "network": {"bridge": "vmbr0", "rate_mbps": 1.5}}`},
		{name: "a key that no package has", text: "cluster: dc1\ncorse: 2\n", want: `corse`},
		{name: "a text for a number", text: "cores: many\n", want: "[1:8]"},
		{name: "a mistake beside a password", text: "cloud_init:\n  password: hunter22\ncores: -1\n", want: "[3:8]"},
		{name: "JSON with a password in the line of the mistake", text: `{"cloud_init": {"password": "hunter22"}, "corse": 2}`, want: "corse"},
		{name: "no YAML", text: "cluster: [dc1\n", want: "is no package"},
		{name: "nothing", text: "", want: "is empty"},
		{name: "too long", text: strings.Repeat("#\n", maxPackage), want: "longer than 1 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, "package.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := readPackage(path, nil)
			piped, errPiped := readPackage("-", strings.NewReader(tt.text))
			if exit.Code(err) != exit.Code(errPiped) {
				t.Errorf("from a file %v, piped %v", err, errPiped)
			}
			if tt.want != "" {
				if exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
				if strings.Contains(err.Error(), "hunter22") {
					t.Errorf("a password is shown: %v", err)
				}
				return
			}
			if err != nil || p.Cluster != "dc1" || p.Cores != 2 || p.MemoryMiB != 2048 || p.Network.Bridge != "vmbr0" || p.Network.RateMBps != 1.5 || piped.Cores != 2 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	if _, err := readPackage(filepath.Join(dir, "none"), nil); exit.Code(err) != exit.Usage {
		t.Errorf("no such file: %v", err)
	}
}
