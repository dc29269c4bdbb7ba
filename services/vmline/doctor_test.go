package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/vmline/internal/doctor"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// TestDoctor examines a simulated cluster over TLS, with its certificate pinned and with another one pinned.
func TestDoctor(t *testing.T) {
	cfg := pvesim.Default()
	sim := pvesim.New(cfg)
	t.Cleanup(sim.Close)
	server, err := sim.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	block, _ := pem.Decode(server.CertPEM)
	sum := sha256.Sum256(block.Bytes)
	t.Setenv("VMLINE_TEST_SECRET", cfg.Tokens["vmline@pve!prov"])
	path := filepath.Join(t.TempDir(), "vmline.yaml")
	text := "data_dir: data\nclusters:\n"
	for name, pin := range map[string]string{"good": hex.EncodeToString(sum[:]), "strange": strings.Repeat("00", 32)} {
		text += fmt.Sprintf("  - {name: %s, url: %q, token_id: vmline@pve!prov, token_secret_env: VMLINE_TEST_SECRET, fingerprint: %q}\n",
			name, strings.TrimSuffix(server.URL, "/api2/json"), pin)
	}
	text += "pools:\n  - {name: p, cluster: good, bridge: vmbr0, prefix: 203.0.113.0/24}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want []string
	}{
		{"--cluster good", exit.Done, []string{"cluster good\n", "ok       certificate  https://127.0.0.1:", "vmline@pve!prov has all 19 privileges", "warning  firewall"}},
		{"--cluster strange", exit.Failed, []string{"problem  api", "which is not pinned", "pvenode cert info"}},
		{"", exit.Failed, []string{"cluster good\n", "cluster strange\n"}},
		{"--cluster none", exit.Usage, []string{`the configuration has no cluster "none"`}},
		{"-o yaml", exit.Usage, []string{"want table or json"}},
	} {
		code, out, err := vmline(t.Context(), append(strings.Fields("doctor --config "+path), strings.Fields(tt.args)...)...)
		for _, want := range tt.want {
			if all := fmt.Sprint(out, err); code != tt.code || !strings.Contains(all, want) || strings.Contains(all, cfg.Tokens["vmline@pve!prov"]) {
				t.Errorf("doctor %s: code %d, want %d and %q in %s", tt.args, code, tt.code, want, all)
			}
		}
	}
	_, out, err := vmline(t.Context(), "doctor", "--config", path, "--cluster", "strange", "-o", "json")
	var reports []doctor.Report
	if json.Unmarshal([]byte(out), &reports) != nil || len(reports) != 1 || reports[0].Cluster != "strange" || len(reports[0].Lines) != 1 ||
		reports[0].Lines[0].Result != doctor.Problem {
		t.Errorf("%s, %v", out, err)
	}
}

// TestDoctorSeesAClockThatIsWrong of a simulator that runs as a program.
func TestDoctorSeesAClockThatIsWrong(t *testing.T) {
	for ahead, tt := range map[string]struct {
		code int
		want string
	}{
		"0s":  {exit.Done, "ok       clock"},
		"-1m": {exit.Done, "warning  clock"},
		"1h":  {exit.Failed, "problem  clock"},
	} {
		said := startSim(t, "--profile", "instant", "--clock-ahead", ahead)
		t.Setenv("VMLINE_TEST_SECRET", said["token_secret"])
		path := filepath.Join(t.TempDir(), "vmline.yaml")
		text := fmt.Sprintf("data_dir: data\nclusters:\n  - {name: sim, url: %q, token_id: %s, token_secret_env: VMLINE_TEST_SECRET, fingerprint: %q}\n",
			strings.TrimSuffix(said["url"], "/api2/json"), said["token_id"], said["fingerprint"])
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, err := vmline(t.Context(), "doctor", "--config", path); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%s ahead: code %d, want %d and %q in\n%s%v", ahead, code, tt.code, tt.want, out, err)
		}
	}
}
