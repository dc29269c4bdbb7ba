package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

// program is vmline as a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "VMLINE_TEST_RUN_MAIN=1")
	return cmd
}

// shown is an event of `vmline demo --json`.
type shown struct {
	Event, Ref, Status, Type, Value, URL string
	TokenFile                            string `json:"token_file"`
}

func events(t *testing.T, out []byte) []shown {
	t.Helper()
	var list []shown
	for line := range bytes.Lines(out) {
		var e shown
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		list = append(list, e)
	}
	return list
}

func TestDemoShowsTheWholeChain(t *testing.T) {
	var stderr bytes.Buffer
	cmd := program(t, "demo", "--json")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, stderr.String(), out)
	}
	count := map[string]int{}
	for _, e := range events(t, out) {
		key := e.Event
		switch e.Event {
		case "status":
			key += " " + e.Status
		case "dns", "free":
			key += " " + e.Type
		}
		count[key]++
	}
	for key, want := range map[string]int{
		"started": 1, "accepted": 3, "status creation": 3, "status set_ip": 3, "status clone": 3, "status set_cloudinit": 3,
		"status ready": 3, "all_ready": 1, "machine": 3, "dns A": 3, "dns AAAA": 1, "dns PTR": 4,
		"status terminate": 1, "status terminated": 1, "free address": 2, "free VMID": 1, "free record": 4, "done": 1,
	} {
		if count[key] != want {
			t.Errorf("%s: %d times, want %d", key, count[key], want)
		}
	}
}

func TestDemoThatFailsSaysWhyAndExitsWith1(t *testing.T) {
	var stderr bytes.Buffer
	cmd := program(t, "demo", "--json", "--timeout", "1ms", "--data-dir", t.TempDir())
	cmd.Stderr = &stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != exit.Failed || !strings.Contains(stderr.String(), "not done within 1ms") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// TestDemoKeepsRunning uses what a kept demonstration prints, and stops it as a person would.
func TestDemoKeepsRunning(t *testing.T) {
	cmd := program(t, "demo", "--json", "--keep")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kept shown
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if e := events(t, lines.Bytes())[0]; e.Event == "kept" {
			kept = e
			break
		}
	}
	code, text, err := vmline(t.Context(), "vm", "list", "--url", kept.URL, "--token-file", kept.TokenFile)
	if code != exit.Done || strings.Count(text, "create succeeded") != 2 || !strings.Contains(text, "terminate succeeded") {
		t.Errorf("code %d, %v\n%s", code, err, text)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped by a person: %v", err)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	if output.Coloured(&bytes.Buffer{}) {
		t.Error("a pipe has colours")
	}
	t.Setenv("NO_COLOR", "1")
	if output.Coloured(os.Stdout) {
		t.Error("NO_COLOR was not heard")
	}
}
