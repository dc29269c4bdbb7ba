package pvesim

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// record is one line of the recorded answers.
type record struct {
	Series, Section, Auth string
	Method, Path, Params  string
	Code                  int
	Reason                string
	Body                  json.RawMessage
	Tasks                 []struct {
		Status struct{ UPID, ExitStatus string }
		Log    struct{ Data []struct{ T string } }
	}
}

// sharedDir is where the recorded answers lie: beside the repository.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return filepath.Join(dir, "..", "shared", "pve")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skip("no go.work above: the recorded answers lie beside the repository")
		}
		dir = parent
	}
}

func loadRecords(t *testing.T) []record {
	t.Helper()
	f, err := os.Open(filepath.Join(sharedDir(t), "answers.jsonl"))
	if err != nil {
		t.Skip("the recorded answers of a real Proxmox VE are not here")
	}
	defer f.Close()
	var list []record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

var paramStart = regexp.MustCompile(`^[a-z][A-Za-z0-9_-]*=`)

// form reads the recorded parameters: key=value separated by blanks, where values may hold blanks.
func form(params string) url.Values {
	v, last := url.Values{}, ""
	for _, word := range strings.Split(params, " ") {
		switch {
		case word == "" || word == "(task)" || word == "-d":
		case paramStart.MatchString(word):
			key, value, _ := strings.Cut(word, "=")
			v.Set(key, value)
			last = key
		case last != "":
			v.Set(last, v.Get(last)+" "+word)
		}
	}
	return v
}
