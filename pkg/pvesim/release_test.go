package pvesim

import (
	"strings"
	"testing"
)

func TestReleasesDiffer(t *testing.T) {
	for _, c := range []struct {
		pve, version           string
		messages, tasks, isNew bool
	}{
		{"", "9.2.11", true, true, true},
		{"9", "9.2.11", true, true, true},
		{"8.4", "8.4.14", true, true, false},
		{"8", "8.2.7", false, true, false},
		{"8.0", "8.0.1", false, false, false},
	} {
		t.Run("PVE "+c.pve, func(t *testing.T) {
			s := newSim(t, func(cfg *Config) { cfg.PVE = c.pve })
			s.clone(101)
			if v := s.data("GET", "/version", "").(map[string]any); v["version"] != c.version || !strings.HasPrefix(c.version, v["release"].(string)+".") {
				t.Errorf("version %v", v)
			}
			missing := s.do("GET", "/nodes/pve1/qemu/777/config", "")
			if missing.reason != "Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist" || strings.Contains(string(missing.body), "message") != c.messages {
				t.Errorf("%s %s", missing.reason, missing.body)
			}
			wrong := s.do("PUT", "/nodes/pve1/qemu/101/config", "cores=x")
			if wrong.code != 400 || !strings.Contains(string(wrong.body), `"errors":{"cores":`) || strings.Contains(string(wrong.body), "message") != c.messages {
				t.Errorf("%d %s", wrong.code, wrong.body)
			}
			resized := s.data("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=10G")
			if _, isTask := resized.(string); isTask != c.tasks || s.conf(101, "scsi0") != "shared1:101/vm-101-disk-0.raw,size=10G" {
				t.Errorf("resize answered %v, disk %v", resized, s.conf(101, "scsi0"))
			}
			if got := s.do("PUT", "/nodes/pve1/qemu/101/config", "allow-ksm=1").code == 200; got != c.isNew {
				t.Errorf("allow-ksm is taken: %v", got)
			}
			status := s.data("GET", "/nodes/pve1/qemu/101/status/current", "").(map[string]any)
			if _, got := status["memhost"]; got != c.isNew {
				t.Errorf("memhost is there: %v", got)
			}
			kind := map[bool]string{true: `"type":"network"`, false: `"type":"sdn"`}[c.isNew]
			if got := s.do("GET", "/cluster/resources", "type=sdn"); !strings.Contains(string(got.body), kind) {
				t.Errorf("%s", got.body)
			}
		})
	}
}

func TestPrivilegesOfReleases(t *testing.T) {
	for _, c := range []struct{ pve, has, hasNot string }{
		{"9", "VM.GuestAgent.Audit", "VM.Monitor"},
		{"8", "VM.Monitor", "VM.GuestAgent.Audit"},
	} {
		t.Run("PVE "+c.pve, func(t *testing.T) {
			s := newSim(t, func(cfg *Config) { cfg.PVE = c.pve })
			s.clone(101)
			s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
			got := s.do("POST", "/access/roles", "roleid=agent&privs=VM.Audit,"+c.hasNot)
			if got.code != 400 || !strings.Contains(string(got.body), "invalid privilege '"+c.hasNot+"'") {
				t.Errorf("%d %s", got.code, got.body)
			}
			s.data("POST", "/access/roles", "roleid=agent&privs="+c.has)
			s.data("POST", "/access/users", "userid=a@pve")
			s.data("PUT", "/access/acl", "path=/vms/101&users=a@pve&roles=agent")
			token := s.data("POST", "/access/users/a@pve/token/t1", "privsep=0").(map[string]any)
			mine := &sim{s.Cluster, t, "a@pve!t1=" + token["value"].(string)}
			mine.data("POST", "/nodes/pve1/qemu/101/agent/ping", "")
			s.data("PUT", "/access/acl", "path=/vms/101&users=a@pve&roles=agent&delete=1")
			want := map[string]string{"9": "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted", "8": "VM.Monitor"}[c.pve]
			mine.refused("POST", "/nodes/pve1/qemu/101/agent/ping", "", 403, "Permission check failed (/vms/101, "+want+")")
		})
	}
}

func TestNewRefusesAnUnknownRelease(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, `no release "7"`) {
			t.Errorf("New said %q", text)
		}
	}()
	New(Config{PVE: "7"})
}
