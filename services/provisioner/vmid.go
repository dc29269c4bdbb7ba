package provisioner

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Limits of a VMID on Proxmox (pve-vmid).
const (
	defaultFirstVMID = 100
	maxVMID          = 999_999_999
)

// vmids gives out VMIDs. The bucket is the truth: whoever creates a key holds the VMID. The maps
// follow the bucket, to find a free number quickly and to know again what a VM holds already.
type vmids struct {
	bus    *bus.Bus
	bucket *bus.Bucket
	ready  chan struct{}
	once   sync.Once

	mu sync.Mutex
	// taken has the uid of the VM that holds a key, held the key that a uid holds.
	taken, held map[string]string
}

func openVMIDs(ctx context.Context, b *bus.Bus) (*vmids, error) {
	bucket, err := b.Bucket(ctx, bus.BucketVMID)
	if err != nil {
		return nil, err
	}
	return &vmids{bus: b, bucket: bucket, ready: make(chan struct{}), taken: map[string]string{}, held: map[string]string{}}, nil
}

func vmidKey(cluster string, vmid int) string { return cluster + "." + strconv.Itoa(vmid) }

// follow keeps the maps in step with the bucket until ctx ends.
func (v *vmids) follow(ctx context.Context) error {
	err := v.bucket.Watch(ctx, ">", func(i bus.Item) error {
		if i.Deleted {
			v.forget(i.Key)
			return nil
		}
		r := &vmlinev1.VMIDReservation{}
		if err := proto.Unmarshal(i.Value, r); err != nil {
			return fmt.Errorf("decode reservation %s: %w", i.Key, err)
		}
		v.note(i.Key, r.GetUid())
		return nil
	}, func() error {
		v.once.Do(func() { close(v.ready) })
		return nil
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the watch ends because the service does
	}
	return err
}

// reserve returns the VMID that the VM holds in its cluster, or reserves the lowest that is free
// here and not used on Proxmox. It may be repeated after a crash at any point. avoid is a VMID that
// turned out to be somebody else's machine; 0 for none.
func (v *vmids) reserve(ctx context.Context, vm *vmlinev1.VM, used func(int) bool, avoid int) (int, error) {
	select {
	case <-v.ready:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if vmid, ok := v.holds(vm, avoid); ok {
		return vmid, nil
	}
	value := &vmlinev1.VMIDReservation{Ref: vm.GetRef(), Uid: vm.GetUid(), At: timestamppb.New(v.bus.Now())}
	first := max(int(vm.GetPackage().GetFirstVmid()), defaultFirstVMID)
	for vmid := first; vmid <= maxVMID; vmid++ {
		key := vmidKey(vm.GetCluster(), vmid)
		if used(vmid) || !v.take(key, vm.GetUid()) {
			continue
		}
		err := v.bucket.Create(ctx, key, value)
		if errors.Is(err, bus.ErrTaken) {
			if !v.isOurs(ctx, key, vm.GetUid()) {
				continue
			}
			err = nil
		}
		if err != nil {
			v.forget(key)
			return 0, err
		}
		return vmid, nil
	}
	return 0, &bus.NeedsPerson{
		Cause: fmt.Sprintf("no VMID from %d up is free on cluster %s", first, vm.GetCluster()), Kept: "Nothing was made yet; the addresses stay reserved.",
		Next: "Lower the package's first VMID, then repeat the order.",
	}
}

// isOurs says whether a key that exists is this VM's own: an earlier answer may have been lost.
func (v *vmids) isOurs(ctx context.Context, key, uid string) bool {
	held := &vmlinev1.VMIDReservation{}
	_, err := v.bucket.Get(ctx, key, held)
	return err == nil && held.GetUid() == uid
}

// release gives up the VM's hold on a VMID. What is not the VM's is left alone.
func (v *vmids) release(ctx context.Context, cluster string, vmid int, uid string) error {
	key := vmidKey(cluster, vmid)
	held := &vmlinev1.VMIDReservation{}
	revision, err := v.bucket.Get(ctx, key, held)
	if errors.Is(err, bus.ErrNotFound) || (err == nil && held.GetUid() != uid) {
		return nil
	}
	if err != nil {
		return err
	}
	err = v.bucket.Delete(ctx, key, revision)
	if errors.Is(err, bus.ErrSuperseded) {
		return nil
	}
	return err
}

// holds returns the VMID that the VM has reserved already, for example before a crash.
func (v *vmids) holds(vm *vmlinev1.VM, avoid int) (int, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	cluster, number, ok := strings.Cut(v.held[vm.GetUid()], ".")
	if !ok || cluster != vm.GetCluster() {
		return 0, false
	}
	vmid, err := strconv.Atoi(number)
	return vmid, err == nil && vmid != avoid
}

// take marks a number as taken in this process, so that two orders do not try for the same.
func (v *vmids) take(key, uid string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, taken := v.taken[key]; taken {
		return false
	}
	v.taken[key] = uid
	return true
}

func (v *vmids) note(key, uid string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.taken[key], v.held[uid] = uid, key
}

func (v *vmids) forget(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if uid := v.taken[key]; v.held[uid] == key {
		delete(v.held, uid)
	}
	delete(v.taken, key)
}
