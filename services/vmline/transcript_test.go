package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

var update = flag.Bool("update", false, "write the golden transcripts anew")

// transcripts are command lines with what they print. A line "$ vmline ..." is run; what stands behind
// <<< is its standard input. An exit code other than 0 stands in brackets below.
const transcripts = "testdata/*.transcript"

// TestTranscripts gives the commands of each transcript to a vmline of its own, that runs with a simulated
// cluster and a DNS server.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob(transcripts)
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".transcript"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := startUp(t).perform(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want) {
				t.Errorf("%s differs; look at the difference, then run with -update. Got:\n%s", file, got)
			}
		})
	}
}

// TestEveryCommandIsInATranscript fails for a new command until somebody shows what it prints.
func TestEveryCommandIsInATranscript(t *testing.T) {
	var all strings.Builder
	files, _ := filepath.Glob(transcripts)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, route := range chain.Routes() {
		for _, how := range []string{"--wait", "--dry-run"} {
			line := regexp.MustCompile(`(?m)^\$ vmline vm ` + regexp.QuoteMeta(route.Verb()) + ` .*` + how)
			if !line.MatchString(all.String()) {
				t.Errorf("no transcript shows what `vmline vm %s REF %s` prints", route.Verb(), how)
			}
		}
	}
}

// perform runs the command lines of a transcript and returns the transcript as it is now.
func (u *upProcess) perform(t *testing.T, script string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(script) {
		switch command, ok := strings.CutPrefix(line, "$ vmline "); {
		case ok:
			b.WriteString(line)
			b.WriteString(u.run(t, strings.TrimSpace(command)))
		case strings.HasPrefix(line, "#"):
			b.WriteString(line)
		}
	}
	return b.String()
}

// run returns what a command line prints, without what differs from run to run.
func (u *upProcess) run(t *testing.T, command string) string {
	t.Helper()
	command, stdin, _ := strings.Cut(command, " <<< ")
	args := strings.Fields(command)
	if asks := args[0] != "commands"; asks {
		args = append(args, u.flags...)
	}
	var out bytes.Buffer
	root := newRoot()
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	if err != nil && !errors.Is(err, exit.ErrSaid) {
		fmt.Fprintln(&out, "vmline:", err)
	}
	if code := exit.Code(err); code != exit.Done {
		fmt.Fprintf(&out, "[exit %d]\n", code)
	}
	text := u.same.Replace(out.String())
	for _, d := range differing {
		text = d.what.ReplaceAllString(text, d.as)
	}
	return text
}

// differing is what no two runs have in common.
var differing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\bvml_[0-9A-Za-z_-]{43}`), "SECRET"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?\b`), "TIME"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "DATE"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?m?s\b`), "T"},
	{regexp.MustCompile(`\b(w1-\d+)\.[0-9A-Za-z_-]{16,}`), "$1.OPERATION"},
	{regexp.MustCompile(`\b[0-9A-Za-z]{22}\b`), "UID"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9A-F]{2}(:[0-9A-F]{2}){5}\b`), "MAC"},
}
