package lifecycle_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	running = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	stopped = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED

	ready     = vmlinev1.Status_STATUS_READY
	suspended = vmlinev1.Status_STATUS_SUSPENDED
)

// world is a rig on which only lifecycle runs, so that VMs stand where a test puts them.
type world struct{ *rig.Rig }

func newWorld(t *testing.T, o rig.Options) *world {
	t.Helper()
	w := &world{rig.New(t, o)}
	w.Start(chain.Lifecycle, rig.Edge{})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place puts a machine on Proxmox and its VM into the state that an order leaves behind: ready and
// running on pve1. change may have both be otherwise.
func (w *world) place(t *testing.T, ref string, vmid int, change func(*vmlinev1.VM, *pvesim.VMSpec)) *vmlinev1.VM {
	t.Helper()
	pkg := rig.Small("web")
	now := timestamppb.Now()
	vm := &vmlinev1.VM{
		Ref: ref, Uid: "uid-" + ref, Status: ready, Cluster: rig.Cluster, Package: pkg, Node: "pve1", Placement: "pve1",
		Vmid: uint32(vmid), Vmgenid: genID, Mac: "BC:24:11:00:00:01", RemoteStatus: running, WantedPower: running,
		Addresses: []*vmlinev1.Address{{Pool: "v4", Address: "10.64.0.7", PrefixLength: 16}},
		Operation: &vmlinev1.Operation{
			Id: "earlier", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_SUCCEEDED,
			Route: []vmlinev1.Status{ready}, Reached: []*vmlinev1.Reached{{Status: ready, At: now}},
		},
	}
	spec := pvesim.VMSpec{
		VMID: vmid, Node: "pve1", Name: "web", Storage: "shared1", DiskGB: 1, Running: true,
		Config: map[string]string{"description": machine.Mark(vm), "tags": machine.Tag, "vmgenid": genID, "agent": "1"},
	}
	if change != nil {
		change(vm, &spec)
	}
	must(t, w.Sim.AddVM(spec))
	_, err := w.Bus.Append(t.Context(), vm, 0)
	must(t, err)
	return vm
}

const genID = "0f3b1a52-0000-4000-8000-000000000001"

// off has a machine stand still, as its customer wants.
func off(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
	vm.RemoteStatus, vm.WantedPower, spec.Running = stopped, stopped, false
}

// suspend has a VM be suspended.
func suspend(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
	vm.Status, vm.RemoteStatus, spec.Running = suspended, stopped, false
	vm.Operation.Kind, vm.Operation.Route[0], vm.Operation.Reached[0].Status = vmlinev1.Operation_KIND_SUSPEND, suspended, suspended
}

// changes are the calls that order something of a machine, with their parameters.
func (w *world) changes(vmid int) []string {
	var out []string
	for _, c := range w.Sim.Calls() {
		_, of, found := strings.Cut(c.Path, fmt.Sprintf("/qemu/%d", vmid))
		if !found || c.Method == http.MethodGet {
			continue
		}
		words := []string{c.Method}
		if of != "" {
			words = append(words, of)
		}
		for _, key := range slices.Sorted(maps.Keys(c.Params)) {
			words = append(words, key+"="+c.Params[key])
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

// ended says that the operation with an id has come to its end, whichever.
func ended(id string) func(*vmlinev1.VM) bool {
	return func(vm *vmlinev1.VM) bool {
		s := vm.GetOperation().GetState()
		return vm.GetOperation().GetId() == id && s != vmlinev1.Operation_STATE_RUNNING
	}
}

// waits says that the operation's step is tried again because of cause.
func waits(cause string) func(*vmlinev1.VM) bool {
	return func(vm *vmlinev1.VM) bool {
		return vm.GetRetry().GetAttempts() > 0 && strings.Contains(vm.GetProblem().GetCause(), cause)
	}
}

// foresee does provisioner's step of a reinstallation, once it is due: the template is there.
func (w *world) foresee(t *testing.T, ref string, kind vmlinev1.Operation_Kind) {
	t.Helper()
	if kind != vmlinev1.Operation_KIND_REINSTALL {
		return
	}
	const planned = vmlinev1.Status_STATUS_PLANNED
	w.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_REINSTALL })
	last, err := w.Bus.Last(t.Context(), ref)
	must(t, err)
	last.VM.Status, last.VM.Event = planned, vmlinev1.Event_EVENT_REACHED
	last.VM.Operation.Reached = append(last.VM.Operation.Reached, &vmlinev1.Reached{Status: planned, At: timestamppb.Now()})
	_, err = w.Bus.Append(t.Context(), last.VM, last.Seq)
	must(t, err)
}

// order calls the API with the services' own token, as somebody else would.
func (w *world) order(t *testing.T, method, path string, params url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://pve.invalid/api2/json"+path, strings.NewReader(params.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "PVEAPIToken="+rig.TokenID+"="+rig.TokenSecret)
	answer, err := w.Sim.RoundTrip(req)
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}
