package rig

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var update = flag.Bool("update", false, "write the golden transcripts anew")

// hardly is a clock on which hardly any time passes. What the services read of a cluster serves for seconds, also
// those that come next; which calls that saves must not depend on how fast the machine is.
func hardly() func() time.Time {
	begun := time.Now()
	return func() time.Time { return begun.Add(time.Since(begun) / 50) }
}

// TestTranscripts holds every call to Proxmox, with its parameters and in its order, against what is
// written down. A change of these files is a change of what machines cost.
func TestTranscripts(t *testing.T) {
	r := New(t, Options{Now: hardly()})
	r.StartAll()
	// The cluster's inventory and the template are read once for all orders that come together.
	first := Small("first")
	first.FirstVmid = firstVMID
	r.Order("w1-1", first)
	r.Await("w1-1", Ended(vmlinev1.Operation_KIND_CREATE))
	r.golden(t, "first")

	for _, tt := range []struct {
		name string
		pkg  *vmlinev1.Package
	}{{"small", Small("web")}, {"full", Full("web")}} {
		tt.pkg.FirstVmid = firstVMID
		ref := "w1-" + tt.name
		r.Sim.ResetCalls()
		r.Order(ref, tt.pkg)
		vm := r.Await(ref, Ended(vmlinev1.Operation_KIND_CREATE))
		r.golden(t, "create-"+tt.name)
		if tt.name == "full" {
			r.addBackupsAndSnapshots(vm)
		}
		r.Sim.ResetCalls()
		r.Terminate(ref)
		r.Await(ref, Ended(vmlinev1.Operation_KIND_TERMINATE))
		r.golden(t, "terminate-"+tt.name)
	}
}

func (r *Rig) addBackupsAndSnapshots(vm *vmlinev1.VM) {
	for _, snapshot := range []string{"before", "after"} {
		r.Sim.AddSnapshot(int(vm.GetVmid()), snapshot, "")
	}
	for _, storage := range []string{"shared1", "local"} {
		_, err := r.Sim.AddBackup(pvesim.BackupSpec{VMID: int(vm.GetVmid()), Node: vm.GetNode(), Storage: storage, SizeBytes: 1})
		must(r.t, err)
	}
}

// TestTranscriptOfARepetition has every step of an order run again on a machine that is as the package
// says: what is read is read, and nothing is changed.
func TestTranscriptOfARepetition(t *testing.T) {
	r := New(t, Options{Now: hardly()})
	r.StartAll()
	pkg := Full("web")
	pkg.FirstVmid, pkg.Readiness = firstVMID, vmlinev1.Readiness_READINESS_AGENT
	mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/nodes/*/qemu/*/agent/ping", Text: "No QEMU guest agent configured"})
	r.Order("w1-1", pkg)
	r.Await("w1-1", Parked)
	mend()
	r.Sim.ResetCalls()
	r.Order("w1-1", pkg)
	r.Await("w1-1", Ended(vmlinev1.Operation_KIND_CREATE))
	r.golden(t, "repeat-full")
	for _, c := range r.Sim.Calls() {
		ordered := c.Method != http.MethodGet && c.Code == 200
		harmless := strings.HasSuffix(c.Path, "/status/start") || strings.HasSuffix(c.Path, "/agent/ping")
		if ordered && !harmless {
			t.Errorf("%s %s changes a machine that needs no change", c.Method, c.Path)
		}
	}
	r.CheckWorld()
}

// firstVMID lets VMIDs look like nothing else in a call.
const firstVMID = 4700

// perMachine are the calls that ten machines at once may cost each, without polls: those are shared.
const perMachine = 12

// TestTenInFlight counts what a machine costs when ten are made at once by tasks that take a while.
func TestTenInFlight(t *testing.T) {
	const machines = 10
	sim := pvesim.Default()
	sim.Durations = pvesim.Durations{Clone: 200 * time.Millisecond, Resize: 50 * time.Millisecond, Start: 100 * time.Millisecond, Stop: 50 * time.Millisecond, Destroy: 50 * time.Millisecond}
	r := New(t, Options{Sim: &sim})
	r.StartAll()
	all := func(kind vmlinev1.Operation_Kind, send func(i int, ref string)) {
		r.Sim.ResetCalls()
		for i := range machines {
			send(i, fmt.Sprintf("w1-%d", i))
		}
		for i := range machines {
			r.Await(fmt.Sprintf("w1-%d", i), Ended(kind))
		}
		polls, counts := 0, map[string]int{}
		for _, c := range r.Sim.Calls() {
			if strings.Contains(c.Path, "/tasks") {
				polls++
				continue
			}
			counts[c.Method+" "+anyVM.ReplaceAllString(c.Path, "/*")]++
		}
		total := 0
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			total += counts[what]
			t.Logf("%5.1f %s", float64(counts[what])/machines, what)
		}
		t.Logf("%5.1f calls and %.1f polls for each of %d machines", float64(total)/machines, float64(polls)/machines, machines)
		if total > machines*perMachine {
			t.Errorf("%d calls for %d machines, want at most %d for each", total, machines, perMachine)
		}
	}
	all(vmlinev1.Operation_KIND_CREATE, func(i int, ref string) { r.Order(ref, Small(fmt.Sprintf("web-%d", i))) })
	all(vmlinev1.Operation_KIND_TERMINATE, func(_ int, ref string) { r.Terminate(ref) })
}

var anyVM = regexp.MustCompile(`/(\d+|pve\d)\b`)

// varying are the parts of a call that are another in each run, and what is written for them.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`UPID:(\w+):[0-9A-F]+:[0-9A-F]+:[0-9A-F]+:(\w+):[^:/]*:[^:/]+:`), "UPID:$1:$2"},
	{regexp.MustCompile(`uid=\S+`), "uid=UID"},
	{regexp.MustCompile(`digest=[0-9a-f]+`), "digest=DIGEST"},
	{regexp.MustCompile(`BC:24:11(:[0-9A-F]{2}){3}`), "MAC"},
	{regexp.MustCompile(`vzdump-qemu-\d+-\S+?\.vma`), "vzdump.vma"},
	{regexp.MustCompile(`10\.64\.\d+\.\d+\b`), "IPv4"},
	{regexp.MustCompile(`2001:db8:64::\w+\b`), "IPv6"},
	{regexp.MustCompile(`\bpve[123]\b`), "NODE"},
	{regexp.MustCompile(`\b47\d\d\b`), "VMID"},
}

// golden holds the calls since the last reset against a file.
func (r *Rig) golden(t *testing.T, name string) {
	t.Helper()
	var b strings.Builder
	calls := r.Sim.Calls()
	for _, c := range calls {
		line := c.Method + " " + c.Path
		for _, key := range slices.Sorted(maps.Keys(c.Params)) {
			line += " " + key + "=" + strings.ReplaceAll(c.Params[key], "\n", `\n`)
		}
		if c.Code != 200 {
			line += fmt.Sprintf(" -> %d %s", c.Code, c.Reason)
		}
		for _, v := range varying {
			line = v.pattern.ReplaceAllString(line, v.name)
		}
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "# %d calls\n", len(calls))
	file := filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.MkdirAll("testdata", 0o750))
		must(t, os.WriteFile(file, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if b.String() != string(want) {
		t.Errorf("%s: the calls are\n%s\nwant (write anew with -update if that is meant)\n%s", name, b.String(), want)
	}
}
