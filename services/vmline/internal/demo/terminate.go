package demo

import (
	"context"
	"fmt"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// terminateOne terminates the order with the most to let go of, and sees that all of it is free and
// that the others have everything still.
func terminateOne(ctx context.Context, w *world, say *printer, orders []*order) error {
	o := orders[1]
	say.title("Termination of " + o.ref)
	questions, err := questionsOf(o)
	if err != nil {
		return err
	}
	op, err := w.client.DeleteService(ctx, o.ref)
	if err != nil {
		return fmt.Errorf("terminate %s: %w", o.ref, err)
	}
	if err := w.follow(ctx, say, o.ref, op); err != nil {
		return err
	}
	if err := addressesFree(ctx, w, say, o); err != nil {
		return err
	}
	if err := vmidFree(ctx, w, say, o); err != nil {
		return err
	}
	for _, q := range questions {
		q.want = ""
		if err := await(ctx, w, q); err != nil {
			return err
		}
		say.free(o.ref, "record", dns.TypeToString[q.qtype]+" "+q.name)
	}
	return othersLive(ctx, w, []*order{orders[0], orders[2]})
}

// addressesFree looks at the truth about addresses: the bucket in which to create a key is to get one.
func addressesFree(ctx context.Context, w *world, say *printer, o *order) error {
	held, err := heldBy(ctx, w, bus.BucketIPAM, &vmlinev1.Allocation{}, o.ref)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fmt.Errorf("%s is terminated and still holds the addresses %v", o.ref, held)
	}
	now, err := w.client.GetService(ctx, o.ref)
	if err != nil {
		return fmt.Errorf("look at %s: %w", o.ref, err)
	}
	if now.Status != "terminated" { // it lists the addresses still: that is its history
		return fmt.Errorf("%s is terminated and the API says %s", o.ref, now.Status)
	}
	for _, a := range o.service.Addresses {
		say.free(o.ref, "address", a.Address)
	}
	return nil
}

// vmidFree looks at the cluster and at the truth about VMIDs.
func vmidFree(ctx context.Context, w *world, say *printer, o *order) error {
	if vm, there := w.cluster.VM(int(o.service.VMID)); there {
		return fmt.Errorf("%s is terminated and machine %d (%s) is still on the cluster", o.ref, vm.VMID, vm.Name)
	}
	held, err := heldBy(ctx, w, bus.BucketVMID, &vmlinev1.VMIDReservation{}, o.ref)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fmt.Errorf("%s is terminated and still holds the VMIDs %v", o.ref, held)
	}
	say.free(o.ref, "VMID", fmt.Sprint(o.service.VMID))
	return nil
}

// holding is the value of a bucket that says who holds a key.
type holding interface {
	proto.Message
	GetRef() string
}

// heldBy lists the keys of a bucket that a VM holds.
func heldBy(ctx context.Context, w *world, bucketName string, value holding, ref string) ([]string, error) {
	bucket, err := w.app.Bus.Bucket(ctx, bucketName)
	if err != nil {
		return nil, err
	}
	var keys []string
	err = bucket.Each(ctx, ">", func(i bus.Item) error {
		if err := proto.Unmarshal(i.Value, value); err != nil {
			return fmt.Errorf("decode %s in %s: %w", i.Key, bucketName, err)
		}
		if value.GetRef() == ref {
			keys = append(keys, i.Key)
		}
		return nil
	})
	return keys, err
}

// othersLive sees that a termination took nothing from its neighbours.
func othersLive(ctx context.Context, w *world, others []*order) error {
	for _, o := range others {
		if _, err := machineOf(w, o); err != nil {
			return fmt.Errorf("after the termination %s is damaged: %w", o.ref, err)
		}
		held, err := heldBy(ctx, w, bus.BucketIPAM, &vmlinev1.Allocation{}, o.ref)
		if err != nil {
			return err
		}
		if len(held) != len(o.service.Addresses) {
			return fmt.Errorf("after the termination %s holds the addresses %v, want %d", o.ref, held, len(o.service.Addresses))
		}
		questions, err := questionsOf(o)
		if err != nil {
			return err
		}
		for _, q := range questions {
			if err := await(ctx, w, q); err != nil {
				return err
			}
		}
	}
	return nil
}
