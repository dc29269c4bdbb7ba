package whmcs

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestZip makes the zip twice: it is the same, and has the module, its guide and its license, and nothing else.
func TestZip(t *testing.T) {
	if _, err := exec.LookPath("zip"); err != nil {
		t.Skip("no zip here: apt-get install zip")
	}
	root := filepath.Join("..", "..", "..")
	if err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse", "HEAD").Run(); err != nil {
		t.Skip("this is no git repository: the zip is made from a commit")
	}
	var zips [2][]byte
	for i := range zips {
		file := filepath.Join(t.TempDir(), "vmline.zip")
		if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "whmcs-zip"), file).CombinedOutput(); err != nil {
			t.Fatalf("whmcs-zip: %v\n%s", err, out)
		}
		var err error
		if zips[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("the same commit makes two different zips")
	}
	archive, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range archive.File {
		name, inside := strings.CutPrefix(f.Name, "modules/servers/vmline/")
		if !inside || strings.Contains(name, "test") {
			t.Errorf("%s does not belong there", f.Name)
		}
		names = append(names, name)
	}
	for _, name := range []string{"vmline.php", "hooks.php", "lib/Gateway.php", "templates/overview.tpl", "whmcs.json", "README.md", "LICENSE"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
}
