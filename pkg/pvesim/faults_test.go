package pvesim

import (
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	late := "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout"
	full := "clone failed: unable to create image: qemu-img: /mnt/pve/shared1/images/101/vm-101-cloudinit.qcow2: Could not resize image: Failed to resize underlying file: Could not write zeros for preallocation: No space left on device"
	for _, c := range []struct {
		name   string
		fault  Fault
		code   int // of the clone's answer; 0: no answer
		reason string
		exit   string // of the clone's task; "" when there is none
		exists bool   // the clone, afterwards
	}{
		{"slow", Fault{Kind: Slow, Delay: 20 * time.Second}, 200, "OK", "OK", true},
		{"refused", Fault{Kind: Refuse, Text: "cfs-lock 'x' error: no quorum!"}, 500, "cfs-lock 'x' error: no quorum!", "", false},
		{"unreachable", Fault{Kind: Refuse, Code: 595, Text: "No route to host"}, 595, "No route to host", "", false},
		{"596 but done", Fault{Kind: RefuseAfter}, 596, "Connection timed out", "OK", true},
		{"dropped before", Fault{Kind: DropBefore}, 0, "unexpected EOF", "", false},
		{"dropped after", Fault{Kind: DropAfter}, 0, "unexpected EOF", "OK", true},
		{"lock file held", Fault{Kind: LockTimeout}, 200, "OK", late, false},
		{"task fails", Fault{Kind: TaskError, Text: "clone failed: copy failed"}, 200, "OK", "clone failed: copy failed", false},
		{"task warns", Fault{Kind: TaskWarnings, Warnings: 2}, 200, "OK", "WARNINGS: 2", true},
		{"storage full", Fault{Kind: StorageFull, Storage: "shared1"}, 200, "OK", full, false},
		{"other storage full", Fault{Kind: StorageFull, Storage: "local"}, 200, "OK", "OK", true},
		{"node down", Fault{Kind: NodeDown}, 595, "No route to host", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTime(t, Durations{Clone: 2 * time.Second}, func(s *sim) {
				c.fault.Method, c.fault.Path, c.fault.Times = "POST", "/nodes/*/qemu/*/clone", 1
				s.AddFault(c.fault)
				start := time.Now()
				s.refused("POST", clonePath, "newid=101&full=1", c.code, c.reason)
				if took := time.Since(start); took != c.fault.Delay {
					t.Errorf("took %v", took)
				}
				exit := ""
				if tasks := s.Tasks(); len(tasks) == 1 {
					exit = s.ended(tasks[0].UPID)
				}
				if exit != c.exit {
					t.Errorf("exit status %q, want %q", exit, c.exit)
				}
				if v, ok := s.VM(101); ok != c.exists || v.Lock != "" {
					t.Errorf("VM 101 exists: %v, lock %q", ok, v.Lock)
				}
				s.clone(102)
			})
		})
	}
}

func TestFaultSkipsAndEnds(t *testing.T) {
	s := newSim(t)
	remove := s.AddFault(Fault{Kind: Refuse, Path: "/version", Skip: 1, Times: 2, Text: "no"})
	codes := ""
	for range 4 {
		codes += itoa(s.do("GET", "/version", "").code) + " "
	}
	if codes != "200 500 500 200 " {
		t.Error(codes)
	}
	remove()
	s.AddFault(Fault{Kind: Refuse, Path: "/nodes/**", Code: 503})
	if a, b := s.do("GET", "/nodes", "").code, s.do("GET", "/nodes/pve1/status", "").code; a != 200 || b != 503 {
		t.Errorf("%d, %d", a, b)
	}
}

func TestNodeDown(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.SetNodeOnline("pve1", false)
	s.refused("GET", conf101, "", 595, "No route to host")
	s.data("GET", "/nodes/pve1/qemu/101/firewall/rules", "")
	s.refused("GET", "/cluster/nextid", "vmid=101", 400, "Parameter verification failed.")
	list := s.data("GET", "/cluster/resources", "type=vm").([]any)
	if got := list[0].(map[string]any)["status"]; got != "unknown" {
		t.Errorf("status %v", got)
	}
	s.SetNodeOnline("pve1", true)
	s.SetNodeOnline("pve2", false)
	s.SetNodeOnline("pve3", false)
	s.refused("POST", clonePath, "newid=102&full=1", 500, "cluster not ready - no quorum?")
	s.conf(101, "name")
	s.SetDown(true)
	if got := s.do("GET", "/version", ""); got.code != 0 {
		t.Errorf("%d", got.code)
	}
}

func TestFiguresLag(t *testing.T) {
	inTime(t, Durations{}, func(s *sim) {
		s.cfg.StatsEvery = 10 * time.Second
		s.clone(101)
		figures := func() string {
			for _, x := range s.data("GET", "/cluster/resources", "type=vm").([]any) {
				if o := x.(map[string]any); o["vmid"] == 101.0 {
					name, _ := o["name"].(string)
					return o["status"].(string) + " " + name
				}
			}
			return "missing"
		}
		pass(10 * time.Second)
		if got := figures(); got != "stopped Copy-of-VM-tmpl" {
			t.Error(got)
		}
		s.Remove(101)
		if got := figures(); got != "missing" {
			t.Error(got)
		}
		s.ends("POST", clonePath, "newid=101&full=1&name=second", "OK")
		if got := figures(); got != "stopped Copy-of-VM-tmpl" {
			t.Errorf("a re-used VMID shows %q at first", got)
		}
		pass(10 * time.Second)
		if got := figures(); !strings.HasSuffix(got, "second") {
			t.Error(got)
		}
		s.clone(103)
		list := s.data("GET", "/cluster/resources", "type=vm").([]any)
		if got := list[1].(map[string]any)["status"]; got != "unknown" {
			t.Errorf("a new VM is %v", got)
		}
	})
}
