package pve_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
)

// work is how long the simulator's tasks take here, in the false time of synctest.
var work = pvesim.Durations{Clone: 12 * time.Second, Resize: 2 * time.Second, Config: 100 * time.Millisecond,
	Destroy: 3 * time.Second, Start: time.Second, Stop: time.Second, Shutdown: 4 * time.Second,
	Snapshot: time.Second, SnapshotDelete: time.Second, Migrate: 8 * time.Second, DeleteVolume: time.Second}

// onSim runs a test against a simulated cluster in false time.
func onSim(t *testing.T, f func(*testing.T, *pve.Client, *pvesim.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := pvesim.Default()
		cfg.Durations = work
		sim := pvesim.New(cfg)
		t.Cleanup(sim.Close)
		c, err := pve.New(pve.Config{Name: "sim", URL: "https://sim.test:8006", TokenID: "vmline@pve!prov",
			TokenSecret: cfg.Tokens["vmline@pve!prov"], Transport: sim})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		f(t, c, sim)
	})
}

// done waits for what a call started and fails the test on any error.
func done(t *testing.T, c *pve.Client) func(pve.UPID, error) {
	return func(u pve.UPID, err error) {
		t.Helper()
		if err == nil {
			_, err = c.Wait(t.Context(), u)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// none is a call that starts no task.
func none(err error) (pve.UPID, error) { return "", err }

// ends returns the error of a call or of the task that it started.
func ends(ctx context.Context, c *pve.Client, u pve.UPID, err error) error {
	if err == nil {
		_, err = c.Wait(ctx, u)
	}
	return err
}

func TestSimLifeOfAMachine(t *testing.T) {
	onSim(t, func(t *testing.T, c *pve.Client, sim *pvesim.Cluster) {
		ctx, must := t.Context(), done(t, c)
		if free, err := c.VMIDFree(ctx, 101); err != nil || !free {
			t.Fatal(free, err)
		}
		must(c.Clone(ctx, "pve1", 9000, pve.CloneOptions{NewID: 101, Name: "a.example", Description: "ours", Full: true, Storage: "shared1"}))
		if free, err := c.VMIDFree(ctx, 101); err != nil || free {
			t.Fatal(free, err)
		}
		must(c.Migrate(ctx, "pve1", 101, "pve2", pve.MigrateOptions{}))

		v, err := c.VMConfig(ctx, "pve2", 101)
		if err != nil || v.Name() != "a.example" || v.Description() != "ours" || v.SystemDisk() != "scsi0" || v.VMGenID() == "" {
			t.Fatalf("%+v, %v", v, err)
		}
		disk, err := v.Disk("scsi0")
		if err != nil || disk.Storage() != "shared1" {
			t.Fatal(disk, err)
		}
		disk.Options.Set("mbps_rd", "50")
		nic, err := v.Net("net0")
		if err != nil || nic.MAC == "" {
			t.Fatal(nic, err)
		}
		nic.Options.Set("tag", "5")
		u, err := c.SetVMConfig(ctx, "pve2", 101, pve.Change{Digest: v.Digest, Set: map[string]string{
			"cores": "2", "memory": "1024", "scsi0": disk.String(), "scsi1": "shared1:3", "net0": nic.String(), "tags": "vmline"}})
		if u != "" || err != nil {
			t.Fatalf("a short change is done at once: %q, %v", u, err)
		}
		must(c.Resize(ctx, "pve2", 101, "scsi0", 10, ""))
		must(c.Resize(ctx, "pve2", 101, "scsi0", 10, "")) // absolute: again is a success

		after, err := c.VMConfig(ctx, "pve2", 101)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := after.Disk("scsi0")
		size, _ := again.Size()
		rate, _ := again.Options.Get("mbps_rd")
		card, _ := after.Net("net0")
		if size != 10<<30 || rate != "50" || card.MAC != nic.MAC || after.Values["cores"] != "2" || !slices.Contains(after.Tags(), "vmline") {
			t.Errorf("%+v", after.Values)
		}

		must(none(c.SetFirewallOptions(ctx, "pve2", 101, map[string]string{"enable": "1", "ipfilter": "1"})))
		must(none(c.AddFirewallRule(ctx, "pve2", 101, pve.FirewallRule{Type: "in", Action: "ACCEPT", Enable: true, Proto: "tcp", Dport: "22"})))
		must(none(c.CreateIPSet(ctx, "pve2", 101, "ipfilter-net0")))
		must(none(c.AddIPSetEntry(ctx, "pve2", 101, "ipfilter-net0", "192.0.2.7")))
		rules, err := c.FirewallRules(ctx, "pve2", 101)
		if err != nil || len(rules) != 1 || !rules[0].Enable || rules[0].Dport != "22" {
			t.Errorf("%+v, %v", rules, err)
		}
		set, err := c.IPSet(ctx, "pve2", 101, "ipfilter-net0")
		if err != nil || !slices.Equal(set, []string{"192.0.2.7"}) {
			t.Errorf("%v, %v", set, err)
		}
		must(none(c.DeleteIPSetEntry(ctx, "pve2", 101, "ipfilter-net0", "192.0.2.7")))
		must(none(c.DeleteFirewallRule(ctx, "pve2", 101, 0, rules[0].Digest)))
		must(none(c.RegenerateCloudInit(ctx, "pve2", 101)))

		must(c.Start(ctx, "pve2", 101))
		if s, err := c.Status(ctx, "pve2", 101); err != nil || s.Status != "running" {
			t.Errorf("%+v, %v", s, err)
		}
		must(none(c.AgentPing(ctx, "pve2", 101)))
		must(c.Shutdown(ctx, "pve2", 101, time.Minute, true))
		must(c.Stop(ctx, "pve2", 101)) // stopped already

		sim.AddSnapshot(101, "s1", "d")
		volid, err := sim.AddBackup(pvesim.BackupSpec{VMID: 101, Node: "pve2", Storage: "local", Protected: true, SizeBytes: 7})
		if err != nil {
			t.Fatal(err)
		}
		snaps, err := c.Snapshots(ctx, "pve2", 101)
		if err != nil || len(snaps) != 1 {
			t.Fatal(snaps, err)
		}
		must(c.DeleteSnapshot(ctx, "pve2", 101, snaps[0].Name))
		storages, err := c.BackupStorages(ctx, "pve2")
		if err != nil {
			t.Fatal(err)
		}
		backups, err := c.Backups(ctx, "pve2", storages, 101)
		if err != nil || len(backups) != 1 || backups[0].VolID != volid || !backups[0].Protected {
			t.Fatal(backups, err)
		}
		if _, err := c.DeleteBackup(ctx, "pve2", backups[0]); pve.KindOf(err) != pve.Refused {
			t.Error(err)
		}
		must(none(c.UnprotectBackup(ctx, "pve2", backups[0])))
		must(c.DeleteBackup(ctx, "pve2", backups[0]))

		must(c.Destroy(ctx, "pve2", 101, pve.DestroyOptions{Purge: true, DestroyUnreferenced: true}))
		if _, err := c.VMConfig(ctx, "pve2", 101); pve.KindOf(err) != pve.Gone {
			t.Error(err)
		}
		if free, err := c.VMIDFree(ctx, 101); err != nil || !free {
			t.Error(free, err)
		}
		if vs := sim.Volumes(); slices.ContainsFunc(vs, func(v pvesim.VolumeState) bool { return v.VMID == 101 }) {
			t.Errorf("%+v", vs)
		}
	})
}

func TestSimResources(t *testing.T) {
	onSim(t, func(t *testing.T, c *pve.Client, sim *pvesim.Cluster) {
		sim.SetNodeOnline("pve3", false)
		r, err := c.Resources(t.Context())
		if err != nil || len(r.Nodes) != 3 || len(r.VMs) != 1 || !r.VMs[0].Template {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, n := range r.Nodes {
			if n.Online != (n.Name != "pve3") {
				t.Errorf("%+v", n)
			}
		}
		if !slices.ContainsFunc(r.Storages, func(s pve.Storage) bool { return s.Name == "shared1" && s.Shared && s.Active && s.Avail > 0 }) {
			t.Errorf("%+v", r.Storages)
		}
		if v, err := c.Version(t.Context()); err != nil || v.Version == "" {
			t.Error(v, err)
		}
	})
}

// TestSimKinds: the simulator's errors mean what the recorded ones mean.
func TestSimKinds(t *testing.T) {
	onSim(t, func(t *testing.T, c *pve.Client, sim *pvesim.Cluster) {
		ctx := t.Context()
		spec := func(id int, running bool) {
			if err := sim.AddVM(pvesim.VMSpec{VMID: id, Node: "pve1", Storage: "shared1", DiskGB: 1, Running: running,
				Config: map[string]string{"agent": "1"}}); err != nil {
				t.Fatal(err)
			}
		}
		spec(101, false)
		spec(102, true)
		spec(103, false)
		sim.SetLock(103, "backup")
		set := func(id int, digest, key, value string) error {
			u, err := c.SetVMConfig(ctx, "pve1", id, pve.Change{Digest: digest, Set: map[string]string{key: value}})
			return ends(ctx, c, u, err)
		}
		ended := func(u pve.UPID, err error) error { return ends(ctx, c, u, err) }
		read := func(_ any, err error) error { return err }
		for _, test := range []struct {
			name string
			err  error
			want pve.Kind
		}{
			{"config of none", read(c.VMConfig(ctx, "pve1", 199)), pve.Gone},
			{"status of none", read(c.Status(ctx, "pve1", 199)), pve.Gone},
			{"change of none", set(199, "", "cores", "2"), pve.Gone},
			{"destroy none", ended(c.Destroy(ctx, "pve1", 199, pve.DestroyOptions{})), pve.Gone},
			{"unknown node", read(c.VMConfig(ctx, "pve9", 101)), pve.Unreachable},
			{"clone of none", ended(c.Clone(ctx, "pve1", 199, pve.CloneOptions{NewID: 150})), pve.Refused},
			{"clone onto another", ended(c.Clone(ctx, "pve1", 9000, pve.CloneOptions{NewID: 101, Full: true})), pve.Exists},
			{"clone to no storage", ended(c.Clone(ctx, "pve1", 9000, pve.CloneOptions{NewID: 150, Full: true, Storage: "x"})), pve.Refused},
			{"wrong value", set(101, "", "cores", "0"), pve.Refused},
			{"old digest", set(101, strings.Repeat("0", 40), "cores", "2"), pve.Conflict},
			{"locked", set(103, "", "cores", "2"), pve.Locked},
			{"start locked", ended(c.Start(ctx, "pve1", 103)), pve.Locked},
			{"start running", ended(c.Start(ctx, "pve1", 102)), pve.Exists},
			{"destroy running", ended(c.Destroy(ctx, "pve1", 102, pve.DestroyOptions{})), pve.Conflict},
			{"shrink", ended(c.Resize(ctx, "pve1", 101, "scsi0", 0, "")), pve.Refused},
			{"no snapshot", ended(c.DeleteSnapshot(ctx, "pve1", 101, "nosuch")), pve.Missing},
			{"no IP set", read(c.IPSet(ctx, "pve1", 101, "x")), pve.Missing},
			{"agent of a stopped VM", c.AgentPing(ctx, "pve1", 101), pve.Conflict},
			{"no task", read(c.Task(ctx, "UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam:")), pve.TaskUnknown},
		} {
			if pve.KindOf(test.err) != test.want {
				t.Errorf("%s: %v, want %s", test.name, test.err, test.want)
			}
		}
		sim.SetNodeOnline("pve1", false)
		if err := read(c.VMConfig(ctx, "pve1", 101)); pve.KindOf(err) != pve.Unreachable {
			t.Error("node down: ", err)
		}
		if free, err := c.VMIDFree(ctx, 101); free || err != nil {
			t.Error("a VM on a node that is down is a VM: ", free, err)
		}
	})
}

// TestSimManyAtOnce: 60 clones watched together, with few requests.
func TestSimManyAtOnce(t *testing.T) {
	onSim(t, func(t *testing.T, c *pve.Client, sim *pvesim.Cluster) {
		results := make(chan error)
		for i := range 60 {
			go func() {
				u, err := c.Clone(t.Context(), "pve1", 9000, pve.CloneOptions{NewID: 200 + i, Full: true})
				results <- ends(t.Context(), c, u, err)
			}()
		}
		for range 60 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if n := len(sim.VMs()); n != 61 {
			t.Errorf("%d VMs", n)
		}
		lists, looks := 0, 0
		for _, call := range sim.Calls() {
			switch {
			case strings.HasSuffix(call.Path, "/tasks"):
				lists++
			case strings.HasSuffix(call.Path, "/status"):
				looks++
			}
		}
		if lists == 0 || lists+looks > 150 {
			t.Errorf("%d lists and %d single looks", lists, looks)
		}
	})
}

func TestSimWrongToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := pvesim.New(pvesim.Default())
		t.Cleanup(sim.Close)
		c, err := pve.New(pve.Config{URL: "https://sim.test:8006", TokenID: "vmline@pve!prov", TokenSecret: "wrong", Transport: sim})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		var e *pve.Error
		if _, err := c.Version(t.Context()); !errors.As(err, &e) || e.Kind != pve.NoPermission || e.Code != 401 {
			t.Error(err)
		}
	})
}

// TestSimTicket: the simulator's own tickets, over their whole life.
func TestSimTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := pvesim.Default()
		cfg.Passwords = map[string]string{"vmline@pve": "open sesame"}
		sim := pvesim.New(cfg)
		t.Cleanup(sim.Close)
		c, err := pve.New(pve.Config{URL: "https://sim.test:8006", User: "vmline@pve", Password: "open sesame", Transport: sim})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		must := done(t, c)
		must(c.Clone(t.Context(), "pve1", 9000, pve.CloneOptions{NewID: 101}))
		<-time.After(3 * time.Hour) // the ticket has run out
		must(c.Start(t.Context(), "pve1", 101))
		for _, call := range sim.Calls() {
			if call.Code == 401 {
				t.Errorf("%s %s was refused", call.Method, call.Path)
			}
		}
	})
}

// TestSimPending: of a running machine a change is not in force because the configuration shows it.
func TestSimPending(t *testing.T) {
	onSim(t, func(t *testing.T, c *pve.Client, _ *pvesim.Cluster) {
		ctx, must := t.Context(), done(t, c)
		must(c.Clone(ctx, "pve1", 9000, pve.CloneOptions{NewID: 101}))
		must(c.Start(ctx, "pve1", 101))
		must(c.SetVMConfig(ctx, "pve1", 101, pve.Change{Set: map[string]string{"cores": "4"}, Delete: []string{"serial0"}}))
		v, err := c.VMConfig(ctx, "pve1", 101)
		if err != nil || v.Values["cores"] != "4" || v.Has("serial0") {
			t.Fatal(v.Values, err)
		}
		got, err := c.Pending(ctx, "pve1", 101)
		want := []pve.PendingChange{{Key: "cores", Then: "4"}, {Key: "serial0", Now: "socket", Delete: true}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		must(c.Stop(ctx, "pve1", 101))
		must(c.Start(ctx, "pve1", 101))
		if got, err := c.Pending(ctx, "pve1", 101); err != nil || len(got) != 0 {
			t.Errorf("after a start: %+v, %v", got, err)
		}
	})
}

// TestSimMigrationSaysWhy: Proxmox ends every failed migration with the same words; what counts is in its log.
func TestSimMigrationSaysWhy(t *testing.T) {
	onSim(t, func(t *testing.T, c *pve.Client, sim *pvesim.Cluster) {
		ctx, must := t.Context(), done(t, c)
		must(c.Clone(ctx, "pve1", 9000, pve.CloneOptions{NewID: 101, Full: true, Storage: "local"}))
		must(c.Start(ctx, "pve1", 101))
		u, err := c.Migrate(ctx, "pve1", 101, "pve2", pve.MigrateOptions{Online: true})
		err = ends(ctx, c, u, err)
		if failed, ok := errors.AsType[*pve.TaskError](err); !ok || failed.Kind != pve.Refused || !strings.Contains(failed.ExitStatus, "can't migrate VM - check log") ||
			!strings.Contains(strings.Join(failed.Log, "\n"), "without with-local-disks option") {
			t.Errorf("%v", err)
		}
		must(c.Migrate(ctx, "pve1", 101, "pve2", pve.MigrateOptions{Online: true, WithLocalDisks: true}))
		sim.SetNodeOnline("pve3", false)
		u, err = c.Migrate(ctx, "pve2", 101, "pve3", pve.MigrateOptions{Online: true, WithLocalDisks: true})
		if err = ends(ctx, c, u, err); pve.KindOf(err) != pve.Transient || !strings.Contains(err.Error(), "Can't connect to destination address") {
			t.Errorf("%v", err)
		}
		if v, _ := sim.VM(101); v.Node != "pve2" || v.Status != "running" || v.Lock != "" {
			t.Errorf("%+v", v)
		}
	})
}
