package bus

import (
	"context"
	"errors"
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestChangesComeInOrderFromWhereTheReaderWas(t *testing.T) {
	b, bounded := apply(t, open(t, Options{})), testContext(t)
	refs := []string{"a", "b", "a", "c"}
	after := map[string]uint64{}
	write := func(ref string) {
		t.Helper()
		seq, err := b.Append(bounded, &vmlinev1.VM{Ref: ref}, after[ref])
		if err != nil {
			t.Fatal(err)
		}
		after[ref] = seq
	}
	if bounds, err := b.Bounds(bounded); err != nil || bounds.Last != 0 {
		t.Errorf("empty: %+v, %v", bounds, err)
	}
	if page, err := b.Page(bounded, 0, 10); err != nil || len(page) != 0 {
		t.Errorf("empty: %v, %v", page, err)
	}
	for _, ref := range refs {
		write(ref)
	}
	if bounds, err := b.Bounds(bounded); err != nil || bounds.First != 1 || bounds.Last != 4 || bounds.Created.IsZero() {
		t.Errorf("bounds %+v, %v", bounds, err)
	}
	page, err := b.Page(bounded, 1, 2)
	if err != nil || len(page) != 2 || page[0].Seq != 2 || page[1].Seq != 3 || page[1].VM.GetRef() != "a" {
		t.Errorf("page %+v, %v", page, err)
	}
	if page, err = b.Page(bounded, 4, 2); err != nil || len(page) != 0 {
		t.Errorf("past the end: %+v, %v", page, err)
	}

	ctx, cancel := context.WithCancel(bounded)
	var got []uint64
	err = b.Changes(ctx, 2, nil, func(e Entry, left uint64) error {
		got = append(got, e.Seq)
		switch {
		case len(got) == 2 && left == 0:
			write("d") // while it is read
		case len(got) == 3:
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(got) != 3 || got[0] != 3 || got[2] != 5 {
		t.Errorf("got %v, %v", got, err)
	}
}
