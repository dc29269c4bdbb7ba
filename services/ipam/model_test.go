package ipam

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestModel runs random orders, terminations, kills, flushes, builds and reconciliations against
// the simplest possible model: who holds what, in a map.
func TestModel(t *testing.T) {
	fewer(t, 20)
	onBoth(t, func(t *testing.T, w *world) {
		small := v4Pool("small", "203.0.113.0/28")
		small.Exclude = []string{"203.0.113.4/30"}
		w.pools = []*vmlinev1.Pool{small, v4Pool("next", "203.0.113.16/29"), v4Pool("v6", "2001:db8::/64")}
		instances := []*service{w.instance(t, nil), w.instance(t, nil)}
		const size = 10 + 6
		f := &fate{strike: func() error { return errKilled }}
		mortal := w.instance(t, f)
		rapid.Check(t, func(rt *rapid.T) {
			ctx := context.Background()
			model := map[string]*vmlinev1.VM{}
			s := func() *service { return instances[rapid.IntRange(0, 1).Draw(rt, "instance")] }
			taken := func() (n int) {
				for _, vm := range model {
					n += int(vm.GetPackage().GetNetwork().GetIpv4Count())
				}
				return n
			}
			rt.Repeat(map[string]func(*rapid.T){
				"order": func(rt *rapid.T) {
					ref := fmt.Sprint("vm-", rapid.IntRange(0, 9).Draw(rt, "vm"))
					want := order(ref, uint32(rapid.IntRange(0, 3).Draw(rt, "v4")), uint32(rapid.IntRange(0, 2).Draw(rt, "v6")))
					if had := model[ref]; had != nil {
						want.Package, want.Addresses = had.Package, had.Addresses
					}
					if rapid.IntRange(0, 3).Draw(rt, "killed") == 0 {
						f.rise(rapid.IntRange(1, 12).Draw(rt, "at"), rapid.Bool().Draw(rt, "after"))
						if _, err := mortal.give(ctx, want); err != nil && !f.dead {
							var person *bus.NeedsPerson
							if !errors.As(err, &person) {
								rt.Fatal(err)
							}
						}
					}
					got, err := s().give(ctx, want)
					var person *bus.NeedsPerson
					free := size - taken()
					switch {
					case model[ref] != nil && (err != nil || !slices.Equal(addresses(got), addresses(model[ref]))):
						rt.Fatalf("%s had %v, got %v (%v)", ref, addresses(model[ref]), addresses(got), err)
					case model[ref] != nil:
					case int(want.GetPackage().GetNetwork().GetIpv4Count()) > free:
						if !errors.As(err, &person) {
							rt.Fatalf("%d free, but %s got %v (%v)", free, ref, addresses(got), err)
						}
					case err != nil:
						rt.Fatal(err)
					default:
						model[ref] = got
					}
				},
				"change": func(rt *rapid.T) {
					vm := model[fmt.Sprint("vm-", rapid.IntRange(0, 9).Draw(rt, "vm"))]
					if vm == nil {
						return
					}
					v4 := rapid.IntRange(0, 4).Draw(rt, "v4")
					changed := changing(vm, count(uint32(v4)))
					if rapid.IntRange(0, 3).Draw(rt, "killed") == 0 {
						f.rise(rapid.IntRange(1, 12).Draw(rt, "at"), rapid.Bool().Draw(rt, "after"))
						_, _ = mortal.give(ctx, changed) // what it returns nobody learns
					}
					had := int(vm.GetPackage().GetNetwork().GetIpv4Count())
					free := size - taken()
					got, err := s().give(ctx, changed)
					var refused *bus.Refused
					if v4-had > free {
						if !errors.As(err, &refused) {
							rt.Fatalf("%d more of %d free: %s (%v)", v4-had, free, sketch(got), err)
						}
						return
					}
					if err != nil {
						rt.Fatal(err)
					}
					if err := s().releaseLeaving(ctx, got, forGood); err != nil {
						rt.Fatal(err)
					}
					stays := min(had, v4)
					if now, was := addresses(got), addresses(vm); !slices.Equal(now[:stays], was[:stays]) || len(now) != v4+len(was)-had {
						rt.Fatalf("had %v, has %v with %d IPv4 addresses", was, now, v4)
					}
					model[vm.GetRef()] = got
				},
				"terminate": func(rt *rapid.T) {
					ref := fmt.Sprint("vm-", rapid.IntRange(0, 9).Draw(rt, "vm"))
					vm := model[ref]
					if vm == nil {
						vm = order(ref, 0, 0)
					}
					if err := s().end(ctx, vm); err != nil {
						rt.Fatal(err)
					}
					delete(model, ref)
				},
				"flush": func(*rapid.T) { w.flush(t) },
				"reconcile": func(rt *rapid.T) {
					if err := s().reconcile(ctx); err != nil {
						rt.Fatal(err)
					}
				},
				"": func(rt *rapid.T) {
					var want []string
					for _, vm := range model {
						want = append(want, keysOf(vm)...)
					}
					slices.Sort(want)
					if held := instances[0].heldBy(t, ""); !slices.Equal(held, want) {
						rt.Fatalf("held %v, want %v", held, want)
					}
				},
			})
			for _, vm := range model {
				if err := instances[0].end(ctx, vm); err != nil {
					rt.Fatal(err)
				}
			}
		})
	})
}

// fewer makes rapid check less often than its default, unless the command line asks for a number.
func fewer(t *testing.T, checks int) {
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
	if err := f.Value.Set(strconv.Itoa(checks)); err != nil {
		t.Fatal(err)
	}
}
