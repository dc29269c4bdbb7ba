package bus

import (
	"errors"
	"testing"
)

func TestDocumentIsReplacedAtItsRevisionAlone(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	k, err := b.Bucket(ctx, BucketKEY)
	if err != nil {
		t.Fatal(err)
	}
	type document struct {
		Name string `json:"name"`
	}
	var got document
	if _, err := k.GetJSON(ctx, "a", &got); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that was never made: %v", err)
	}
	if err := k.CreateJSON(ctx, "a", document{"one"}); err != nil {
		t.Fatal(err)
	}
	if err := k.CreateJSON(ctx, "a", document{"two"}); !errors.Is(err, ErrTaken) {
		t.Errorf("created twice: %v", err)
	}
	revision, err := k.GetJSON(ctx, "a", &got)
	if err != nil || got.Name != "one" {
		t.Fatalf("got %v, %v", got, err)
	}
	next, err := k.UpdateJSON(ctx, "a", document{"two"}, revision)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.UpdateJSON(ctx, "a", document{"three"}, revision); !errors.Is(err, ErrSuperseded) {
		t.Errorf("an old revision: %v", err)
	}
	revision, err = k.GetJSON(ctx, "a", &got)
	if err != nil || got.Name != "two" || revision != next {
		t.Fatalf("got %v at %d, stored at %d, %v", got, revision, next, err)
	}
	if err := k.Delete(ctx, "a", revision); err != nil {
		t.Fatal(err)
	}
	if _, err := k.UpdateJSON(ctx, "a", document{"ghost"}, revision); !errors.Is(err, ErrSuperseded) {
		t.Errorf("a deleted key came back: %v", err)
	}
}
