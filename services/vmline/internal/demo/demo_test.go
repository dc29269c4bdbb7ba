package demo

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/pvesim"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// made is an order and a cluster with the machine that fits it, changed by change.
func made(t *testing.T, change map[string]string) (*world, *order) {
	t.Helper()
	o := &order{ref: "demo-1002", product: "business", pkg: products["business"]}
	o.pkg.Name = "business-1002"
	o.service = api.Service{
		UID: "uid", VMID: 100, Node: "pve1", MAC: "BC:24:11:00:00:01",
		Addresses: []api.Address{{Address: "203.0.113.10", PrefixLength: 24}, {Address: "2001:db8:113::10", PrefixLength: 64}},
	}
	config := map[string]string{
		"cores": "4", "memory": "8192", "ciuser": "debian", "cipassword": "$5$x", "tags": "vmline",
		"description": "vmline ref=demo-1002 uid=uid",
		"scsi0":       "shared1:100/vm-100-disk-0.raw,iops_rd=5000,iops_wr=4000,mbps_rd=300,mbps_wr=200,size=40G",
		"scsi1":       "shared1:100/vm-100-disk-1.raw,mbps_rd=100,mbps_wr=100,size=100G",
		"net0":        "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,rate=12.5",
		"ipconfig0":   "ip=203.0.113.10/24,gw=203.0.113.1,ip6=2001:db8:113::10/64,gw6=2001:db8:113::1",
	}
	for k, v := range change {
		config[k] = v
	}
	cluster := pvesim.New(pvesim.Default())
	t.Cleanup(cluster.Close)
	if err := cluster.AddVM(pvesim.VMSpec{VMID: 100, Node: "pve1", Name: o.pkg.Name, Running: true, Config: config}); err != nil {
		t.Fatal(err)
	}
	return &world{cluster: cluster}, o
}

func TestMachineAsOrdered(t *testing.T) {
	w, o := made(t, nil)
	if _, err := machineOf(w, o); err != nil {
		t.Error(err)
	}
}

func TestMachineThatIsNotAsOrdered(t *testing.T) {
	for want, change := range map[string]map[string]string{
		`cores is "2", ordered was "4"`:                          {"cores": "2"},
		`memory is "4096", ordered was "8192"`:                   {"memory": "4096"},
		`scsi0 size is "2G", ordered was "40G"`:                  {"scsi0": "shared1:100/vm-100-disk-0.raw,size=2G"},
		`scsi1 size is "", ordered was "100G"`:                   {"scsi1": ""},
		`net0 rate is "", ordered was "12.5"`:                    {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"},
		`net0 firewall is "", ordered was "1"`:                   {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=12.5"},
		`ipconfig0 ip6 is "", ordered was "2001:db8:113::10/64"`: {"ipconfig0": "ip=203.0.113.10/24"},
		`cloud-init password is "missing"`:                       {"cipassword": ""},
		`the mark that says whose it is is missing`:              {"description": "somebody's"},
	} {
		w, o := made(t, change)
		if _, err := machineOf(w, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	w, o := made(t, nil)
	w.cluster.SetRunning(100, false)
	if _, err := machineOf(w, o); err == nil || !strings.Contains(err.Error(), `status is "stopped"`) {
		t.Errorf("stopped: %v", err)
	}
	w.cluster.Remove(100)
	if _, err := machineOf(w, o); err == nil || !strings.Contains(err.Error(), "there is no machine 100") {
		t.Errorf("gone: %v", err)
	}
}

func TestNamesThatAreWrongAreSeen(t *testing.T) {
	names, err := nameserver.Start(nameserver.Config{Addrs: []string{"127.0.0.1:0"}, Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = names.Close(context.Background()) }()
	w := &world{names: names}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := await(ctx, w, question{"none." + domain + ".", dns.TypeA, ""}); err != nil {
		t.Errorf("a name that is gone: %v", err)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelShort()
	err = await(short, w, question{"none." + domain + ".", dns.TypeA, "203.0.113.10"})
	if err == nil || !strings.Contains(err.Error(), `DNS: none.demo.example. A: answer []`) {
		t.Errorf("a name that is missing: %v", err)
	}
	err = await(short, w, question{"elsewhere.example.", dns.TypeA, ""})
	if err == nil {
		t.Error("a refusal was taken for an answer")
	}
}

func TestQuestionsAreAboutEveryAddress(t *testing.T) {
	_, o := made(t, nil)
	questions, err := questionsOf(o)
	if err != nil || len(questions) != 4 {
		t.Fatalf("%d questions, %v", len(questions), err)
	}
	if q := questions[1]; q.name != "10.113.0.203.in-addr.arpa." || q.want != "business-1002.demo.example." {
		t.Errorf("%+v", q)
	}
	o.service.Addresses = nil
	if _, err := questionsOf(o); err == nil {
		t.Error("a machine without an address is nothing to be shown")
	}
}

func TestTextForPeople(t *testing.T) {
	at := time.Now()
	s := api.Step{Name: "ready", Owner: "lifecycle", StartedAt: at, FinishedAt: at.Add(312 * time.Millisecond)}
	for colour, want := range map[bool]string{
		false: "demo-1001  ready                          lifecycle      312 ms\n",
		true:  "demo-1001  \x1b[32mready                        \x1b[0m  lifecycle    \x1b[2m  312 ms\x1b[0m\n",
	} {
		var out bytes.Buffer
		newPrinter(Options{Out: &out, Colour: colour}).step("demo-1001", s)
		if _, got, _ := strings.Cut(out.String(), " s  "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheEndOfTimeIsNamed(t *testing.T) {
	err := within(t.Context(), time.Millisecond, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not done within 1ms") {
		t.Errorf("%v", err)
	}
	boom := errors.New("boom")
	if err := within(t.Context(), time.Minute, func(context.Context) error { return boom }); !errors.Is(err, boom) || err.Error() != "boom" {
		t.Errorf("%v", err)
	}
}
