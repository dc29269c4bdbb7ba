package pve

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestResources(t *testing.T) {
	body := `{"data":[
	{"id":"qemu/101","type":"qemu","vmid":101,"node":"pve1","name":"a","status":"running","template":0,"tags":"x;vmline","lock":"backup","maxcpu":2,"maxmem":536870912,"pool":"p"},
	{"id":"qemu/140","type":"qemu","vmid":140,"node":"pve2","status":"unknown","template":"1"},
	{"id":"lxc/200","type":"lxc","vmid":200,"node":"pve1"},
	{"id":"node/pve1","type":"node","node":"pve1","status":"online","maxcpu":8,"cpu":0.25,"maxmem":100,"mem":40},
	{"id":"node/pve2","type":"node","node":"pve2","status":"offline"},
	{"id":"storage/pve1/local","type":"storage","node":"pve1","storage":"local","plugintype":"dir","shared":0,"content":"images,backup","status":"available","maxdisk":10,"disk":4},
	{"id":"storage/pve2/nfs","type":"storage","node":"pve2","storage":"nfs","plugintype":"nfs","shared":1,"content":"images","status":"unknown"},
	{"id":"network/pve1/zone/localnetwork","type":"network","node":"pve1"}]}`
	got, err := newTest(t, always(200, "OK", body)).Resources(t.Context())
	if err != nil || len(got.VMs) != 2 || len(got.Nodes) != 2 || len(got.Storages) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	a, b := got.VMs[0], got.VMs[1]
	if a.VMID != 101 || a.Name != "a" || a.Lock != "backup" || a.Template || !slices.Equal(a.Tags, []string{"x", "vmline"}) || a.MaxMem != 512<<20 {
		t.Errorf("%+v", a)
	}
	if b.Status != "unknown" || !b.Template || len(b.Tags) != 0 {
		t.Errorf("%+v", b)
	}
	if n := got.Nodes; !n[0].Online || n[1].Online || n[0].CPU != 0.25 || n[0].MaxMem-n[0].Mem != 60 {
		t.Errorf("%+v", n)
	}
	if s := got.Storages; s[0].Avail != 6 || !s[0].Active || s[0].Shared || s[1].Active || !s[1].Shared || s[0].Content[1] != "backup" {
		t.Errorf("%+v", s)
	}
}

func TestStatus(t *testing.T) {
	body := `{"data":{"status":"running","qmpstatus":"paused","name":"a","lock":"backup","uptime":61,"agent":1,"ha":{"managed":"1"},"cpus":2,"vmid":101}}`
	s, err := newTest(t, always(200, "OK", body)).Status(t.Context(), "pve1", 101)
	want := VMStatus{VMID: 101, Name: "a", Status: "running", QMPStatus: "paused", Lock: "backup", Agent: true, Uptime: 61 * time.Second, CPUs: 2, HAManaged: true}
	if err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := newTest(t, always(200, "OK", `{"data":{"status":"unknown"}}`)).Status(t.Context(), "pve1", 101); KindOf(err) != Unreachable {
		t.Errorf("a status that is none: %v", err)
	}
}

func TestSnapshotsWithoutCurrent(t *testing.T) {
	body := `{"data":[{"name":"s1","description":"d","snaptime":1795477962,"vmstate":0},{"name":"s2","parent":"s1","snaptime":1795477963,"vmstate":1},{"name":"current","parent":"s2","running":0}]}`
	got, err := newTest(t, always(200, "OK", body)).Snapshots(t.Context(), "pve1", 101)
	if err != nil || len(got) != 2 || got[0].Name != "s1" || got[1].Parent != "s1" || !got[1].VMState || got[0].Time.Unix() != 1795477962 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestBackups: each storage is asked, and one that cannot be read is not empty.
func TestBackups(t *testing.T) {
	down := false
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/api2/json/nodes/pve1/storage":
			return ok(`[{"storage":"local","shared":0},{"storage":"nfs","shared":1}]`), nil
		case "/api2/json/nodes/pve1/storage/local/content":
			return ok(`[{"volid":"local:backup/a","vmid":101,"size":5,"ctime":7,"protected":1},{"volid":"local:backup/b","vmid":1010}]`), nil
		case "/api2/json/nodes/pve1/storage/nfs/content":
			if down {
				return said(500, "storage 'nfs' is not online"), nil
			}
			return ok(`[{"volid":"nfs:backup/c","vmid":"101","ctime":8}]`), nil
		}
		return said(501, "Method 'GET' not implemented"), nil
	})
	storages, err := c.BackupStorages(t.Context(), "pve1")
	if err != nil || !slices.Equal(storages, []string{"local", "nfs"}) {
		t.Fatal(storages, err)
	}
	got, err := c.Backups(t.Context(), "pve1", storages, 101)
	want := []Backup{{VolID: "local:backup/a", Storage: "local", Protected: true, Size: 5, CTime: time.Unix(7, 0)},
		{VolID: "nfs:backup/c", Storage: "nfs", CTime: time.Unix(8, 0)}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	down = true
	if got, err := c.Backups(t.Context(), "pve1", storages, 101); KindOf(err) != Transient || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFirewall(t *testing.T) {
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/api2/json/nodes/pve1/qemu/101/firewall/rules":
			return ok(`[{"pos":0,"type":"in","action":"ACCEPT","enable":1,"proto":"tcp","dport":22,"comment":"c","icmp-type":"any","digest":"d"},{"pos":"1","type":"group","action":"web","enable":0}]`), nil
		case "/api2/json/nodes/pve1/qemu/101/firewall/options":
			return ok(`{"enable":1,"policy_in":"DROP","digest":"d"}`), nil
		case "/api2/json/nodes/pve1/qemu/101/firewall/ipset":
			return ok(`[{"name":"ipfilter-net0","digest":"d"}]`), nil
		case "/api2/json/nodes/pve1/qemu/101/firewall/ipset/ipfilter-net0":
			return ok(`[{"cidr":"192.0.2.1","digest":"d"}]`), nil
		}
		return said(500, "no such IPSet 'other'"), nil
	})
	rules, err := c.FirewallRules(t.Context(), "pve1", 101)
	want := []FirewallRule{{Type: "in", Action: "ACCEPT", Enable: true, Proto: "tcp", Dport: "22", Comment: "c", ICMPType: "any", Digest: "d"},
		{Type: "group", Action: "web", Pos: 1}}
	if err != nil || !slices.Equal(rules, want) {
		t.Errorf("%+v, %v", rules, err)
	}
	if o, err := c.FirewallOptions(t.Context(), "pve1", 101); err != nil || o["enable"] != "1" || o["policy_in"] != "DROP" {
		t.Errorf("%v, %v", o, err)
	}
	if names, err := c.IPSets(t.Context(), "pve1", 101); err != nil || !slices.Equal(names, []string{"ipfilter-net0"}) {
		t.Errorf("%v, %v", names, err)
	}
	if set, err := c.IPSet(t.Context(), "pve1", 101, "ipfilter-net0"); err != nil || !slices.Equal(set, []string{"192.0.2.1"}) {
		t.Errorf("%v, %v", set, err)
	}
	if _, err := c.IPSet(t.Context(), "pve1", 101, "other"); KindOf(err) != Missing {
		t.Error(err)
	}
}

func TestPending(t *testing.T) {
	body := `{"data":[{"key":"digest","value":"ab"},{"key":"onboot","value":1},{"key":"cores","pending":2,"value":1},
	{"key":"agent","pending":"0"},{"key":"memory","value":"256","delete":1},{"key":"net1","value":"x","delete":"2"},{"key":"numa","value":1,"pending":"0","delete":0}]}`
	got, err := newTest(t, always(200, "OK", body)).Pending(t.Context(), "pve1", 101)
	want := []PendingChange{{Key: "cores", Now: "1", Then: "2"}, {Key: "agent", Then: "0"}, {Key: "memory", Now: "256", Delete: true},
		{Key: "net1", Now: "x", Delete: true}, {Key: "numa", Now: "1", Then: "0"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNodes(t *testing.T) {
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/api2/json/nodes/pve1/network":
			return ok(`[{"iface":"vmbr0","type":"bridge","active":1,"bridge_vlan_aware":1},{"iface":"office","type":"vnet"}]`), nil
		case "/api2/json/nodes/pve1/time":
			return ok(`{"time":1795477962,"localtime":1795481562,"timezone":"Europe/Berlin"}`), nil
		}
		return said(403, "Permission check failed (/nodes/pve2, Sys.Audit)"), nil
	})
	bridges, err := c.Bridges(t.Context(), "pve1")
	if want := []Bridge{{"vmbr0", "bridge", true, true}, {Name: "office", Type: "vnet"}}; err != nil || !slices.Equal(bridges, want) {
		t.Errorf("%+v, %v", bridges, err)
	}
	if at, err := c.NodeTime(t.Context(), "pve1"); err != nil || at.Unix() != 1795477962 {
		t.Error(at, err)
	}
	if _, err := c.NodeTime(t.Context(), "pve2"); KindOf(err) != NoPermission {
		t.Error(err)
	}
}

func TestPermissions(t *testing.T) {
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/api2/json/access/roles" {
			return ok(`[{"roleid":"VMLine","privs":"VM.Audit,VM.Clone","special":0},{"roleid":"NoAccess","privs":"","special":1}]`), nil
		}
		switch r.URL.Query().Get("path") {
		case "/vms":
			return ok(`{"/vms":{"VM.Audit":1,"VM.Clone":0}}`), nil
		case "/storage":
			return ok(`{}`), nil
		}
		return ok(`{"/vms":{"VM.Audit":1}}`), nil
	})
	if got, err := c.Permissions(t.Context(), "/vms"); err != nil || len(got) != 2 || !got["VM.Audit"] || got["VM.Clone"] {
		t.Error(got, err)
	}
	if got, err := c.Permissions(t.Context(), "/storage"); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	if got, err := c.Permissions(t.Context(), "/nodes"); KindOf(err) != Unreachable {
		t.Errorf("an answer about another path: %v, %v", got, err)
	}
	roles, err := c.Roles(t.Context())
	if err != nil || len(roles) != 2 || !slices.Equal(roles["VMLine"], []string{"VM.Audit", "VM.Clone"}) || len(roles["NoAccess"]) != 0 {
		t.Error(roles, err)
	}
}

func TestTaskLog(t *testing.T) {
	c := newTest(t, always(200, "OK", `{"data":[{"n":1,"t":"a"},{"n":2,"t":"b"},{"n":3,"t":"c"}],"total":3}`))
	for last, want := range map[int][]string{0: {"a", "b", "c"}, 2: {"b", "c"}, 9: {"a", "b", "c"}} {
		if got, err := c.TaskLog(t.Context(), testUPID, last); err != nil || !slices.Equal(got, want) {
			t.Errorf("last %d: %v, %v", last, got, err)
		}
	}
	c = newTest(t, always(200, "OK", `{"data":[{"n":1,"t":"unable to open file - No such file or directory"}],"total":1}`))
	if _, err := c.TaskLog(t.Context(), testUPID, 0); KindOf(err) != TaskUnknown {
		t.Error(err)
	}
}
