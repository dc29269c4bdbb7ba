package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
)

func TestExplain(t *testing.T) {
	failed := func(kind pve.Kind) error { return fmt.Errorf("start: %w", &pve.Error{Op: "start VM 101", Kind: kind}) }
	asked := &bus.NeedsPerson{Cause: "c", Kept: "k", Next: "n"}
	const (
		asIs    = "as it is"
		person  = "person"
		soon    = "soon"
		lasting = "lasting"
	)
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", nil, asIs},
		{"superseded", fmt.Errorf("step: %w", bus.ErrSuperseded), asIs},
		{"stopping", fmt.Errorf("read: %w", context.Canceled), asIs},
		{"asked already", asked, asIs},
		{"another's error", errors.New("no route"), asIs},
		{"foreign", &NotOurs{VMID: 101, Why: "w"}, person},
		{"absent", fmt.Errorf("find: %w", ErrAbsent), person},
		{"being made", ErrBeingMade, soon},
		{"refused", failed(pve.Refused), person},
		{"refused by a task", &pve.TaskError{Kind: pve.Refused}, person},
		{"no permission", failed(pve.NoPermission), person},
		{"transient", failed(pve.Transient), asIs},
		{"locked", failed(pve.Locked), lasting},
		{"lock seen", &Locked{VMID: 101, Lock: "backup"}, lasting},
		{"unreachable", failed(pve.Unreachable), asIs},
		{"unknown outcome", failed(pve.MaybeCommitted), asIs},
		{"changed in between", failed(pve.Conflict), asIs},
		{"moved in between", failed(pve.Gone), asIs},
		{"a part that went in between", failed(pve.Missing), asIs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const kept = "It stays."
			got := Explain(tt.err, kept)
			var (
				needs *bus.NeedsPerson
				after *bus.RetryAfter
			)
			switch tt.want {
			case asIs:
				if got != tt.err { //nolint:errorlint // the very same
					t.Fatalf("got %v", got)
				}
			case person:
				if !errors.As(got, &needs) || needs.Cause == "" || needs.Next == "" || !strings.Contains(needs.Kept, kept) || !errors.Is(got, tt.err) {
					t.Fatalf("got %#v", got)
				}
			case lasting:
				advised, ok := errors.AsType[*bus.Lasting](got)
				if !ok || advised.Next == "" || !errors.Is(got, tt.err) || got.Error() != tt.err.Error() {
					t.Fatalf("got %#v", got)
				}
			case soon:
				if !errors.As(got, &after) || after.After <= 0 || !errors.Is(got, tt.err) {
					t.Fatalf("got %#v", got)
				}
			}
		})
	}
}
