package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// answers has a service answer questions until the test ends.
func (f *fixture) answers(service chain.Service, questions map[string]bus.Answer) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	before := f.conn.NumSubscriptions()
	go func() { ended <- f.bus.Answers(ctx, service, questions) }()
	f.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("answers: %v", err)
		}
	})
	f.until(string(service)+" listens", func() bool { return f.conn.NumSubscriptions() > before })
	if err := f.conn.Flush(); err != nil {
		f.Fatal(err)
	}
}

// plans answers for one service's steps of a route, each with one call.
func plans(service chain.Service) bus.Answer {
	return bus.AnswerWith(func(_ context.Context, r *vmlinev1.PlanRequest) (*vmlinev1.PlanReply, error) {
		reply := &vmlinev1.PlanReply{}
		op := r.GetVm().GetOperation()
		for _, status := range op.GetRoute()[len(op.GetReached()):] {
			if step, _ := chain.StepTo(status); step.Owner == service {
				reply.Steps = append(reply.Steps, &vmlinev1.PlannedStep{Step: status, Calls: []*vmlinev1.PlannedCall{{
					Method: "PUT", Path: "/nodes/pve1", Params: map[string]string{"cipassword": "planted", "cores": fmt.Sprint(r.GetVm().GetPackage().GetCores())},
				}}})
			}
		}
		if r.GetVm().GetPackage().GetSystemDisk().GetSizeGb() == 1 && service == chain.Provisioner {
			reply.Problem = &vmlinev1.Problem{Step: vmlinev1.Status_STATUS_PLANNED, Cause: "A disk cannot shrink.", Next: "Keep its size."}
		}
		return reply, nil
	})
}

func TestValidateMergesThePlansInTheOrderOfTheRoute(t *testing.T) {
	f := start(t)
	f.lifecycle()
	f.made("w1-1")
	larger := small()
	larger.Cores, larger.CloudInit.Password = 8, "correct horse"
	change := api.Action{Type: "change_package", Package: &larger}
	if _, err := f.client.Validate(t.Context(), "w1-1", change); !isProblem(err, http.StatusServiceUnavailable, api.TypeServiceUnavailable) {
		t.Errorf("while no service runs: %v", err)
	}
	for _, service := range chain.Services {
		f.answers(service, map[string]bus.Answer{bus.QuestionPlan: plans(service)})
	}
	v, err := f.client.Validate(t.Context(), "w1-1", change)
	if err != nil || !v.OK || v.Verdict != "accepted" || len(v.Problems) != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if len(v.Changes) != 1 || v.Changes[0].Field != "cores" || fmt.Sprint(v.Changes[0].From, v.Changes[0].To) != "2 8" {
		t.Errorf("changes %+v", v.Changes)
	}
	route, _ := chain.RouteOf(vmlinev1.Operation_KIND_CHANGE_PACKAGE)
	for i, step := range v.Steps {
		if want := chain.Name(route.Statuses[i+1]); step.Name != want || step.Calls[0].Params["cores"] != "8" || step.Calls[0].Params["cipassword"] != "(sealed)" {
			t.Errorf("step %d is %+v, want %s", i, step, want)
		}
	}
	larger.SystemDisk.SizeGB = 1
	if v, err = f.client.Validate(t.Context(), "w1-1", change); err != nil || v.OK || len(v.Problems) != 1 || v.Problems[0].Cause != "A disk cannot shrink." {
		t.Errorf("a smaller disk: %+v, %v", v, err)
	}
	for action, want := range map[string]string{"retry": "refused", "unsuspend": "joined", "stop": "accepted", "terminate": "accepted"} {
		v, err := f.client.Validate(t.Context(), "w1-1", api.Action{Type: action})
		if err != nil || v.Verdict != want || v.OK != (want != "refused") || (len(v.Problems) > 0) == v.OK || (len(v.Steps) > 0) != (want == "accepted") {
			t.Errorf("%s: %+v, %v", action, v, err)
		}
	}
	if v, err := f.client.Validate(t.Context(), "w1-9", api.Action{Type: "create", Package: &larger}); err != nil || v.Verdict != "accepted" {
		t.Errorf("a new one: %+v, %v", v, err)
	}
	if n := f.sent(); n != 1 {
		t.Errorf("%d commands were sent, want the creation alone", n)
	}
}

// fixed answers always the same.
func fixed(m proto.Message) bus.Answer {
	return func(context.Context, []byte) (proto.Message, error) { return m, nil }
}

func TestInventory(t *testing.T) {
	f := start(t)
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f.answers(chain.Provisioner, map[string]bus.Answer{bus.QuestionInventory: fixed(&vmlinev1.InventoryReply{Clusters: []*vmlinev1.ClusterInventory{{
		Name: "dc1", Nodes: []*vmlinev1.NodeInventory{{Name: "pve1", Online: true, Bridges: []string{"vmbr0"}}},
		Templates: []*vmlinev1.Template{{Name: "debian-13", Vmids: []uint32{9000}, Nodes: []string{"pve1"}}},
		Storages:  []*vmlinev1.StorageInventory{{Name: "local-lvm", Node: "pve1", TotalBytes: 10}},
	}}})})
	f.answers(chain.Lifecycle, map[string]bus.Answer{bus.QuestionSight: fixed(&vmlinev1.SightReply{Clusters: []*vmlinev1.ClusterSight{
		{Name: "dc1", ReadAt: timestamppb.New(at), Error: "connection refused"}, {Name: "dc2", ReadAt: timestamppb.New(at), OfflineNodes: []string{"pve1"}},
	}})})
	f.answers(chain.IPAM, map[string]bus.Answer{
		bus.QuestionPools: fixed(&vmlinev1.PoolsReply{
			Pools: []*vmlinev1.PoolUse{{Pool: &vmlinev1.Pool{Name: "public4", Bridge: "vmbr0"}, Total: 10, Used: 1, Free: 9}},
			Held:  []*vmlinev1.HeldAddress{{Address: "192.0.2.1", Ref: "w1-1", Since: timestamppb.New(at)}}, Next: "192.0.2.1",
		}),
		bus.QuestionHistory: fixed(&vmlinev1.AddressHistoryReply{Holdings: []*vmlinev1.AddressHolding{{Pool: "public4", Ref: "w1-1", From: timestamppb.New(at)}}}),
	})
	f.answers(chain.DNS, map[string]bus.Answer{bus.QuestionDiff: fixed(&vmlinev1.DnsDiffReply{Compared: 2, Vms: []*vmlinev1.DnsDiff{{
		Ref: "w1-1", Names: []*vmlinev1.NameDiff{{Name: "a.example.", Action: "create", Wanted: []*vmlinev1.RRset{{Name: "a.example.", Type: "A", Ttl: 60, Values: []string{"192.0.2.1"}}}}},
	}}})})
	ctx := t.Context()
	clusters, err := f.client.Clusters(ctx, "")
	if err != nil || clusters[0].Templates[0].VMIDs[0] != 9000 || clusters[0].Nodes[0].Bridges[0] != "vmbr0" || clusters[0].Storages[0].TotalBytes != 10 {
		t.Errorf("clusters %+v, %v", clusters, err)
	}
	seen, err := f.client.Sight(ctx)
	if err != nil || len(seen) != 2 || !seen[0].ReadAt.Equal(at) || seen[0].Error != "connection refused" || seen[1].OfflineNodes[0] != "pve1" {
		t.Errorf("sight %+v, %v", seen, err)
	}
	pools, err := f.client.Pools(ctx, "dc1")
	if err != nil || pools[0].Free != 9 || pools[0].Name != "public4" {
		t.Errorf("pools %+v, %v", pools, err)
	}
	held, err := f.client.PoolAddresses(ctx, "public4", 10, "")
	if err != nil || held.Items[0].Ref != "w1-1" || !held.Items[0].Since.Equal(at) || held.NextCursor != "192.0.2.1" {
		t.Errorf("held %+v, %v", held, err)
	}
	holdings, err := f.client.AddressHistory(ctx, netip.MustParseAddr("2001:db8::1"))
	if err != nil || holdings[0].Pool != "public4" || !holdings[0].To.IsZero() {
		t.Errorf("holdings %+v, %v", holdings, err)
	}
	diff, err := f.client.DNSDiff(ctx, "", 0, "")
	if err != nil || diff.Compared != 2 || diff.Items[0].Names[0].Wanted[0].Values[0] != "192.0.2.1" {
		t.Errorf("diff %+v, %v", diff, err)
	}
	resp, body := f.call("GET", "/v1/addresses/nothing/history", "")
	f.wantProblem(resp, body, http.StatusUnprocessableEntity, api.TypeValidation)
}

func TestDeadLetters(t *testing.T) {
	f := start(t)
	ctx := t.Context()
	cmd, err := proto.Marshal(&vmlinev1.Command{Id: "w1-1.x", Ref: "w1-1", Kind: vmlinev1.Operation_KIND_CREATE})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*vmlinev1.DeadLetter{
		{Stream: bus.StreamCMD, Sequence: 7, Subject: "cmd.lifecycle.create.w1-1", Consumer: "lifecycle-cmd", Payload: cmd, Error: "it cannot be read"},
		{Stream: bus.StreamTICK, Sequence: 8, Subject: "tick.dns.sync", Consumer: "dns-tick", Error: "no server"},
	} {
		if err := f.bus.DeadLetter(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	list, err := f.client.DeadLetters(ctx, 1, "")
	if err != nil || len(list.Items) != 1 || list.NextCursor == "" || list.Items[0].Ref != "w1-1" || !list.Items[0].Requeueable {
		t.Fatalf("first page: %+v, %v", list, err)
	}
	next, err := f.client.DeadLetters(ctx, 1, list.NextCursor)
	if err != nil || len(next.Items) != 1 || next.NextCursor != "" || next.Items[0].Error != "no server" || next.Items[0].Requeueable {
		t.Fatalf("second page: %+v, %v", next, err)
	}
	if err := f.client.RequeueDeadLetter(ctx, list.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if cmds := f.commands(); len(cmds) != 1 || cmds[0].GetId() != "w1-1.x" {
		t.Errorf("sent again: %v", cmds)
	}
	if err := f.client.RequeueDeadLetter(ctx, next.Items[0].ID); !isProblem(err, http.StatusConflict, api.TypeConflict) {
		t.Errorf("a tick: %v", err)
	}
	if err := f.client.DiscardDeadLetter(ctx, next.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if list, err = f.client.DeadLetters(ctx, 0, ""); err != nil || len(list.Items) != 0 {
		t.Errorf("at the end: %+v, %v", list, err)
	}
	if err := f.client.DiscardDeadLetter(ctx, next.Items[0].ID); !isProblem(err, http.StatusNotFound, api.TypeNotFound) {
		t.Errorf("twice: %v", err)
	}
}

func TestWebhooks(t *testing.T) {
	f := start(t)
	got := make(chan string, 10)
	receiver := newReceiver(t, got)
	if _, err := f.client.CreateWebhookEndpoint(t.Context(), receiver); !isProblem(err, http.StatusUnprocessableEntity, api.TypeValidation) {
		t.Errorf("an address that is not public: %v", err)
	}
	f.config.WebhookNetworks, f.config.WebhookHTTP = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true
	f.restart()
	e, err := f.client.CreateWebhookEndpoint(t.Context(), receiver)
	if err != nil || !strings.HasPrefix(e.Secret, "whsec_") {
		t.Fatalf("%+v, %v", e, err)
	}
	f.lifecycle()
	f.made("w1-1")
	var event struct {
		Type string
		Data struct{ Ref string }
	}
	if err := json.Unmarshal([]byte(<-got), &event); err != nil || event.Type != "operation.succeeded" || event.Data.Ref != "w1-1" {
		t.Errorf("got %+v, %v", event, err)
	}
	f.until("the delivery is noted", func() bool {
		list, err := f.client.WebhookDeliveries(t.Context(), e.ID)
		return err == nil && len(list) == 1 && list[0].Error == "" && list[0].Attempt == 1
	})
	rotated, err := f.client.RotateWebhookSecret(t.Context(), e.ID, time.Hour)
	if err != nil || rotated.Secret == e.Secret || rotated.ID != e.ID {
		t.Errorf("rotated %+v, %v", rotated, err)
	}
	if _, err := f.client.EnableWebhookEndpoint(t.Context(), e.ID); err != nil {
		t.Error(err)
	}
	if list, err := f.client.WebhookEndpoints(t.Context()); err != nil || len(list) != 1 || list[0].URL != receiver {
		t.Errorf("list %+v, %v", list, err)
	}
	if err := f.client.DeleteWebhookEndpoint(t.Context(), e.ID); err != nil {
		t.Error(err)
	}
	if err := f.client.DeleteWebhookEndpoint(t.Context(), e.ID); !isProblem(err, http.StatusNotFound, api.TypeNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}
