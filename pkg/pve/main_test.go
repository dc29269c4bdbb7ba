package pve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	testToken  = "vmline@pve!prov"
	testSecret = "6f1d1c0e-2f0a-4a55-9d0e-0123456789ab"
)

// roundTrip is a server in memory.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer makes an HTTP answer the way pveproxy words it.
func answer(code int, reason, body string) *http.Response {
	h := http.Header{}
	if body != "" {
		h.Set("Content-Type", "application/json;charset=UTF-8")
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprintf("%d %s", code, reason), Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func ok(data string) *http.Response { return answer(200, "OK", `{"data":`+data+`}`) }

// said is an error of Proxmox.
func said(code int, msg string) *http.Response {
	return answer(code, msg, fmt.Sprintf(`{"data":null,"message":%q}`, msg+"\n"))
}

// param is a 400 about one parameter.
func param(name, complaint string) *http.Response {
	return answer(400, "Parameter verification failed.",
		fmt.Sprintf(`{"data":null,"message":"Parameter verification failed.\n","errors":{%q:%q}}`, name, complaint))
}

// newTest makes a client over a server in memory; change adjusts its configuration.
func newTest(t testing.TB, rt roundTrip, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{Name: "c1", URL: "https://pve1.test:8006", TokenID: testToken, TokenSecret: testSecret, Transport: rt}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// always answers every request the same way.
func always(code int, reason, body string) roundTrip {
	return func(*http.Request) (*http.Response, error) { return answer(code, reason, body), nil }
}

// sent is a request as it arrived.
type sent struct{ method, path, query, body string }

// recorder answers every request with data and keeps what was asked.
type recorder struct {
	mu   sync.Mutex
	data string
	got  []sent
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, sent{req.Method, strings.TrimPrefix(req.URL.EscapedPath(), "/api2/json"), req.URL.RawQuery, string(body)})
	return ok(r.data), nil
}

const testUPID = UPID("UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam!test:")

// calls are all methods that do one call to Proxmox, by name. due is an answer that pleases them.
var calls = []struct {
	name, due string
	write     bool
	do        func(context.Context, *Client) error
}{
	{"Version", `{"version":"9.2.11","release":"9.2"}`, false, func(x context.Context, c *Client) error { _, err := c.Version(x); return err }},
	{"Resources", `[]`, false, func(x context.Context, c *Client) error { _, err := c.Resources(x); return err }},
	{"VMIDFree", `"101"`, false, func(x context.Context, c *Client) error { _, err := c.VMIDFree(x, 101); return err }},
	{"Clone", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.Clone(x, "pve1", 9000, CloneOptions{NewID: 101, Name: "n.example", Full: true, Storage: "s"})
		return err
	}},
	{"VMConfig", `{"digest":"ab"}`, false, func(x context.Context, c *Client) error { _, err := c.VMConfig(x, "pve1", 101); return err }},
	{"SetVMConfig", `null`, true, func(x context.Context, c *Client) error {
		_, err := c.SetVMConfig(x, "pve1", 101, Change{Set: map[string]string{"cores": "2"}, Delete: []string{"vcpus", "balloon"}, Digest: "ab"})
		return err
	}},
	{"Resize", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.Resize(x, "pve1", 101, "scsi0", 20, "ab")
		return err
	}},
	{"Status", `{"status":"stopped"}`, false, func(x context.Context, c *Client) error { _, err := c.Status(x, "pve1", 101); return err }},
	{"Start", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error { _, err := c.Start(x, "pve1", 101); return err }},
	{"Stop", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error { _, err := c.Stop(x, "pve1", 101); return err }},
	{"Shutdown", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.Shutdown(x, "pve1", 101, 1500e6, true)
		return err
	}},
	{"Reboot", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error { _, err := c.Reboot(x, "pve1", 101, time.Minute); return err }},
	{"Reset", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error { _, err := c.Reset(x, "pve1", 101); return err }},
	{"MoveDisk", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.MoveDisk(x, "pve1", 101, "unused0", MoveOptions{TargetVMID: 105, TargetDisk: "unused0", Digest: "ab"})
		return err
	}},
	{"MoveDiskCopy", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.MoveDisk(x, "pve1", 101, "scsi1", MoveOptions{Storage: "nfs", Delete: true, Digest: "ab"})
		return err
	}},
	{"Destroy", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.Destroy(x, "pve1", 101, DestroyOptions{Purge: true})
		return err
	}},
	{"Migrate", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error {
		_, err := c.Migrate(x, "pve1", 101, "pve2", MigrateOptions{TargetStorage: "s", Online: true, WithLocalDisks: true})
		return err
	}},
	{"Snapshots", `[]`, false, func(x context.Context, c *Client) error { _, err := c.Snapshots(x, "pve1", 101); return err }},
	{"DeleteSnapshot", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error { _, err := c.DeleteSnapshot(x, "pve1", 101, "s1"); return err }},
	{"BackupStorages", `[]`, false, func(x context.Context, c *Client) error { _, err := c.BackupStorages(x, "pve1"); return err }},
	{"Backups", `[]`, false, func(x context.Context, c *Client) error {
		_, err := c.Backups(x, "pve1", []string{"local"}, 101)
		return err
	}},
	{"DeleteBackup", `"` + string(testUPID) + `"`, true, func(x context.Context, c *Client) error { _, err := c.DeleteBackup(x, "pve1", testBackup); return err }},
	{"UnprotectBackup", `null`, true, func(x context.Context, c *Client) error { return c.UnprotectBackup(x, "pve1", testBackup) }},
	{"Pending", `[]`, false, func(x context.Context, c *Client) error { _, err := c.Pending(x, "pve1", 101); return err }},
	{"Bridges", `[]`, false, func(x context.Context, c *Client) error { _, err := c.Bridges(x, "pve1"); return err }},
	{"CPUModels", `[]`, false, func(x context.Context, c *Client) error { _, err := c.CPUModels(x, "pve1"); return err }},
	{"NodeTime", `{"time":1795477962}`, false, func(x context.Context, c *Client) error { _, err := c.NodeTime(x, "pve1"); return err }},
	{"Permissions", `{"/vms":{}}`, false, func(x context.Context, c *Client) error { _, err := c.Permissions(x, "/vms"); return err }},
	{"Roles", `[]`, false, func(x context.Context, c *Client) error { _, err := c.Roles(x); return err }},
	{"ClusterFirewall", `{}`, false, func(x context.Context, c *Client) error { _, err := c.ClusterFirewall(x); return err }},
	{"FirewallOptions", `{}`, false, func(x context.Context, c *Client) error { _, err := c.FirewallOptions(x, "pve1", 101); return err }},
	{"SetFirewallOptions", `null`, true, func(x context.Context, c *Client) error {
		return c.SetFirewallOptions(x, "pve1", 101, map[string]string{"enable": "0"})
	}},
	{"FirewallRules", `[]`, false, func(x context.Context, c *Client) error { _, err := c.FirewallRules(x, "pve1", 101); return err }},
	{"AddFirewallRule", `null`, true, func(x context.Context, c *Client) error {
		return c.AddFirewallRule(x, "pve1", 101, FirewallRule{Type: "in", Action: "ACCEPT", Proto: "tcp", Dport: "22", ICMPType: "any"})
	}},
	{"DeleteFirewallRule", `null`, true, func(x context.Context, c *Client) error { return c.DeleteFirewallRule(x, "pve1", 101, 3, "ab") }},
	{"IPSets", `[]`, false, func(x context.Context, c *Client) error { _, err := c.IPSets(x, "pve1", 101); return err }},
	{"IPSet", `[]`, false, func(x context.Context, c *Client) error {
		_, err := c.IPSet(x, "pve1", 101, "ipfilter-net0")
		return err
	}},
	{"CreateIPSet", `null`, true, func(x context.Context, c *Client) error { return c.CreateIPSet(x, "pve1", 101, "ipfilter-net0") }},
	{"AddIPSetEntry", `null`, true, func(x context.Context, c *Client) error {
		return c.AddIPSetEntry(x, "pve1", 101, "ipfilter-net0", "192.0.2.0/24")
	}},
	{"DeleteIPSetEntry", `null`, true, func(x context.Context, c *Client) error {
		return c.DeleteIPSetEntry(x, "pve1", 101, "ipfilter-net0", "192.0.2.0/24")
	}},
	{"RegenerateCloudInit", `null`, true, func(x context.Context, c *Client) error { return c.RegenerateCloudInit(x, "pve1", 101) }},
	{"CloudInitPending", `[]`, false, func(x context.Context, c *Client) error { _, err := c.CloudInitPending(x, "pve1", 101); return err }},
	{"CloudInitDump", `"x: 1\n"`, false, func(x context.Context, c *Client) error {
		_, err := c.CloudInitDump(x, "pve1", 101, CloudInitNetwork)
		return err
	}},
	{"AgentSetPassword", `{"result":{}}`, true, func(x context.Context, c *Client) error {
		return c.AgentSetPassword(x, "pve1", 101, "debian", "open sesame")
	}},
	{"AgentRun", `{"pid":701}`, true, func(x context.Context, c *Client) error {
		_, err := c.AgentRun(x, "pve1", 101, []string{"cloud-init", "status"})
		return err
	}},
	{"AgentResult", `{"exited":0}`, false, func(x context.Context, c *Client) error { _, err := c.AgentResult(x, "pve1", 101, 701); return err }},
	{"AgentPing", `{"result":{}}`, true, func(x context.Context, c *Client) error { return c.AgentPing(x, "pve1", 101) }},
	{"Task", `{"status":"running"}`, false, func(x context.Context, c *Client) error { _, err := c.Task(x, testUPID); return err }},
	{"TaskLog", `[]`, false, func(x context.Context, c *Client) error { _, err := c.TaskLog(x, testUPID, 5); return err }},
	{"StopTask", `null`, true, func(x context.Context, c *Client) error { return c.StopTask(x, testUPID) }},
}

var testBackup = Backup{VolID: "local:backup/vzdump-qemu-101-2026_11_20-01_02_03.vma.zst", Storage: "local"}
