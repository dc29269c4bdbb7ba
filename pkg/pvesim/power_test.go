package pvesim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const status101 = "/nodes/pve1/qemu/101/status/"

func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		name, params string
		guest        Guest
		exit         string
		running      bool
		took         time.Duration
	}{
		{"guest obeys", "", Guest{}, "OK", false, 5 * time.Second},
		{"guest is deaf", "timeout=20", Guest{IgnoresShutdown: true}, "VM quit/powerdown failed - got timeout", true, 20 * time.Second},
		{"guest is deaf, default patience", "", Guest{IgnoresShutdown: true}, "VM quit/powerdown failed - got timeout", true, 60 * time.Second},
		{"guest is deaf, forced", "timeout=20&forceStop=1", Guest{IgnoresShutdown: true}, "OK", false, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTime(t, Durations{Shutdown: 5 * time.Second}, func(s *sim) {
				s.clone(101)
				s.SetGuest(101, c.guest)
				s.ends("POST", status101+"start", "", "OK")
				start := time.Now()
				s.ends("POST", status101+"shutdown", c.params, c.exit)
				if took := time.Since(start).Round(time.Second); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if v, _ := s.VM(101); (v.Status == "running") != c.running {
					t.Errorf("the VM is %s", v.Status)
				}
			})
		})
	}
}

func TestStopOverrulesShutdown(t *testing.T) {
	inTime(t, Durations{}, func(s *sim) {
		s.clone(101)
		s.SetGuest(101, Guest{IgnoresShutdown: true})
		s.ends("POST", status101+"start", "", "OK")
		shutdown := s.begin("POST", status101+"shutdown", "")
		s.ends("POST", status101+"stop", "", "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout")
		s.ends("POST", status101+"stop", "overrule-shutdown=1", "OK")
		if exit := s.ended(shutdown); exit != "received interrupt" {
			t.Error(exit)
		}
	})
}

func TestStartRefusals(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.data("PUT", conf101, "net0=virtio,bridge=vmbr9")
	s.ends("POST", status101+"start", "", "bridge 'vmbr9' does not exist")
	s.data("PUT", conf101, "net0=virtio,bridge=vmbr0&cores=99")
	s.ends("POST", status101+"start", "", "MAX 16 vcpus allowed per VM on this node")
	s.data("PUT", conf101, "cores=1")
	s.ends("POST", status101+"start", "", "OK")
	s.ends("POST", status101+"start", "", "VM 101 already running")
	s.ends("POST", "/nodes/pve1/qemu/9000/status/start", "", "you can't start a vm if it's a template")
	s.ends("POST", "/nodes/pve1/qemu/77777/status/start", "", "Configuration file 'nodes/pve1/qemu-server/77777.conf' does not exist")
	s.refused("DELETE", "/nodes/pve1/qemu/101", "", 500, "VM 101 is running - destroy failed")
}

func TestAgentAnswersWhenTheGuestIsUp(t *testing.T) {
	inTime(t, Durations{}, func(s *sim) {
		s.clone(101)
		ping := "/nodes/pve1/qemu/101/agent/ping"
		s.refused("POST", ping, "", 500, "VM 101 is not running")
		s.SetGuest(101, Guest{AgentAfter: 30 * time.Second})
		s.ends("POST", status101+"start", "", "OK")
		s.refused("POST", ping, "", 500, "QEMU guest agent is not running")
		pass(30 * time.Second)
		s.data("POST", ping, "")
		pid := s.data("POST", "/nodes/pve1/qemu/101/agent/exec", "command=cloud-init").(map[string]any)["pid"]
		out := s.json("GET", "/nodes/pve1/qemu/101/agent/exec-status?pid="+itoa(int(pid.(float64))), "")
		if out.code != 200 {
			t.Errorf("%d %s", out.code, out.body)
		}
		s.data("PUT", conf101, "agent=0")
		s.ends("POST", status101+"stop", "", "OK")
		s.ends("POST", status101+"start", "", "OK")
		s.refused("POST", ping, "", 500, "No QEMU guest agent configured")
	})
}

func TestSnapshots(t *testing.T) {
	s := newSim(t)
	s.ends("POST", clonePath, "newid=101&full=1&format=qcow2", "OK")
	snapshots := "/nodes/pve1/qemu/101/snapshot"
	s.ends("POST", snapshots, "snapname=one", "OK")
	s.data("PUT", conf101, "cores=4")
	s.ends("POST", snapshots, "snapname=two", "OK")
	s.ends("DELETE", snapshots+"/nope", "", "snapshot 'nope' does not exist")
	s.ends("POST", snapshots+"/one/rollback", "", "OK")
	if got := s.conf(101, "cores"); got != nil {
		t.Errorf("cores %v after the rollback", got)
	}
	s.refused("POST", "/nodes/pve1/qemu/101/template", "", 500, "unable to create template, because VM contains snapshots")
	s.ends("DELETE", snapshots+"/two", "", "OK")
	s.ends("DELETE", snapshots+"/one", "", "OK")
	if v, _ := s.VM(101); len(v.Snapshots) != 0 || v.Config["parent"] != "" {
		t.Errorf("%v, parent %q", v.Snapshots, v.Config["parent"])
	}
}

// TestRebootIsAStopAndAStart: the task ends when the guest is down; the node starts it in another, and with
// it come the pending changes.
func TestRebootIsAStopAndAStart(t *testing.T) {
	inTime(t, Durations{Reboot: 5 * time.Second, Start: 2 * time.Second}, func(s *sim) {
		s.clone(101)
		s.ends("POST", status101+"start", "", "OK")
		s.data("PUT", conf101, "cores=3")
		s.ends("POST", status101+"reboot", "timeout=60", "OK")
		if v, _ := s.VM(101); v.Status != "stopped" || v.Config["cores"] != "3" {
			t.Errorf("%+v", v)
		}
		pass(3 * time.Second)
		last := s.Tasks()[len(s.Tasks())-1]
		if v, _ := s.VM(101); v.Status != "running" || last.Type != "qmstart" || last.User != "root@pam" {
			t.Errorf("%+v, %+v", v, last)
		}
		s.SetGuest(101, Guest{IgnoresShutdown: true})
		s.ends("POST", status101+"reboot", "timeout=60", "VM quit/powerdown failed - got timeout")
		if v, _ := s.VM(101); v.Status != "running" {
			t.Errorf("%+v", v)
		}
	})
}

func TestProgramsInTheGuest(t *testing.T) {
	const agent = "/nodes/pve1/qemu/101/agent/"
	inTime(t, Durations{}, func(s *sim) {
		s.clone(101)
		s.SetGuest(101, Guest{CloudInitAfter: time.Minute})
		s.ends("POST", status101+"start", "", "OK")
		run := func(command string) string {
			got := s.json("POST", agent+"exec", `{"command":`+command+`}`)
			if got.code != 200 {
				t.Fatal(got.reason)
			}
			var b struct{ Data struct{ PID int } }
			if err := json.Unmarshal(got.body, &b); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint("pid=", b.Data.PID)
		}
		status := func(pid, want string) {
			t.Helper()
			if got := string(s.do("GET", agent+"exec-status", pid).body); !strings.Contains(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		}
		ask, wait := run(`["cloud-init","status"]`), run(`["cloud-init","status","--wait"]`)
		status(ask, "status: running")
		status(ask, "does not exist") // told once
		status(wait, `"exited":0`)
		pass(time.Minute)
		status(wait, "status: done")
		s.SetGuest(101, Guest{CloudInit: "error"})
		failed, lost := run(`["cloud-init","status"]`), run(`["true"]`)
		status(failed, `"exitcode":1`)
		s.SetRunning(101, false)
		s.SetRunning(101, true)
		status(lost, "does not exist")
	})
}

func TestPasswordsInTheGuest(t *testing.T) {
	const password = "/nodes/pve1/qemu/101/agent/set-user-password"
	s := newSim(t)
	s.clone(101)
	s.data("PUT", conf101, "ciuser=admin")
	s.ends("POST", status101+"start", "", "OK")
	s.refused("POST", password, "username=admin&password=1234", 400, "Parameter verification failed.")
	s.refused("POST", password, "username=nobody&password=12345", 500, "Agent error: child process has failed to set user password")
	s.data("POST", password, "username=admin&password=12345")
	if v, _ := s.VM(101); v.Passwords["admin"] != "12345" || len(v.Passwords) != 1 {
		t.Errorf("%v", v.Passwords)
	}
}

func TestStartResumesFromDisk(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.ends("POST", status101+"start", "", "OK")
	s.ends("POST", status101+"suspend", "todisk=1", "OK")
	s.refused("PUT", conf101, "cores=2", 500, "VM is locked (suspended)")
	s.ends("POST", status101+"start", "", "OK")
	if v, _ := s.VM(101); v.Status != "running" || v.Config["lock"] != "" {
		t.Errorf("after the start: %s, lock %q", v.Status, v.Config["lock"])
	}
}
