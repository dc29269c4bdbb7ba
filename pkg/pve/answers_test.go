package pve

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// recorded is one answer of a real Proxmox VE.
type recorded struct {
	Method, Path, Reason string
	Code                 int
	Body                 json.RawMessage
	Tasks                []struct {
		Status struct {
			UPID       UPID
			ExitStatus string
		}
		Log struct {
			Data json.RawMessage
		}
	}
}

// readAnswers reads the recorded answers beside the repository, or skips the test where there are none.
func readAnswers(t *testing.T) []recorded {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.work")); missing == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no go.work above: the recorded answers cannot be found")
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.Open(filepath.Join(dir, "..", "shared", "pve", "answers.jsonl"))
	if err != nil {
		t.Skip("the recorded answers are not there: ", err)
	}
	defer f.Close()
	var out []recorded
	for s := bufio.NewScanner(f); s.Scan(); {
		var r recorded
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if len(out) < 500 {
		t.Fatalf("only %d answers", len(out))
	}
	return out
}

// replay is a client whose server gives a recorded answer.
func replay(t *testing.T, r recorded) *Client {
	return newTest(t, always(r.Code, r.Reason, string(r.Body)))
}

func (r recorded) name() string {
	return fmt.Sprintf("%s %s -> %d %s", r.Method, r.Path, r.Code, r.Reason)
}

// TestRecordedAnswers passes every recorded answer through the transport: errors become errors, successes pass.
func TestRecordedAnswers(t *testing.T) {
	odd := 0
	for _, r := range readAnswers(t) {
		_, err := replay(t, r).send(t.Context(), request{op: "replay", method: r.Method, path: r.Path})
		switch {
		case r.Code == http.StatusOK && len(r.Body) == 0: // a log as a file: no JSON, not asked for here
			odd++
		case r.Code == http.StatusOK && err != nil:
			t.Errorf("%s: %v", r.name(), err)
		case r.Code != http.StatusOK:
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != r.Code || e.Reason != strings.TrimSpace(r.Reason) {
				t.Errorf("%s: %v", r.name(), err)
			}
		}
	}
	if odd > 1 {
		t.Errorf("%d answers without data", odd)
	}
}

var digits = regexp.MustCompile(`\d+`)

// TestRecordedKinds writes down what every distinct recorded error was taken for.
func TestRecordedKinds(t *testing.T) {
	var out strings.Builder
	seen := map[string]bool{}
	line := func(code string, method string, k Kind, text string) {
		l := fmt.Sprintf("%-4s %-6s %-15s %s\n", code, method, k, text)
		if key := digits.ReplaceAllString(l, "N"); !seen[key] {
			seen[key] = true
			out.WriteString(l)
		}
	}
	for _, r := range readAnswers(t) {
		_, err := replay(t, r).send(t.Context(), request{op: "replay", method: r.Method, path: r.Path})
		if e, ok := errors.AsType[*Error](err); ok && r.Code != http.StatusOK {
			side := "read"
			if r.Method != http.MethodGet {
				side = "write"
			}
			line(fmt.Sprint(r.Code), side, e.Kind, e.text())
		}
		for _, task := range r.Tasks {
			if exit := task.Status.ExitStatus; exit != "OK" && exit != "" {
				line("task", task.Status.UPID.Type()[:min(6, len(task.Status.UPID.Type()))], taskKind(task.Status.UPID, exit), exit)
			}
		}
	}
	golden(t, "kinds.golden", out.String())
}

// readers read a recorded GET by its path.
var readers = []struct {
	path *regexp.Regexp
	read func(*testing.T, *Client) error
}{
	{regexp.MustCompile(`^/version$`), func(t *testing.T, c *Client) error { _, err := c.Version(t.Context()); return err }},
	{regexp.MustCompile(`^/cluster/resources$`), func(t *testing.T, c *Client) error { _, err := c.Resources(t.Context()); return err }},
	{regexp.MustCompile(`/qemu/\d+/config$`), func(t *testing.T, c *Client) error {
		v, err := c.VMConfig(t.Context(), "pve1", 101)
		for key := range v.Values {
			if diskKey.MatchString(key) && err == nil {
				_, err = v.Disk(key)
			}
			if strings.HasPrefix(key, "net") && err == nil {
				_, err = v.Net(key)
			}
		}
		return err
	}},
	{regexp.MustCompile(`/status/current$`), func(t *testing.T, c *Client) error {
		_, err := c.Status(t.Context(), "pve1", 101)
		return err
	}},
	{regexp.MustCompile(`/snapshot$`), func(t *testing.T, c *Client) error { _, err := c.Snapshots(t.Context(), "pve1", 101); return err }},
	{regexp.MustCompile(`/firewall/options$`), func(t *testing.T, c *Client) error { _, err := c.FirewallOptions(t.Context(), "pve1", 101); return err }},
	{regexp.MustCompile(`/firewall/rules$`), func(t *testing.T, c *Client) error { _, err := c.FirewallRules(t.Context(), "pve1", 101); return err }},
	{regexp.MustCompile(`/firewall/ipset/`), func(t *testing.T, c *Client) error { _, err := c.IPSet(t.Context(), "pve1", 101, "x"); return err }},
	{regexp.MustCompile(`/storage/\w+/content$`), func(t *testing.T, c *Client) error {
		_, err := c.backupsOn(t.Context(), "pve1", "local", 101)
		return err
	}},
	{regexp.MustCompile(`/tasks$`), func(t *testing.T, c *Client) error { _, err := c.listTasks(t.Context(), "pve1", "0", "9"); return err }},
	{regexp.MustCompile(`/tasks$`), func(t *testing.T, c *Client) error { _, err := c.ActiveTasks(t.Context(), "pve1", 101); return err }},
	{regexp.MustCompile(`/tasks/UPID[^/]*/status$`), func(t *testing.T, c *Client) error { _, err := c.Task(t.Context(), testUPID); return err }},
	{regexp.MustCompile(`/tasks/UPID[^/]*:/log$`), func(t *testing.T, c *Client) error {
		_, err := c.TaskLog(t.Context(), testUPID, 9)
		if KindOf(err) == TaskUnknown {
			return nil
		}
		return err
	}},
}

// TestRecordedReads decodes every recorded success of the calls that read.
func TestRecordedReads(t *testing.T) {
	count := make([]int, len(readers))
	for _, r := range readAnswers(t) {
		if r.Method != http.MethodGet || r.Code != http.StatusOK {
			continue
		}
		for i, reader := range readers {
			if reader.path.MatchString(r.Path) {
				count[i]++
				if err := reader.read(t, replay(t, r)); err != nil {
					t.Errorf("%s: %v", r.name(), err)
				}
			}
		}
	}
	for i, n := range count {
		if n == 0 {
			t.Errorf("nothing recorded for %s", readers[i].path)
		}
	}
}

// TestRecordedTasks: every recorded UPID parses, and its status comes out as it was.
func TestRecordedTasks(t *testing.T) {
	failed, unread := 0, 0
	for _, r := range readAnswers(t) {
		for _, task := range r.Tasks {
			u, err := ParseUPID(string(task.Status.UPID))
			if err != nil {
				t.Error(err)
				continue
			}
			if u.Node() != "pve1" || u.Type() == "" || u.User() == "" || u.Started().Year() != 2026 {
				t.Errorf("%s: %s %s %s %s", u, u.Node(), u.Type(), u.User(), u.Started())
			}
			exit := task.Status.ExitStatus
			if exit == "" {
				unread++
				continue
			}
			log := string(task.Log.Data)
			c := newTest(t, func(*http.Request) (*http.Response, error) { return ok(log), nil })
			_, err = c.result(t.Context(), u, TaskStatus{ExitStatus: exit})
			if (err == nil) != (exit == "OK") {
				t.Errorf("%s: %s: %v", u, exit, err)
			}
			if e, ok := errors.AsType[*TaskError](err); ok {
				failed++
				if e.ExitStatus != exit || len(e.Log) == 0 || e.Kind == "" {
					t.Errorf("%+v", e)
				}
			}
		}
	}
	if failed < 20 || unread > 10 {
		t.Errorf("%d failed tasks, %d without an end", failed, unread)
	}
}
