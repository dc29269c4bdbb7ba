package provisioner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestCatalogue: what a cluster has is one line each; one that does not answer says so.
func TestCatalogue(t *testing.T) {
	cfg := pvesim.Default()
	cfg.Nodes[1].Bridges = []string{"vmbr0", "vmbr9"}
	cfg.Templates = append(cfg.Templates,
		pvesim.Template{VMID: 9102, Node: "pve2", Name: "debian", Storage: "local"},
		pvesim.Template{VMID: 9101, Node: "pve1", Name: "debian", Storage: "local"})
	sim, down := pvesim.New(cfg), pvesim.New(pvesim.Default())
	t.Cleanup(sim.Close)
	t.Cleanup(down.Close)
	sim.SetMaintenance("pve3", true)
	down.SetDown(true)
	b := openBus(t, nil, nil)
	p := &provisioner{inventories: map[string]*inventory{
		"dc1": newInventory(client(t, sim), Rules{Maintenance: []string{"pve2"}}, b.Now, quiet),
		"dc2": newInventory(client(t, down), Rules{}, b.Now, quiet),
	}}
	reply, err := p.catalogue(t.Context(), &vmlinev1.InventoryRequest{})
	must(t, err)
	if len(reply.GetClusters()) != 2 || reply.GetClusters()[1].GetName() != "dc2" || reply.GetClusters()[1].GetError() == "" {
		t.Fatalf("%v", reply)
	}
	dc1 := reply.GetClusters()[0]
	var lines []string
	for _, n := range dc1.GetNodes() {
		lines = append(lines, fmt.Sprintln(n.GetName(), n.GetOnline(), n.GetMaintenance(), n.GetMemoryBytes()>>30, n.GetBridges()))
	}
	for _, tpl := range dc1.GetTemplates() {
		lines = append(lines, fmt.Sprintln(tpl.GetName(), tpl.GetVmids(), tpl.GetNodes()))
	}
	for _, s := range dc1.GetStorages() {
		lines = append(lines, fmt.Sprintln(s.GetName()+"@"+s.GetNode(), s.GetShared(), s.GetTotalBytes()>>30))
	}
	want := strings.Join([]string{
		"pve1 true false 64 [vmbr0]", "pve2 true true 64 [vmbr0 vmbr9]", "pve3 true true 64 [vmbr0]",
		"debian [9101 9102] [pve1 pve2]", "tmpl [9000] [pve1]",
		"local@pve1 false 4096", "local@pve2 false 4096", "local@pve3 false 4096",
		"local-lvm@pve1 false 16384", "local-lvm@pve2 false 16384", "local-lvm@pve3 false 16384", "shared1@ true 65536",
	}, "\n")
	if got := strings.TrimSpace(strings.Join(lines, "")); got != want || dc1.GetError() != "" {
		t.Errorf("%s\ngot\n%s\nwant\n%s", dc1.GetError(), got, want)
	}
	if _, err := p.catalogue(t.Context(), &vmlinev1.InventoryRequest{Cluster: "dc9"}); err == nil {
		t.Error("a cluster that is not configured has an answer")
	}
}
