package bus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestQuestionsAreAnswered(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	request := &vmlinev1.InventoryRequest{Cluster: "dc1"}
	reply := &vmlinev1.InventoryReply{}
	if err := b.Ask(ctx, chain.Provisioner, QuestionInventory, request, reply); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody runs, and the answer is %v", err)
	}

	serving, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		err := b.Answers(serving, chain.Provisioner, map[string]Answer{
			QuestionInventory: AnswerWith(func(_ context.Context, q *vmlinev1.InventoryRequest) (*vmlinev1.InventoryReply, error) {
				if q.GetCluster() != "dc1" {
					return nil, errors.New("no cluster\n" + q.GetCluster())
				}
				return &vmlinev1.InventoryReply{Clusters: []*vmlinev1.ClusterInventory{{Name: q.GetCluster()}}}, nil
			}),
			QuestionPlan: func(context.Context, []byte) (proto.Message, error) { panic("a mistake of ours") },
		})
		if err != nil {
			t.Errorf("answers ended with %v", err)
		}
	})
	for {
		err := b.Ask(ctx, chain.Provisioner, QuestionInventory, request, reply)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrNobody) {
			t.Fatal(err)
		}
	}
	if len(reply.GetClusters()) != 1 || reply.GetClusters()[0].GetName() != "dc1" {
		t.Errorf("the answer is %v", reply)
	}
	for question, want := range map[string]string{QuestionInventory: "no cluster dc9", "weather": "is no question", QuestionPlan: "made a mistake"} {
		err := b.Ask(ctx, chain.Provisioner, question, &vmlinev1.InventoryRequest{Cluster: "dc9"}, reply)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", question, err, want)
		}
	}
}

func TestAQueuedCommandIsBegunByItsOwner(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	ctx := testContext(t)
	running, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	lifecycle, err := b.NewWorker(chain.Lifecycle, stepsWith(chain.Lifecycle, noWork))
	if err != nil {
		t.Fatal(err)
	}
	lifecycle.Queued(func(ctx context.Context, e Entry) error {
		_, err := b.Append(ctx, chain.Begin(e.VM, chain.Unqueued(e.VM), b.Now(), nil), e.Seq)
		return err
	})
	workers.Go(func() { _ = lifecycle.Run(running) })

	vm := admitted("a-1", vmlinev1.Operation_KIND_START)
	vm.Queued = &vmlinev1.Queued{Id: "later", Kind: vmlinev1.Operation_KIND_SUSPEND}
	if _, err := b.Append(ctx, vm, 0); err != nil {
		t.Fatal(err)
	}
	last := until(t, b, "a-1", func(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_SUSPENDED && ended(vm) })
	if op := last.VM.GetOperation(); op.GetId() != "later" || last.VM.GetQueued() != nil {
		t.Errorf("it ended as %v", last.VM)
	}
}
