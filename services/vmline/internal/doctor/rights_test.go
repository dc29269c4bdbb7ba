package doctor

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
)

// TestREADME holds README.md's commands against the table.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	role := regexp.MustCompile(`pveum role add VMLine --privs "([^"]+)"`).FindStringSubmatch(readme)
	if role == nil {
		t.Fatal("README.md makes no role VMLine")
	}
	got, want := strings.Fields(role[1]), minimalRole("9.2")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("README.md grants %v, the table has %v", got, want)
	}
	f := &facts{cluster: healthy().cluster}
	for _, command := range pveum(f, lacks(f))[1:] {
		if !strings.Contains(readme, command+"\n") {
			t.Errorf("README.md lacks: %s", command)
		}
	}
	if n := len(pveum(f, lacks(f))); n != 9 || strings.Count(readme, "pveum acl modify") != n-1 {
		t.Errorf("the role and %d grants, README.md has %d", n-1, strings.Count(readme, "pveum acl modify"))
	}
	if !strings.Contains(readme, "`VM.Monitor` instead of `VM.GuestAgent.Unrestricted`") || slices.Contains(minimalRole("8.4"), "VM.GuestAgent.Unrestricted") ||
		!slices.Contains(minimalRole("8.4"), "VM.Monitor") || slices.Contains(want, "VM.Monitor") {
		t.Error("Proxmox VE 8 and 9 differ in one privilege")
	}
}

// TestCommandsHeal runs the commands of the advice on the simulator: nothing is missing afterwards.
func TestCommandsHeal(t *testing.T) {
	for name, ails := range patients {
		h := healthy()
		ails(h)
		for range 2 { // what a missing right has hidden may lack rights itself
			for _, l := range h.examine(t).Lines {
				for _, command := range l.Do {
					if l.Check == "rights" || l.Check == "firewall" {
						h.run(t, command)
					}
				}
			}
		}
		for _, l := range h.examine(t).Lines {
			if l.Check == "rights" && l.Result != OK && name != "version-8" && name != "version-7" { // the simulator has no VM.Monitor
				t.Errorf("%s: still %+v", name, l)
			}
		}
	}
}

var (
	roleAdd    = regexp.MustCompile(`^pveum role add (\S+) --privs "([^"]+)"$`)
	roleModify = regexp.MustCompile(`^pveum role modify (\S+) --append 1 --privs "([^"]+)"$`)
	aclModify  = regexp.MustCompile(`^pveum acl modify (\S+) --roles (\S+)( --propagate 0)? --(?:users (\S+)|tokens '(\S+)')$`)
)

// run does a command to the next cluster that is made.
func (h *hospital) run(t *testing.T, command string) {
	t.Helper()
	if !strings.HasPrefix(command, "pveum") {
		return
	}
	switch add, modify, acl := roleAdd.FindStringSubmatch(command), roleModify.FindStringSubmatch(command), aclModify.FindStringSubmatch(command); {
	case add != nil:
		if h.sim.Roles[add[1]] != nil {
			t.Errorf("%s: it exists", command)
		}
		h.sim.Roles[add[1]] = strings.Fields(add[2])
	case modify != nil:
		h.sim.Roles[modify[1]] = append(h.sim.Roles[modify[1]], strings.Fields(modify[2])...)
	case acl != nil:
		h.sim.ACL = append(h.sim.ACL, pvesim.ACL{Path: acl[1], Role: acl[2], NoPropagate: acl[3] != "", Who: acl[4] + acl[5]})
	default:
		t.Errorf("no command: %s", command)
	}
}

// TestCommandsAreProxmoxs: the parameters of the commands are those of the API calls behind them.
func TestCommandsAreProxmoxs(t *testing.T) {
	cfg := pvesim.Default()
	cfg.Tokens["root@pam!admin"] = "secret"
	sim := pvesim.New(cfg)
	t.Cleanup(sim.Close)
	call := func(method, path string, form url.Values) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "https://sim/api2/json"+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "PVEAPIToken=root@pam!admin=secret")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := sim.RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s %s %v: %v, %v", method, path, form, res.Status, err)
		}
	}
	call("POST", "/access/roles", url.Values{"roleid": {roleName}, "privs": {strings.Join(minimalRole("9.2"), " ")}})
	for _, s := range []*scope{onVMs, onStorages, onBridges, onNodes} {
		call("PUT", "/access/acl", url.Values{"path": {s.grant}, "roles": {roleName}, "users": {"vmline@pve"}})
		call("PUT", "/access/acl", url.Values{"path": {s.grant}, "roles": {roleName}, "tokens": {token}})
	}
}
