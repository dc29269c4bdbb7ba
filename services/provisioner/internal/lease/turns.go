package lease

import (
	"context"
	"errors"
	"time"
)

// Run renews what this process holds and gives turns to those who wait in it, until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	timer := time.NewTimer(renewEvery)
	defer timer.Stop()
	q.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.kick:
		case <-timer.C:
		}
		next := renewEvery
		if q.look(ctx) {
			next = lookEvery
		}
		timer.Reset(next)
	}
}

// look shows the table what this process has and takes from it whose turn it is. It reports whether
// somebody waits here.
func (q *Queue) look(ctx context.Context) (waits bool) {
	if tasks, seen := q.snapshot(); seen && len(tasks) == 0 {
		return false
	}
	var held map[string]bool
	var reasons map[string]string
	done := q.change(ctx, func(t *table) {
		// Taken anew with each reading of the table: what was released meanwhile must not come back.
		tasks, seen := q.snapshot()
		held = map[string]bool{}
		now, mine := q.now(), map[string]bool{}
		t.begin(now, seen)
		t.expire(now)
		for id, p := range tasks {
			mine[id] = true
			t.put(id, entry{Customer: p.Customer, Uses: p.Uses, Since: p.since, Until: now.Add(waitTime), Held: p.held})
		}
		t.grant(now, mine)
		for id := range tasks {
			if t.Entries[id].Held {
				t.Entries[id].Until = now.Add(holdTime)
				held[id] = true
			}
		}
		reasons = t.reasons()
	})
	if !done {
		return true
	}
	return q.settle(held, reasons)
}

// change changes the shared table, or this process's own while Redis does not answer. It reports false where
// others were quicker each time: nothing is changed then.
func (q *Queue) change(ctx context.Context, do func(*table)) (done bool) {
	err := q.shared.change(ctx, do)
	if errors.Is(err, errBusy) {
		return false
	}
	if err != nil && ctx.Err() == nil {
		_ = q.own.change(ctx, do) // it is in memory and cannot fail
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen = q.seen || err == nil
	switch was := q.alone; {
	case ctx.Err() != nil:
	case err != nil && !was:
		q.alone = true
		q.log.Warn("Redis does not answer; this process keeps to the limits of heavy tasks by itself", "error", err)
	case err == nil && was:
		q.alone = false
		q.log.Info("Redis answers again; the limits of heavy tasks hold for all processes together")
	}
	return true
}

func (q *Queue) snapshot() (tasks map[string]pending, seen bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tasks = make(map[string]pending, len(q.tasks))
	for id, p := range q.tasks {
		tasks[id] = *p
	}
	return tasks, q.seen
}

// settle tells those who wait. One who has left meanwhile finds its lease when it asks again; else that
// ends by itself.
func (q *Queue) settle(held map[string]bool, reasons map[string]string) (waits bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, p := range q.tasks {
		switch {
		case p.held:
		case held[id]:
			p.held = true
			close(p.granted)
		default:
			waits = true
			if reasons[id] != "" {
				p.reason = reasons[id]
			}
		}
	}
	return waits
}
