package bus

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrSuperseded says that somebody else wrote the VM's state first. What the caller knew is old;
// it drops its work.
var ErrSuperseded = errors.New("superseded by a newer state")

// ErrNotFound says that there is no such VM or key.
var ErrNotFound = errors.New("not found")

// ErrTaken says that a key exists already.
var ErrTaken = errors.New("taken")

// ErrUnstorable says that a message can never be stored as it is: it is too large, or not text where
// text must be. Repeating it is of no use.
var ErrUnstorable = errors.New("cannot be stored")

// NeedsPerson is an error that no repetition can mend. Its three sentences are what the person
// reads.
type NeedsPerson struct {
	// Cause in the words of whoever refused.
	Cause string
	// Kept says what was kept safe.
	Kept string
	// Next says what the person can do.
	Next string
	// Err is the error behind it, if any.
	Err error
}

func (e *NeedsPerson) Error() string { return fmt.Sprintf("%s. %s %s", e.Cause, e.Kept, e.Next) }

// Unwrap returns the error behind it.
func (e *NeedsPerson) Unwrap() error { return e.Err }

// Refused is an error of a step that found its operation impossible before it changed anything. The
// operation ends, and the VM is what it was before. An operation that takes up another's work waits for a
// person instead: that one may have changed something.
type Refused struct {
	// Cause in the words of whoever refused.
	Cause string
	// Next says what the sender can do.
	Next string
	// AsBefore says that the VM is what it was before, whatever was done to it meanwhile.
	AsBefore bool
}

func (e *Refused) Error() string { return fmt.Sprintf("%s. Nothing was changed. %s", e.Cause, e.Next) }

// RetryAfter is a transient error that says itself when the next attempt is to come, for example
// because a lock is known to be held. A span shorter than the policy's first delay becomes that.
type RetryAfter struct {
	Err   error
	After time.Duration
}

func (e *RetryAfter) Error() string { return e.Err.Error() }

// Unwrap returns the transient error.
func (e *RetryAfter) Unwrap() error { return e.Err }

// Waiting says that a step could not begin because others are before it: nothing has failed. It is
// shown with its reason like an error that is tried again, but no length of it makes a step give up.
type Waiting struct {
	// Reason is what the person reads: what it waits for, and how long the queue is.
	Reason string
	// After is when the step is tried again. A span shorter than the policy's first delay becomes that.
	After time.Duration
}

func (e *Waiting) Error() string { return e.Reason }

// Lasting is a transient error that knows what a person can do about it once it has lasted too long.
type Lasting struct {
	Err  error
	Next string
}

func (e *Lasting) Error() string { return e.Err.Error() }

// Unwrap returns the transient error.
func (e *Lasting) Unwrap() error { return e.Err }

// RetryPolicy says how transient errors of steps are retried.
type RetryPolicy struct {
	// First delay; it doubles with each attempt. Default 500 ms.
	First time.Duration
	// Cap of the delay. Default 1 minute.
	Cap time.Duration
	// GiveUp is how long a step may go on failing before a person is asked. Default 1 hour.
	GiveUp time.Duration
	// Hold is the longest delay that a worker waits out with the message in hand; a longer one
	// becomes a tick. Default 10 s.
	Hold time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.First, 500 * time.Millisecond}, {&p.Cap, time.Minute}, {&p.GiveUp, time.Hour}, {&p.Hold, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return p
}

// maxText bounds what is kept of an error's text, in bytes. A server may answer with a whole page.
const maxText = 4 << 10

// plain makes a text of unknown origin fit to be stored: valid UTF-8 of bounded length.
func plain(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD")
}

// oneLine makes a text of unknown origin fit for a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, plain(s))
}

// Delay before the attempt that follows the given number of failed ones: doubled each time, capped.
func (p RetryPolicy) Delay(failed uint32) time.Duration {
	d := p.First
	for range min(failed, 32) - 1 {
		if d *= 2; d >= p.Cap {
			return p.Cap
		}
	}
	return min(d, p.Cap)
}
