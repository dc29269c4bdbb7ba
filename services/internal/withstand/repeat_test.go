package withstand

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/secrets"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway"
	"github.com/vmline/vmline/services/internal/rig"
)

// repetitions is how often the same order comes at once.
const repetitions = 50

// TestRow20OneOrderFiftyTimesOverHTTP: a double click, fifty times over. The terminations likewise.
func TestRow20OneOrderFiftyTimesOverHTTP(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 2, rig.Edge{})
	client := startGateway(t, r)
	pkg := api.Package{
		Cluster: rig.Cluster, Template: "tmpl", Cores: 1, MemoryMiB: 1024,
		Network: api.Network{Bridge: "vmbr0", IPv4Count: 1}, CloudInit: api.CloudInit{User: "admin", Password: "hunter2-hunter2"},
	}
	id := onlyOne(t, func(ctx context.Context) (api.Operation, error) { return client.PutService(ctx, "click-7001", pkg) })
	vm := r.Await("click-7001", rig.Ended(create))
	if vm.GetOperation().GetId() != id {
		t.Errorf("operation %s was answered, %s ended", id, vm.GetOperation().GetId())
	}
	r.CheckLog("click-7001")
	r.CheckWorld()
	r.CheckReserved(1, 1)

	other := pkg
	other.Cores = 2
	change := onlyOne(t, func(ctx context.Context) (api.Operation, error) { return client.PutService(ctx, "click-7001", other) })
	vm = r.Await("click-7001", rig.Ended(vmlinev1.Operation_KIND_CHANGE_PACKAGE))
	if vm.GetOperation().GetId() != change || vm.GetPackage().GetCores() != 2 {
		t.Errorf("operation %s was answered, and it is %v", change, vm)
	}
	onlyOne(t, func(ctx context.Context) (api.Operation, error) { return client.DeleteService(ctx, "click-7001") })
	awaitAll(r, []string{"click-7001"}, terminate)
	r.CheckWorld()
	r.CheckReserved(0, 0)
}

// onlyOne makes a call so many times at once and returns the one operation that all of them name.
func onlyOne(t *testing.T, call func(context.Context) (api.Operation, error)) string {
	t.Helper()
	var (
		mu  sync.Mutex
		ids = map[string]int{}
	)
	atOnce(repetitions, func(int) {
		op, err := insist(t.Context(), call)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("repetition: %v", err)
		}
		ids[op.ID]++
	})
	if len(ids) != 1 {
		t.Fatalf("operations and how often they were answered: %v", ids)
	}
	for id := range ids {
		return id
	}
	return ""
}

// insist does what a gateway that is too busy to answer asks for: it makes the same call again, for a minute.
func insist(ctx context.Context, call func(context.Context) (api.Operation, error)) (api.Operation, error) {
	for deadline := time.Now().Add(time.Minute); ; {
		op, err := call(ctx)
		var problem *api.Problem
		if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return op, err
		}
	}
}

// TestRow20FiftyCommandsForOneRef: fifty commands with different ids, for the same package and for
// different ones. One is admitted. Of the others, those for its package are told which operation does what they
// ask for, and every other is refused with the one that came first.
func TestRow20FiftyCommandsForOneRef(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 2, rig.Edge{})
	atOnce(repetitions, func(i int) {
		pkg := rig.Small("only")
		pkg.Cores = uint32(1 + i%2)
		data, err := proto.Marshal(pkg)
		if err != nil {
			t.Error(err)
		}
		digest := sha256.Sum256(data)
		err = r.Bus.SendCommand(t.Context(), &vmlinev1.Command{
			Id: fmt.Sprintf("only-7002.%d", i), Ref: "only-7002", Kind: create, Package: pkg, PackageDigest: digest[:],
			CreatedAt: timestamppb.Now(), RequestedBy: "test",
		})
		if err != nil {
			t.Error(err)
		}
	})
	admitted := r.Await("only-7002", rig.Ended(create)).GetOperation().GetId()
	r.CheckLog("only-7002")
	r.CheckWorld()
	r.CheckReserved(1, 1)
	refusals, err := r.Bus.Bucket(t.Context(), bus.BucketREFUSAL)
	must(t, err)
	var first int
	_, err = fmt.Sscanf(admitted, "only-7002.%d", &first)
	must(t, err)
	for i := range repetitions {
		if i == first {
			continue
		}
		id, cause := fmt.Sprintf("only-7002.%d", i), "another command came first: operation "+admitted+" (create)"
		if i%2 == first%2 {
			cause = "the command asks for what is so already or is under way"
		}
		refusal := &vmlinev1.Refusal{}
		eventually(t, "a refusal of "+id, func() bool {
			_, err := refusals.Get(t.Context(), id, refusal)
			return err == nil
		})
		joins := strings.Contains(refusal.GetProblem().GetNext(), admitted)
		if p := refusal.GetProblem(); p.GetCause() != cause || p.GetNext() == "" || joins != (i%2 == first%2) {
			t.Errorf("%s: %v", id, p)
		}
	}
}

// startGateway serves the API on the rig's bus until the test ends.
func startGateway(t *testing.T, r *rig.Rig) *api.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	token := secrets.NewToken()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- gateway.Run(ctx, gateway.Config{
			Bus: r.Bus, Listener: listener, Token: token, Sealer: r.Opener.Sealer(),
			DigestKey: bytes.Repeat([]byte("k"), 32), Logger: slog.New(slog.DiscardHandler),
		})
	}()
	transport := &http.Transport{MaxIdleConnsPerHost: repetitions}
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	return &api.Client{BaseURL: "http://" + listener.Addr().String(), Token: token, HTTP: &http.Client{Transport: transport}}
}
