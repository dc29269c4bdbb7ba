// Package lease limits how many heavy tasks a node or a storage gets at once, over all processes, and
// shares the turns fairly between customers. A lease ends by itself when its holder dies.
package lease

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Use is a resource that a heavy task uses, and how many such tasks it takes at once.
type Use struct {
	// Of names the resource, as a person reads it: "storage shared1", "node pve1".
	Of string `json:"of"`
	// Limit is how many; 0 means any number.
	Limit int `json:"limit"`
}

// Task is a heavy task that is to run.
type Task struct {
	// ID is the VM's: it has at most one heavy task, so asking again is asking for the same lease.
	ID       string
	Customer string
	Uses     []Use
}

const (
	// holdTime is how long the lease of a holder that died is kept.
	holdTime = 30 * time.Second
	// waitTime is how long one that asks no more keeps its place.
	waitTime = 10 * time.Second
	// renewEvery is how soon what Redis lost is known to it again.
	renewEvery = time.Second
	// lookEvery is how soon another process's release is seen while somebody waits here.
	lookEvery = 200 * time.Millisecond
)

// Queue has the leases of one cluster. Its methods are safe for concurrent use.
type Queue struct {
	now    func() time.Time
	log    *slog.Logger
	shared store
	// own takes over while Redis does not answer: then each process keeps to the same limits for itself.
	own *local

	mu sync.Mutex
	// tasks has those that wait or hold in this process, and so are renewed.
	tasks map[string]*pending
	alone bool // Redis did not answer last time
	seen  bool // the shared table: one that is missing later was lost
	kick  chan struct{}
}

// pending is a task of this process.
type pending struct {
	Task
	since   time.Time
	held    bool
	granted chan struct{} // closed once held
	reason  string        // why it waits
}

// New returns the leases of a cluster. Without a client they are this process's own. Run must run.
func New(client redis.UniversalClient, cluster string, now func() time.Time, log *slog.Logger) *Queue {
	q := &Queue{now: now, log: log, own: newLocal(now()), tasks: map[string]*pending{}, kick: make(chan struct{}, 1)}
	q.shared = q.own
	if client != nil {
		q.shared = &shared{client: client, key: "vmline:leases:" + cluster}
	}
	return q
}

// Acquire waits up to patience for the task's turn. Where that does not come it returns false and why;
// the task keeps its place in the queue if it asks again within 10 s.
func (q *Queue) Acquire(ctx context.Context, task Task, patience time.Duration) (granted bool, reason string, err error) {
	p := q.enter(task, false)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-p.granted:
		return true, "", nil
	case <-ctx.Done():
		q.Leave(task.ID)
		return false, "", ctx.Err()
	case <-limit.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.held {
		return true, "", nil
	}
	delete(q.tasks, task.ID)
	return false, p.reason, nil
}

// Hold says that the task runs already, whoever started it.
func (q *Queue) Hold(task Task) { q.enter(task, true) }

// Renew says once that the task runs, without a holder here.
func (q *Queue) Renew(ctx context.Context, task Task) {
	now := q.now()
	q.change(ctx, func(t *table) {
		t.put(task.ID, entry{Customer: task.Customer, Uses: task.Uses, Since: now, Until: now.Add(holdTime), Held: true})
	})
}

// Leave ends the renewal by this process: another may go on with the task. If none does, the lease or
// the place in the queue ends by itself.
func (q *Queue) Leave(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.tasks, id)
}

// Release ends the lease at once. If that cannot be said to Redis, it ends by itself.
func (q *Queue) Release(ctx context.Context, id string) {
	q.Leave(id)
	free := func(t *table) { delete(t.Entries, id) }
	_ = q.own.change(ctx, free) // it is in memory and cannot fail
	if err := q.shared.change(context.WithoutCancel(ctx), free); err != nil {
		q.log.Debug("a lease is left to end by itself", "id", id, "error", err)
	}
	q.wake()
}

func (q *Queue) enter(task Task, held bool) *pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.tasks[task.ID]
	if p == nil {
		p = &pending{since: q.now(), granted: make(chan struct{}), reason: "waits for its turn"}
		q.tasks[task.ID] = p
	}
	p.Task = task
	if held && !p.held {
		p.held = true
		close(p.granted)
	}
	q.wake()
	return p
}

func (q *Queue) wake() {
	select {
	case q.kick <- struct{}{}:
	default: // somebody has woken it already
	}
}
