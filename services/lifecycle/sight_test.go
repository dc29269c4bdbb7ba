package lifecycle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// sight asks which clusters can be seen until the answer is as a test waits for.
func (w *world) sight(t *testing.T, so func(*vmlinev1.ClusterSight) bool) *vmlinev1.ClusterSight {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		reply := &vmlinev1.SightReply{}
		err := w.Bus.Ask(t.Context(), chain.Lifecycle, bus.QuestionSight, &vmlinev1.SightRequest{}, reply)
		if err == nil && len(reply.GetClusters()) == 1 && so(reply.GetClusters()[0]) {
			return reply.GetClusters()[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not answered: %v, %v", reply, err)
		}
	}
}

// TestSightSaysSinceWhenAClusterIsNotRead: first it cannot be read at all, then it can, then it cannot any more.
func TestSightSaysSinceWhenAClusterIsNotRead(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	w := &world{rig.New(t, rig.Options{Sim: &cfg})}
	down := pvesim.Fault{Kind: pvesim.Refuse, Path: "/cluster/resources", Text: "cluster not ready - no quorum?"}
	heal := w.Sim.AddFault(down)
	before := w.Bus.Now()
	w.Start(chain.Lifecycle, rig.Edge{})

	blind := func(c *vmlinev1.ClusterSight) bool { return strings.Contains(c.GetError(), "no quorum") }
	sees := func(c *vmlinev1.ClusterSight) bool { return c.GetError() == "" }
	never := w.sight(t, blind)
	if at := never.GetReadAt().AsTime(); never.GetName() != rig.Cluster || at.Before(before) {
		t.Errorf("never read: %v", never)
	}
	if again := w.sight(t, blind); !again.GetReadAt().AsTime().Equal(never.GetReadAt().AsTime()) {
		t.Errorf("asked twice, it is not read since %v and since %v", never.GetReadAt().AsTime(), again.GetReadAt().AsTime())
	}

	heal()
	seen := w.sight(t, sees)
	if !seen.GetReadAt().AsTime().After(never.GetReadAt().AsTime()) || len(seen.GetOfflineNodes()) != 0 {
		t.Errorf("read: %v", seen)
	}
	w.Sim.SetNodeOnline("pve3", false)
	half := w.sight(t, func(c *vmlinev1.ClusterSight) bool { return len(c.GetOfflineNodes()) > 0 })
	if half.GetError() != "" || !slices.Equal(half.GetOfflineNodes(), []string{"pve3"}) {
		t.Errorf("with a node that is offline: %v", half)
	}

	defer w.Sim.AddFault(down)()
	lost := w.sight(t, blind)
	if again := w.sight(t, blind); lost.GetReadAt().AsTime().Before(half.GetReadAt().AsTime()) || !again.GetReadAt().AsTime().Equal(lost.GetReadAt().AsTime()) {
		t.Errorf("last seen %v, then not read since %v and since %v", half.GetReadAt().AsTime(), lost.GetReadAt().AsTime(), again.GetReadAt().AsTime())
	}
}
