package doctor

import (
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const token = "vmline@pve!prov"

// hospital is a simulated cluster that a test makes sick, and what stands before it.
type hospital struct {
	sim     pvesim.Config
	cluster config.Cluster
	pools   []config.Pool
	specs   []pvesim.VMSpec
	answers map[string]string        // instead of the simulator's, by path
	clocks  map[string]time.Duration // of nodes
	after   func(*pvesim.Cluster)
	url     string // that works, of the cluster's
	secret  string // that the configuration has
}

// healthy is a cluster as README.md makes it, with the cluster's firewall on.
func healthy() *hospital {
	sim := pvesim.Default()
	sim.Now = func() time.Time { return now }
	sim.Roles = map[string][]string{roleName: minimalRole(pvesim.Release), "Look": {"Sys.Audit"}}
	for _, who := range []string{"vmline@pve", token} {
		for _, s := range []*scope{onVMs, onStorages, onBridges, onNodes} {
			sim.ACL = append(sim.ACL, pvesim.ACL{Path: s.grant, Who: who, Role: roleName})
		}
		sim.ACL = append(sim.ACL, pvesim.ACL{Path: "/", Who: who, Role: "Look", NoPropagate: true})
	}
	return &hospital{
		sim: sim, url: "https://pve1.test:8006", secret: sim.Tokens[token],
		cluster: config.Cluster{Name: "dc1", URL: "https://pve1.test:8006", TokenID: token},
		pools:   []config.Pool{{Name: "public", Cluster: "dc1", Bridge: "vmbr0"}, {Name: "other", Cluster: "dc2", Bridge: "vmbr9"}},
		answers: map[string]string{"/cluster/firewall/options": `{"enable":1}`},
	}
}

// without takes a privilege out of the role.
func (h *hospital) without(privilege string) {
	h.sim.Roles[roleName] = slices.DeleteFunc(slices.Clone(h.sim.Roles[roleName]), func(p string) bool { return p == privilege })
}

// revoke takes a path out of the access control list.
func (h *hospital) revoke(path string) {
	h.sim.ACL = slices.DeleteFunc(h.sim.ACL, func(a pvesim.ACL) bool { return a.Path == path })
}

func (h *hospital) roundTrip(sim *pvesim.Cluster, r *http.Request) (*http.Response, error) {
	if "https://"+r.URL.Host != h.url {
		return nil, fmt.Errorf("dial tcp: no route to host")
	}
	path := strings.TrimPrefix(r.URL.Path, "/api2/json")
	answer := h.answers[path]
	if node, ok := strings.CutSuffix(strings.TrimPrefix(path, "/nodes/"), "/time"); ok && answer == "" {
		answer = fmt.Sprintf(`{"time":%d}`, now.Add(h.clocks[node]).Unix())
	}
	if answer == "" {
		return sim.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"data":` + answer + `}`))}, nil
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (h *hospital) examine(t *testing.T) Report {
	t.Helper()
	sim := pvesim.New(h.sim)
	t.Cleanup(sim.Close)
	for _, s := range h.specs {
		if err := sim.AddVM(s); err != nil {
			t.Fatal(err)
		}
	}
	if h.after != nil {
		h.after(sim)
	}
	client, err := pve.New(pve.Config{
		Name: h.cluster.Name, URL: h.cluster.URL, Endpoints: h.cluster.Endpoints, TokenID: h.cluster.TokenID, TokenSecret: h.secret,
		Transport: transport(func(r *http.Request) (*http.Response, error) { return h.roundTrip(sim, r) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return Examine(t.Context(), Cluster{Client: client, Config: h.cluster, Pools: h.pools, Now: func() time.Time { return now }})
}

// patients are clusters with one thing wrong each.
var patients = map[string]func(*hospital){
	"good":        func(*hospital) {},
	"no-role":     func(h *hospital) { delete(h.sim.Roles, roleName); h.sim.ACL = []pvesim.ACL{} },
	"no-clone":    func(h *hospital) { h.without("VM.Clone"); h.without("VM.Config.Disk") },
	"no-vms":      func(h *hospital) { h.revoke("/vms") },
	"no-storages": func(h *hospital) { h.revoke("/storage") },
	"one-storage": func(h *hospital) {
		for _, who := range []string{"vmline@pve", token} {
			h.sim.ACL = append(h.sim.ACL, pvesim.ACL{Path: "/storage/local-lvm", Who: who, Role: "Half"})
		}
		h.sim.Roles["Half"] = []string{"Datastore.Audit"}
	},
	"no-bridge-right": func(h *hospital) { h.revoke("/sdn/zones/localnetwork"); h.pools[0].VLAN = 20 },
	"no-nodes":        func(h *hospital) { h.revoke("/nodes") },
	"no-look":         func(h *hospital) { h.revoke("/"); delete(h.answers, "/cluster/firewall/options") },
	"token-only": func(h *hospital) {
		h.sim.ACL = slices.DeleteFunc(h.sim.ACL, func(a pvesim.ACL) bool { return a.Who == "vmline@pve" })
	},
	"version-8": func(h *hospital) {
		h.answers["/version"] = `{"version":"8.4.14","release":"8.4"}`
	},
	"version-7":     func(h *hospital) { h.answers["/version"] = `{"version":"7.4-19","release":"7.4"}` },
	"version-10":    func(h *hospital) { h.answers["/version"] = `{"version":"10.0.1","release":"10.0"}` },
	"wrong-secret":  func(h *hospital) { h.secret = "11111111-0000-4000-8000-000000000001" },
	"endpoint-down": func(h *hospital) { h.cluster.Endpoints = []string{"https://pve2.test:8006"} },
	"all-down":      func(h *hospital) { h.url = "" },
	"insecure":      func(h *hospital) { h.cluster.InsecureSkipVerify = true },
	"clocks":        func(h *hospital) { h.clocks = map[string]time.Duration{"pve1": -7 * time.Second, "pve2": time.Hour} },
	"node-down":     func(h *hospital) { h.after = func(c *pvesim.Cluster) { c.SetNodeOnline("pve3", false) } },
	"no-pools":      func(h *hospital) { h.pools = nil },
	"no-bridge":     func(h *hospital) { h.sim.Nodes[1].Bridges = []string{"vmbr1"} },
	"bridge-down": func(h *hospital) {
		h.answers["/nodes/pve2/network"] = `[{"iface":"vmbr0","type":"bridge"}]`
	},
	"vnet": func(h *hospital) {
		h.pools[0].Bridge = "office"
		for _, n := range h.sim.Nodes {
			h.answers["/nodes/"+n.Name+"/network"] = `[{"iface":"office","type":"vnet"}]`
		}
	},
	"no-images": func(h *hospital) { h.contents("backup"); h.sim.Templates = nil },
	"no-backup": func(h *hospital) { h.contents("images") },
	"node-without": func(h *hospital) {
		h.sim.Storages = h.sim.Storages[1:2]
		h.sim.Storages[0].Nodes = []string{"pve1", "pve2"}
	},
	"no-templates": func(h *hospital) { h.sim.Templates = nil },
	"bare-template": func(h *hospital) {
		h.specs = []pvesim.VMSpec{
			{VMID: 9001, Node: "pve2", Name: "bare", Template: true, Storage: "local", DiskGB: 5, Config: map[string]string{"net0": "virtio,bridge=vmbr0", "boot": "order=net0"}},
			{VMID: 9002, Node: "pve1", Name: "empty", Config: map[string]string{"template": "1"}},
		}
	},
	"template-away": func(h *hospital) {
		h.after = func(c *pvesim.Cluster) { c.SetNodeOnline("pve1", false) }
	},
	"firewall-off": func(h *hospital) { h.answers["/cluster/firewall/options"] = `{"digest":"ab"}` },
}

func (h *hospital) contents(kinds ...string) {
	for i := range h.sim.Storages {
		h.sim.Storages[i].Content = kinds
	}
}

// TestPatients shows what is said about each: read testdata/*.golden.
func TestPatients(t *testing.T) {
	for name, ails := range patients {
		t.Run(name, func(t *testing.T) {
			h := healthy()
			ails(h)
			report := h.examine(t)
			var got strings.Builder
			report.Write(&got)
			golden(t, name, got.String())
			if strings.Contains(got.String(), h.secret) {
				t.Error("the token's secret is in it")
			}
			for _, l := range report.Lines {
				if (l.Result == OK) != (len(l.Do) == 0) || l.Found == "" {
					t.Errorf("says what is wrong and not what to do, or the other way round: %+v", l)
				}
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; look at the difference, then run with -update. Got:\n%s", path, got)
	}
}

// TestHealthy: a cluster made by README.md has nothing to complain about.
func TestHealthy(t *testing.T) {
	r := healthy().examine(t)
	if r.Sick() {
		t.Error("sick")
	}
	for _, l := range r.Lines {
		if l.Result != OK {
			t.Errorf("%+v", l)
		}
	}
}

// TestUnseen: what could not be read is neither right nor wrong, and said with its reason.
func TestUnseen(t *testing.T) {
	lost := &pve.Error{Kind: pve.Unreachable, Message: "No route to host"}
	f := &facts{
		now: now, pools: []config.Pool{{Bridge: "vmbr0"}}, rightsErr: lost, firewallErr: lost, resourcesErr: lost,
		nodes:     []nodeFacts{{name: "pve1", bridgesErr: lost, clockErr: lost}},
		templates: []templateFacts{{vm: pve.VM{VMID: 9000, Name: "t", Node: "pve1"}, err: lost}},
	}
	for name, check := range map[string]func(*facts) []Line{"clock": checkClocks, "rights": checkRights, "bridge": checkBridges, "firewall": checkFirewall} {
		lines := check(f)
		if len(lines) != 1 || lines[0].Check != name || lines[0].Result != Warning || !strings.Contains(lines[0].Found, "No route to host") || lines[0].Do[0] == "" {
			t.Errorf("%s: %+v", name, lines)
		}
	}
	if lines := checkNodes(f); len(lines) != 1 || lines[0].Result != Problem {
		t.Errorf("%+v", lines)
	}
	if lines := append(checkStorages(f), checkTemplates(f)...); len(lines) != 0 {
		t.Errorf("said of a list that was not read: %+v", lines)
	}
	f.resourcesErr = nil
	if lines := checkTemplates(f); len(lines) != 1 || lines[0].Result != Warning || !strings.HasPrefix(lines[0].Found, "9000 t on pve1 could not") {
		t.Errorf("%+v", lines)
	}
}

// TestCertificates: nothing is said of what works for long, and enough of what does not.
func TestCertificates(t *testing.T) {
	until := func(d time.Duration) *x509.Certificate { return &x509.Certificate{NotAfter: now.Add(d)} }
	for _, test := range []struct {
		url  string
		cert *x509.Certificate
		want Result
		text string
	}{
		{"https://a", until(expiresSoon), OK, "valid until 2026-12-08"},
		{"https://a", until(expiresSoon - 1), Warning, "valid until"},
		{"https://a", until(-time.Hour), Warning, "valid until 2026-11-24"},
		{"http://a", nil, Warning, "in clear"},
	} {
		lines := checkCertificates(&facts{now: now, endpoints: []pve.Endpoint{{URL: test.url, Certificate: test.cert}}})
		if len(lines) != 1 || lines[0].Result != test.want || !strings.Contains(lines[0].Found, test.text) {
			t.Errorf("%+v: %+v", test, lines)
		}
	}
}

// TestAgent reads the forms in which the guest agent is switched on and off.
func TestAgent(t *testing.T) {
	for value, want := range map[string]bool{"": false, "0": false, "1": true, "enabled=1,fstrim_cloned_disks=1": true,
		"fstrim_cloned_disks=1,enabled=1": true, "enabled=0,fstrim_cloned_disks=1": false, "1,type=isa": true, "fstrim_cloned_disks=1": false} {
		if got := hasAgent(pve.VMConfig{Values: map[string]string{"agent": value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
