package gateway

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// Prefer is what a client would like of the answer (RFC 7240). It is exported because huma does not look
// into embedded types that are not.
type Prefer struct {
	Prefer string `header:"Prefer" maxLength:"200" doc:"wait=N answers once the operation has ended or waits for a person, at the latest after N seconds (at most 25)."`
}

// wait is how long the client would like to wait, 0 for not at all. A preference that cannot be
// understood is passed over, as the RFC wants it.
func (p Prefer) wait() time.Duration {
	for preference := range strings.SplitSeq(p.Prefer, ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 16)
		if err != nil {
			return 0
		}
		return min(time.Duration(seconds)*time.Second, maxWait)
	}
	return 0
}

// waited answers with an operation, after waiting for it if the client prefers that.
func (g *gateway) waited(ctx context.Context, op api.Operation, p Prefer) (*operationOutput, error) {
	wait := p.wait()
	if wait == 0 {
		return operationAnswer(op), nil
	}
	if !op.Ended() {
		if !g.slots.onlyWaits(ctx) {
			return operationAnswer(op), nil // it is only a preference
		}
		later, err := g.awaitOperation(ctx, op, wait)
		if err != nil {
			return operationAnswer(op), nil //nolint:nilerr // it is accepted all the same; only the look at it failed
		}
		op = later
	}
	out := operationAnswer(op)
	out.PreferenceApplied = "wait=" + strconv.Itoa(int(wait/time.Second))
	return out, nil
}
