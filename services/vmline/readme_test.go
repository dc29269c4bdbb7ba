package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// curls are the blocks of README.md that call the API.
var curls = regexp.MustCompile("(?s)```sh\n(curl .*?)```")

// TestCurlExamplesOfTheREADME runs them as they stand, one after the other.
func TestCurlExamplesOfTheREADME(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := curls.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no example with curl")
	}
	u := startUp(t)
	for _, block := range blocks {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "alias curl='curl --fail-with-body -sS'; shopt -s expand_aliases\n"+block[1])
		cmd.Env = append(os.Environ(), "VMLINE_URL="+u.url,
			"VMLINE_TOKEN_FILE="+filepath.Join(u.secrets, "token"), "VMLINE_CA_FILE="+filepath.Join(u.secrets, "tls.crt"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"service_ref":"whmcs-1001"`) {
			t.Errorf("%s: %v\n%s", block[1], err, out)
		}
	}
	args := append([]string{"vm", "watch", "whmcs-1001"}, u.flags...)
	if code, out, err := vmline(t.Context(), args...); code != exit.Done || !strings.Contains(out, "suspended") {
		t.Errorf("what they have asked for: code %d, %v\n%s", code, err, out)
	}
}
