package provisioner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

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
	// taken has the uid of the VM that holds a key.
	taken map[string]string
	// held has the keys that a uid holds, each with its revision.
	held map[string]map[string]uint64
	// awaited has the keys that somebody waits to see in the bucket.
	awaited map[string]chan struct{}
	// released has when a key was given back, for as long as it rests.
	released map[string]time.Time
	restTime time.Duration
}

// defaultRest is longer than a call that was meant for the VM that had the VMID can be under way.
const defaultRest = 2 * time.Minute

func openVMIDs(ctx context.Context, b *bus.Bus, rest time.Duration) (*vmids, error) {
	bucket, err := b.Bucket(ctx, bus.BucketVMID)
	if err != nil {
		return nil, err
	}
	return &vmids{
		bus: b, bucket: bucket, ready: make(chan struct{}),
		taken: map[string]string{}, held: map[string]map[string]uint64{}, awaited: map[string]chan struct{}{},
		released: map[string]time.Time{}, restTime: cmp.Or(rest, defaultRest),
	}, nil
}

func vmidKey(cluster string, vmid int) string { return cluster + "." + strconv.Itoa(vmid) }

// follow keeps the maps in step with the bucket until ctx ends. What was given back before it began rests as
// long as if it had seen that.
func (v *vmids) follow(ctx context.Context) error {
	sees := false
	err := v.bucket.WatchDeleted(ctx, ">", func(i bus.Item) error {
		if i.Deleted {
			at := v.bus.Now()
			if !sees && i.Time.Before(at) {
				at = i.Time
			}
			v.rest(i.Key, at)
			v.forget(i.Key)
			return nil
		}
		r := &vmlinev1.VMIDReservation{}
		if err := proto.Unmarshal(i.Value, r); err != nil {
			return fmt.Errorf("decode reservation %s: %w", i.Key, err)
		}
		v.note(i.Key, r.GetUid(), i.Revision)
		return nil
	}, func() error {
		sees = true
		v.once.Do(func() { close(v.ready) })
		return nil
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the watch ends because the service does
	}
	return err
}

// reserve returns the VMID that the VM holds in its cluster, or reserves the lowest that is free
// here and not used on Proxmox. It may be repeated after a crash at any point. A VMID beside an error may
// be reserved: the answer was lost. avoid is a VMID that turned out to be somebody else's machine; 0 for none.
func (v *vmids) reserve(ctx context.Context, vm *vmlinev1.VM, used func(int) bool, avoid int) (vmid int, err error) {
	select {
	case <-v.ready:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if vmid, ok := v.holds(vm, avoid); ok {
		return vmid, nil
	}
	first := max(int(vm.GetPackage().GetFirstVmid()), defaultFirstVMID)
	for vmid := first; vmid <= maxVMID; vmid++ {
		key := vmidKey(vm.GetCluster(), vmid)
		if used(vmid) || v.resting(key) || !v.take(key, vm.GetUid()) {
			continue
		}
		err := v.create(ctx, key, vm)
		if errors.Is(err, bus.ErrTaken) {
			if v.isOurs(ctx, key, vm.GetUid()) {
				return vmid, nil
			}
			continue
		}
		if err != nil {
			v.forget(key)
			return vmid, err
		}
		return v.firstOf(ctx, vm, vmid, avoid)
	}
	return 0, &bus.NeedsPerson{
		Cause: fmt.Sprintf("no VMID from %d up is free on cluster %s", first, vm.GetCluster()), Kept: "Nothing was made yet; the addresses stay reserved.",
		Next: "Lower the package's first VMID, then repeat the order.",
	}
}

// create reserves a key and returns once the bucket has shown it, and so all that came before it.
func (v *vmids) create(ctx context.Context, key string, vm *vmlinev1.VM) error {
	shown := v.await(key)
	err := v.bucket.Create(ctx, key, reservation(vm, v.bus.Now()))
	if err != nil {
		return err
	}
	select {
	case <-shown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func reservation(vm *vmlinev1.VM, now time.Time) *vmlinev1.VMIDReservation {
	return &vmlinev1.VMIDReservation{Ref: vm.GetRef(), Uid: vm.GetUid(), At: timestamppb.New(now)}
}

// firstOf settles which VMID the VM has when two workers have reserved one each: the first. The
// worker that came second gives its own back.
func (v *vmids) firstOf(ctx context.Context, vm *vmlinev1.VM, own, avoid int) (vmid int, err error) {
	first, ok := v.holds(vm, avoid)
	if !ok || first == own {
		return own, nil
	}
	return first, v.release(ctx, vm.GetCluster(), own, vm.GetUid())
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

// releaseAll gives up all that the VM holds, also what its state does not list because the order was
// overtaken. It asks the bucket itself, because the maps may lag behind.
func (v *vmids) releaseAll(ctx context.Context, vm *vmlinev1.VM) error {
	return v.bucket.Each(ctx, vm.GetCluster()+".*", func(i bus.Item) error {
		r := &vmlinev1.VMIDReservation{}
		if err := proto.Unmarshal(i.Value, r); err != nil || r.GetUid() != vm.GetUid() {
			return err
		}
		err := v.bucket.Delete(ctx, i.Key, i.Revision)
		if errors.Is(err, bus.ErrSuperseded) {
			return nil
		}
		return err
	})
}

// holds returns the VMID that the VM has reserved already, for example before a crash: the first,
// if there are several. Only what was reserved after avoid counts, because what came before it was
// somebody else's machine too.
func (v *vmids) holds(vm *vmlinev1.VM, avoid int) (vmid int, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	held := v.held[vm.GetUid()]
	after, oldest := held[vmidKey(vm.GetCluster(), avoid)], uint64(0)
	for key, revision := range held {
		cluster, number, _ := strings.Cut(key, ".")
		id, err := strconv.Atoi(number)
		if err != nil || cluster != vm.GetCluster() || revision <= after || (ok && revision > oldest) {
			continue
		}
		vmid, ok, oldest = id, true, revision
	}
	return vmid, ok
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

// rest notes when a key was given back.
func (v *vmids) rest(key string, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.bus.Now()
	maps.DeleteFunc(v.released, func(_ string, at time.Time) bool { return now.Sub(at) >= v.restTime })
	if now.Sub(at) < v.restTime {
		v.released[key] = at
	}
}

// resting says whether a key was given back so lately that a call for the VM that had it may still be
// under way.
func (v *vmids) resting(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.released[key]
	return ok && v.bus.Now().Sub(at) < v.restTime
}

// await returns a channel that is closed once the bucket has shown the key, whatever became of the key
// before that.
func (v *vmids) await(key string) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.awaited[key] == nil {
		v.awaited[key] = make(chan struct{})
	}
	return v.awaited[key]
}

func (v *vmids) note(key, uid string, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.taken[key] = uid
	if v.held[uid] == nil {
		v.held[uid] = map[string]uint64{}
	}
	v.held[uid][key] = revision
	if shown, ok := v.awaited[key]; ok {
		close(shown)
		delete(v.awaited, key)
	}
}

func (v *vmids) forget(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	uid := v.taken[key]
	delete(v.held[uid], key)
	if len(v.held[uid]) == 0 {
		delete(v.held, uid)
	}
	delete(v.taken, key)
}
