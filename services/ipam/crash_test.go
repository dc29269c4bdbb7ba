package ipam

import (
	"context"
	"slices"
	"testing"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// crowd is a world with two small pools, before those that it has beside the default one, some held addresses, and one instance that is not struck.
func crowd(t *testing.T, w *world) *service {
	v6 := v4Pool("v6", "2001:db8::/64")
	w.pools = append([]*vmlinev1.Pool{v4Pool("v4", "203.0.113.0/28"), v6}, w.pools[1:]...)
	s := w.instance(t, nil)
	s.mustGive(t, order("neighbour", 2, 1))
	return s
}

func TestSetIPKilledAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := crowd(t, w)
		everywhere(t, func(t *testing.T, at int, after bool) *fate {
			f := &fate{at: at, after: after, strike: func() error { return errKilled }}
			vm := order("vm", 2, 1)
			_, err := w.instance(t, f).give(t.Context(), vm)
			if f.dead != (err != nil) {
				t.Fatalf("killed %t, error %v", f.dead, err)
			}
			checkOneSet(t, s, vm)
			return f
		})
	})
}

// TestSetIPFlushedAnywhere: Redis loses everything before or after each call, and the instance is
// killed right then, or goes on.
func TestSetIPFlushedAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := crowd(t, w)
		for _, killed := range []bool{false, true} {
			everywhere(t, func(t *testing.T, at int, after bool) *fate {
				f := &fate{at: at, after: after, strike: func() error {
					w.flush(t)
					if killed {
						return errKilled
					}
					return nil
				}}
				vm := order("vm", 2, 1)
				if _, err := w.instance(t, f).give(t.Context(), vm); err != nil && !killed {
					t.Fatal(err)
				}
				checkOneSet(t, s, vm)
				return f
			})
		}
	})
}

// checkOneSet lets another instance repeat the step: the VM has one set of addresses, which is all
// that it holds. Then it takes them back.
func checkOneSet(t *testing.T, s *service, vm *vmlinev1.VM) {
	t.Helper()
	got := s.mustGive(t, vm)
	again := s.mustGive(t, vm)
	if len(got.GetAddresses()) != 3 || !slices.Equal(addresses(got), addresses(again)) {
		t.Errorf("got %v, then %v", addresses(got), addresses(again))
	}
	if held := s.heldBy(t, ownerOf(vm)); !slices.Equal(held, keysOf(got)) {
		t.Errorf("holds %v, lists %v", held, keysOf(got))
	}
	s.verify(t)
	if err := s.end(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if held := s.heldBy(t, ownerOf(vm)); len(held) != 0 {
		t.Errorf("still holds %v", held)
	}
	s.verify(t)
}

func TestTerminatedKilledOrFlushedAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := crowd(t, w)
		strikes := map[string]func() error{
			"killed":             func() error { return errKilled },
			"flushed":            func() error { w.flush(t); return nil },
			"flushed and killed": func() error { w.flush(t); return errKilled },
		}
		for name, strike := range strikes {
			t.Run(name, func(t *testing.T) {
				everywhere(t, func(t *testing.T, at int, after bool) *fate {
					vm := s.mustGive(t, order("vm", 2, 1))
					f := &fate{at: at, after: after, strike: strike}
					if err := w.instance(t, f).end(t.Context(), vm); err != nil && !f.dead {
						t.Fatal(err)
					}
					if err := s.end(t.Context(), vm); err != nil {
						t.Fatal(err)
					}
					if held := s.heldBy(t, ""); len(held) != 3 {
						t.Errorf("the neighbour has 3 addresses, held are %v", held)
					}
					s.verify(t)
					return f
				})
			})
		}
	})
}

// TestOtherWorkersStepInAnywhere: at each call of one worker, a second one does the whole step for
// the same VM while Redis is flushed, and a third VM takes addresses.
func TestOtherWorkersStepInAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := crowd(t, w)
		everywhere(t, func(t *testing.T, at int, after bool) *fate {
			vm, third := order("vm", 2, 1), order("third", 1, 1)
			var second, thirds *vmlinev1.VM
			f := &fate{at: at, after: after}
			f.strike = func() error {
				w.flush(t)
				thirds = s.mustGive(t, third)
				second = s.mustGive(t, vm)
				return nil
			}
			first, err := w.instance(t, f).give(t.Context(), vm)
			if err != nil {
				t.Fatal(err)
			}
			s.verify(t) // also what was written after the index had been built again
			if second != nil {
				// Either worker's set may be published; all of both is held, none is the third's.
				held := s.heldBy(t, ownerOf(vm))
				for _, k := range append(keysOf(first), keysOf(second)...) {
					if !slices.Contains(held, k) {
						t.Errorf("%s is listed but not held: %v", k, held)
					}
				}
				if got := s.heldBy(t, ownerOf(third)); !slices.Equal(got, keysOf(thirds)) {
					t.Errorf("the third holds %v, lists %v", got, keysOf(thirds))
				}
				if err := s.end(t.Context(), thirds); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.end(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if held := s.heldBy(t, ""); len(held) != 3 {
				t.Errorf("the neighbour has 3 addresses, held are %v", held)
			}
			s.verify(t)
			return f
		})
	})
}

// TestBuildKilledAnywhere: whoever builds the index dies at each of its calls; the next one waits a
// moment and takes over.
func TestBuildKilledAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := crowd(t, w)
		for _, flush := range []bool{false, true} {
			everywhere(t, func(t *testing.T, at int, after bool) *fate {
				w.flush(t)
				f := &fate{at: at, after: after, strike: func() error {
					if flush {
						w.flush(t)
						return nil
					}
					return errKilled
				}}
				if _, err := w.instance(t, f).index.has(context.Background(), s.pools[0], "x/x"); err != nil && !f.dead {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := s.index.open(ctx, s.pools[0]); err != nil {
					t.Fatal(err)
				}
				s.verify(t)
				return f
			})
		}
	})
}
