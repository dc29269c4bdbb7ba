package machine

import (
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// world is a simulated cluster with a client.
func world(t *testing.T, change ...func(*pvesim.Config)) (*pvesim.Cluster, *pve.Client) {
	t.Helper()
	cfg := pvesim.Default()
	for _, f := range change {
		f(&cfg)
	}
	sim := pvesim.New(cfg)
	t.Cleanup(sim.Close)
	c, err := pve.New(pve.Config{
		Name: "dc1", URL: "https://pve.invalid:8006", Transport: sim, PollEvery: 5 * time.Millisecond,
		TokenID: "vmline@pve!prov", TokenSecret: cfg.Tokens["vmline@pve!prov"],
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return sim, c
}

const genID = "0f1e2d3c-4b5a-4968-8776-655443322110"

// ours is VM 101 on pve1 as its state has it once it is configured.
func ours() *vmlinev1.VM {
	return &vmlinev1.VM{Ref: "w1-7", Uid: "u1", Node: "pve1", Vmid: 101, Vmgenid: genID}
}

// add puts VM 101 with its marks on a node of the simulator.
func add(t *testing.T, sim *pvesim.Cluster, node string, change map[string]string) {
	t.Helper()
	config := map[string]string{"description": Mark(ours()), "tags": Tag, "vmgenid": genID}
	for k, v := range change {
		config[k] = v
	}
	if err := sim.AddVM(pvesim.VMSpec{VMID: 101, Node: node, Name: "web", Storage: "shared1", DiskGB: 2, Config: config}); err != nil {
		t.Fatal(err)
	}
}

func trigger(vm *vmlinev1.VM) *bus.Trigger {
	step, _ := chain.StepTo(vmlinev1.Status_STATUS_STARTING)
	return &bus.Trigger{VM: vm, Step: step}
}
