package pvesim

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// machinesOfADay is how many machines are ordered in the day.
const machinesOfADay = 300

// day is a cluster and its callers, all on one clock.
type day struct {
	t      *testing.T
	c      *Cluster
	clock  *Clock
	rnd    *rand.Rand
	lines  []string // every call with its answer
	alive  map[int]bool
	failed int // orders given up
}

func newDay(t *testing.T, seed uint64) *day {
	clock := NewClock(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	cfg := Default()
	profile, err := ProfileNamed("real")
	if err != nil {
		t.Fatal(err)
	}
	profile.Apply(&cfg)
	for i := range cfg.Nodes {
		cfg.Nodes[i].MemoryMiB = 1 << 20
	}
	cfg.Now, cfg.After, cfg.Seed, cfg.Pools = clock.Now, clock.After, seed, []string{"customers"}
	return &day{t: t, c: New(cfg), clock: clock, rnd: rand.New(rand.NewPCG(seed, 1)), alive: map[int]bool{}}
}

// call sends a request and writes it down with its answer.
func (d *day) call(method, path, params string) any {
	d.t.Helper()
	values, err := url.ParseQuery(params)
	if err != nil {
		d.t.Fatal(err)
	}
	target, body := "http://sim/api2/json"+path, io.Reader(http.NoBody)
	if method == http.MethodGet || method == http.MethodDelete {
		target += "?" + values.Encode()
	} else {
		body = strings.NewReader(values.Encode())
	}
	r, err := http.NewRequest(method, target, body)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "PVEAPIToken="+testToken+"="+Default().Tokens[testToken])
	resp, err := d.c.RoundTrip(r)
	if err != nil {
		d.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	d.lines = append(d.lines, fmt.Sprintf("%s %s %s %s: %s %s", d.clock.Now().Format(time.TimeOnly), method, path, params, resp.Status, b))
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	var v struct{ Data any }
	if err := json.Unmarshal(b, &v); err != nil {
		d.t.Fatal(err)
	}
	return v.Data
}

// task starts a task, asks after it every five seconds, and goes on with its exit status; with "" when
// it was refused.
func (d *day) task(method, path, params string, then func(exit string)) {
	upid, ok := d.call(method, path, params).(string)
	if !ok {
		then("")
		return
	}
	node := strings.Split(upid, ":")[1]
	var poll func()
	poll = func() {
		status := d.call("GET", "/nodes/"+node+"/tasks/"+upid+"/status", "").(map[string]any)
		if status["status"] == "running" {
			d.clock.After(5*time.Second, poll)
			return
		}
		then(status["exitstatus"].(string))
	}
	d.clock.After(time.Second, poll)
}

// after lets something happen at some time of the next span.
func (d *day) after(span time.Duration, f func()) {
	d.clock.After(time.Duration(d.rnd.Int64N(int64(span))), f)
}

// path is a VM's path on the node where it is now.
func (d *day) path(id int) string {
	v, _ := d.c.VM(id)
	return fmt.Sprintf("/nodes/%s/qemu/%d", v.Node, id)
}

// order makes a machine; clones that fail are tried again.
func (d *day) order(id, try int) {
	node := fmt.Sprintf("pve%d", id%3+1)
	d.call("GET", "/cluster/nextid", "")
	d.task("POST", "/nodes/pve1/qemu/9000/clone", fmt.Sprintf("newid=%d&full=1&storage=shared1&target=%s&pool=customers&name=m%d", id, node, id), func(exit string) {
		switch {
		case exit == "OK":
			d.alive[id] = true
			d.configure(id)
		case try < 5:
			d.after(5*time.Minute, func() { d.order(id, try+1) })
		default:
			d.failed++
		}
	})
}

func (d *day) configure(id int) {
	config := fmt.Sprintf("cores=%d&memory=%d&ciuser=x&ipconfig0=ip%%3Ddhcp&tags=customer", 1+id%4, 1024*(1+id%4))
	d.task("POST", d.path(id)+"/config", config, func(string) {
		d.task("PUT", d.path(id)+"/resize", "disk=scsi0&size=10G", func(string) {
			d.call("POST", d.path(id)+"/firewall/rules", "type=in&action=ACCEPT&proto=tcp&dport=22&enable=1")
			d.task("POST", d.path(id)+"/status/start", "", func(string) { d.live(id) })
		})
	})
}

// live is what becomes of a machine.
func (d *day) live(id int) {
	if id%3 == 0 {
		d.after(4*time.Hour, func() {
			target := fmt.Sprintf("pve%d", d.rnd.IntN(3)+1)
			d.task("POST", d.path(id)+"/migrate", "online=1&target="+target, func(string) {})
		})
	}
	if id%4 == 0 {
		d.after(8*time.Hour, func() { d.terminate(id) })
	}
}

func (d *day) terminate(id int) {
	d.task("POST", d.path(id)+"/status/shutdown", "timeout=60&forceStop=1", func(string) {
		d.task("DELETE", d.path(id), "purge=1", func(exit string) {
			if exit == "OK" {
				delete(d.alive, id)
				return
			}
			d.after(time.Hour, func() { d.terminate(id) })
		})
	})
}

// backup backs up all VMs of a node, one after the other.
func (d *day) backup(node string) {
	list, _ := d.call("GET", "/nodes/"+node+"/qemu", "").([]any)
	var ids []string
	for _, x := range list {
		if o := x.(map[string]any); o["template"] == nil && len(ids) < 40 {
			ids = append(ids, fmt.Sprint(o["vmid"]))
		}
	}
	if len(ids) > 0 {
		d.task("POST", "/nodes/"+node+"/vzdump", "storage=shared1&vmid="+strings.Join(ids, ","), func(string) {})
	}
}

// run lets the day pass.
func (d *day) run() {
	defer d.c.Close()
	for i := range machinesOfADay {
		d.after(12*time.Hour, func() { d.order(1000+i, 1) })
	}
	for hour := range 24 {
		at := time.Duration(hour) * time.Hour
		d.clock.After(at, func() { d.call("GET", "/cluster/resources", "type=vm") })
		if hour%6 == 5 {
			for _, node := range []string{"pve1", "pve2", "pve3"} {
				d.clock.After(at, func() { d.backup(node) })
			}
		}
	}
	d.clock.After(15*time.Hour, func() { d.c.SetNodeOnline("pve3", false) })
	d.clock.After(15*time.Hour+10*time.Minute, func() { d.c.SetNodeOnline("pve3", true) })
	d.clock.Advance(24 * time.Hour)
}

// TestADayPassesInSecondsAndTwiceAlike lets 300 machines be ordered, started, moved, backed up and
// terminated through the API within a day, twice with the same seed.
func TestADayPassesInSecondsAndTwiceAlike(t *testing.T) {
	begin := time.Now()
	a, b := newDay(t, 1), newDay(t, 1)
	a.run()
	b.run()
	t.Logf("2 days took %v; %d calls and %d tasks in the first", time.Since(begin).Round(time.Millisecond), len(a.lines), len(a.c.Tasks()))
	for i := range max(len(a.lines), len(b.lines)) {
		if i >= len(a.lines) || i >= len(b.lines) || a.lines[i] != b.lines[i] {
			t.Fatalf("call %d differs:\n%s\n%s", i, strings.Join(a.lines[i:min(i+1, len(a.lines))], ""), strings.Join(b.lines[i:min(i+1, len(b.lines))], ""))
		}
	}
	vms := a.c.VMs()
	if len(vms)-1 != len(a.alive) || len(a.alive)+a.failed < machinesOfADay/2 || a.failed > machinesOfADay/20 {
		t.Errorf("%d VMs, %d are alive, %d orders failed", len(vms), len(a.alive), a.failed)
	}
	kinds := map[string]int{}
	for _, task := range a.c.Tasks() {
		if task.ExitStatus == "OK" {
			kinds[task.Type]++
		}
		if task.Running {
			t.Errorf("%s still runs", task.UPID)
		}
	}
	for _, kind := range []string{"qmclone", "qmconfig", "resize", "qmstart", "qmigrate", "vzdump", "qmshutdown", "qmdestroy"} {
		if kinds[kind] == 0 {
			t.Errorf("no task %s ended well", kind)
		}
	}
	t.Log("tasks that ended well:", kinds)
}
