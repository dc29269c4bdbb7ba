package reading_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmline/vmline/pkg/reading"
)

func TestAReadingIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reading.New[int]()
		reads := 0
		read := func() (int, error) {
			reads++
			<-time.After(100 * time.Millisecond)
			return reads, nil
		}
		get := func() int {
			got, err := r.Get(t.Context(), time.Now, time.Second, read)
			if err != nil {
				t.Error(err)
			}
			return got
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := get(); got != 1 {
					t.Errorf("got reading %d", got)
				}
			})
		}
		all.Wait()
		<-time.After(999 * time.Millisecond)
		if got := get(); got != 1 {
			t.Errorf("a young reading was read again: %d", got)
		}
		<-time.After(time.Millisecond)
		if got := get(); got != 2 {
			t.Errorf("an old reading was not read again: %d", got)
		}
	})
}

// TestAFailureIsShared: twenty who wait for a time-out wait for one.
func TestAFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reading.New[int]()
		hangs := true
		down := errors.New("no answer")
		read := func() (int, error) {
			if !hangs {
				return 1, nil
			}
			<-time.After(40 * time.Second)
			return 0, down
		}
		begun := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := r.Get(t.Context(), time.Now, time.Second, read); !errors.Is(err, down) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took > 41*time.Second {
			t.Errorf("they waited for %s", took)
		}
		hangs = false
		<-time.After(time.Nanosecond)
		if got, err := r.Get(t.Context(), time.Now, time.Second, read); err != nil || got != 1 {
			t.Errorf("the failure stays: %d, %v", got, err)
		}
	})
}

func TestEachKeyHasItsOwn(t *testing.T) {
	var k reading.Keyed[string, int]
	reads := 0
	for _, key := range []string{"a", "b", "a"} {
		if _, err := k.Of(key).Get(t.Context(), time.Now, time.Hour, func() (int, error) { reads++; return reads, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 2 {
		t.Errorf("%d readings of two keys", reads)
	}
}

// TestWhoGivesUpTakesNobodyAlong: the time of one who reads is not that of the others who wait for it.
func TestWhoGivesUpTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reading.New[int]()
		get := func(ctx context.Context) (int, error) {
			return r.Get(ctx, time.Now, time.Second, func() (int, error) {
				select {
				case <-time.After(40 * time.Second):
					return 1, nil
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			})
		}
		impatient, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := get(impatient); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gave up got %v", err)
			}
		})
		synctest.Wait()
		for range 2 {
			all.Go(func() {
				if got, err := get(t.Context()); err != nil || got != 1 {
					t.Errorf("who waited got %d, %v", got, err)
				}
			})
		}
		all.Wait()
	})
}
