package pve

import (
	"net/http"
	"testing"
)

// TestNoWriteIsRepeated: whatever hides the outcome of a call that changes something, it is sent once, to one
// endpoint, and the caller learns that it may have been done. So nothing is made twice: no clone, disk,
// firewall rule, IP set or migration.
func TestNoWriteIsRepeated(t *testing.T) {
	for name, outcome := range map[string]roundTrip{
		"the connection breaks":       fails(errLost),
		"596":                         always(596, "Connection timed out", ""),
		"an answer of something else": always(200, "OK", "<html>"),
	} {
		for _, call := range calls {
			if !call.write {
				continue
			}
			c, h := three(t)
			h.set(map[string]roundTrip{"a": outcome, "b": neverAsked(t, call.name), "c": neverAsked(t, call.name)})
			if err := call.do(t.Context(), c); KindOf(err) != MaybeCommitted {
				t.Errorf("%s, %s: %v", call.name, name, err)
			}
			if asked := h.since(); asked != "a" {
				t.Errorf("%s, %s: sent to %s", call.name, name, asked)
			}
		}
	}
}

func neverAsked(t *testing.T, call string) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		t.Errorf("%s was sent again", call)
		return ok("null"), nil
	}
}
