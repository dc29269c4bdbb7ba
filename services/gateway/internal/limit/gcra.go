package limit

import (
	"math"
	"time"
)

// Policy is how much one key may ask: Quota requests in a Window, evenly or in one burst.
type Policy struct {
	// Name stands in the headers; letters, digits and hyphens.
	Name   string
	Quota  int
	Window time.Duration
}

// Result is what became of one request.
type Result struct {
	Allowed bool
	// Remaining are the requests that may follow at once.
	Remaining int
	// Reset is how long it takes until the whole quota is there again.
	Reset time.Duration
	// RetryAfter is how long a request that was not allowed has to wait.
	RetryAfter time.Duration
}

// take is the generic cell rate algorithm: tat is the theoretical arrival time, when the whole quota is
// there again. All times are in microseconds. It returns the tat that is to be stored. take.lua says the
// same.
func (p Policy) take(tat, now int64) (next int64, r Result) {
	window, each := p.Window.Microseconds(), p.each()
	tat = max(tat, now)
	next = tat + each
	if early := next - window - now; early > 0 {
		return tat, p.result(false, tat, now, early)
	}
	return next, p.result(true, next, now, 0)
}

// each is the time that one request uses up.
func (p Policy) each() int64 { return max(p.Window.Microseconds()/int64(p.Quota), 1) }

func (p Policy) result(allowed bool, tat, now, early int64) Result {
	const microsecond = time.Microsecond
	return Result{
		Allowed: allowed, Remaining: int(max(p.Window.Microseconds()-(tat-now), 0) / p.each()),
		Reset: time.Duration(tat-now) * microsecond, RetryAfter: time.Duration(early) * microsecond,
	}
}

// seconds rounds up, as the headers want it.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
