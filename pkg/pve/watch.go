package pve

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// firstPoll is the soonest that a task is asked about after its start. Asking sooner costs one more
	// call for nearly every task. The interval doubles up to Config.PollEvery.
	firstPoll  = 100 * time.Millisecond
	listBeyond = 2  // more tasks in flight on a node than this are read with one list
	listSpare  = 50 // entries of other tasks that the list has room for
	// blindFor is how long a wait goes on while the node cannot be asked: longer than a restart of its API,
	// and short enough that somebody hears why nothing happens.
	blindFor = 15 * time.Second
)

// watches holds one watch for each node with tasks that somebody waits for.
type watches struct {
	client *Client
	mu     sync.Mutex
	nodes  map[string]*watch
	// usual is by type of task how long after its start the next one is first asked about: about as long
	// as the last ones took, at most Config.PollEvery.
	usual   map[string]time.Duration
	running sync.WaitGroup
}

// watch is one goroutine that polls a node's tasks. Everything but node, ctx and wake is guarded by watches.mu.
type watch struct {
	all   *watches
	node  string
	ctx   context.Context
	end   context.CancelFunc
	wake  chan struct{} // a task has come
	tasks map[UPID]*inFlight
}

// inFlight is a task that somebody waits for.
type inFlight struct {
	waiters []chan ending // each with room for one
	joined  time.Time     // when the first of them came
	next    time.Time     // when to look again
	every   time.Duration // the last interval; 0 before the second look
	blind   time.Time     // since when it cannot be asked about; 0 while it can
}

type ending struct {
	status TaskStatus
	err    error
}

// wait returns the status with which the task ended.
func (ws *watches) wait(ctx context.Context, u UPID) (TaskStatus, error) {
	done := make(chan ending, 1)
	if !ws.join(u, done) {
		return TaskStatus{}, ws.given(u, ErrClosed)
	}
	defer ws.leave(u, done)
	select {
	case e := <-done:
		return e.status, e.err
	case <-ctx.Done():
		return TaskStatus{}, ws.given(u, context.Cause(ctx))
	case <-ws.client.life.Done():
		return TaskStatus{}, ws.given(u, ErrClosed)
	}
}

// given is the error of a wait that was given up.
func (ws *watches) given(u UPID, cause error) error {
	return &Error{Cluster: ws.client.cfg.Name, Op: taskOp("wait for", u), Kind: Transient,
		Message: "given up: " + cause.Error(), cause: cause}
}

// join adds a waiter, starting the node's watch with the first. It is false after Close.
func (ws *watches) join(u UPID, done chan ending) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.client.life.Err() != nil {
		return false
	}
	w := ws.nodes[u.Node()]
	if w == nil {
		w = ws.start(u.Node())
	}
	t := w.tasks[u]
	if t == nil {
		now := time.Now()
		t = &inFlight{joined: now, next: now.Add(max(ws.usual[u.Type()], ws.shortest()))}
		w.tasks[u] = t
	}
	t.waiters = append(t.waiters, done)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// close ends every watch and waits for their goroutines.
func (ws *watches) close() {
	ws.mu.Lock()
	ws.client.end() // under the lock, so that no watch starts behind it
	ws.mu.Unlock()
	ws.running.Wait()
}

func (ws *watches) start(node string) *watch {
	w := &watch{all: ws, node: node, wake: make(chan struct{}, 1), tasks: map[UPID]*inFlight{}}
	w.ctx, w.end = context.WithCancel(ws.client.life)
	if ws.nodes == nil {
		ws.nodes = map[string]*watch{}
	}
	ws.nodes[node] = w
	ws.running.Go(w.run)
	return w
}

// leave takes a waiter away. The last one ends the watch, and a poll that may be under way.
func (ws *watches) leave(u UPID, done chan ending) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.nodes[u.Node()]
	if w == nil || w.tasks[u] == nil {
		return
	}
	t := w.tasks[u]
	t.waiters = slices.DeleteFunc(t.waiters, func(c chan ending) bool { return c == done })
	if len(t.waiters) == 0 {
		delete(w.tasks, u)
		w.endIfIdle()
	}
}

// endIfIdle ends the watch when nobody waits. The caller holds the lock.
func (w *watch) endIfIdle() {
	if len(w.tasks) == 0 {
		delete(w.all.nodes, w.node)
		w.end()
	}
}

// run polls until nobody waits.
func (w *watch) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
			w.poll()
			last = time.Now()
		}
		// New tasks are looked at quickly, but a burst of them does not become a burst of requests.
		next := w.nextPoll()
		if soonest := last.Add(w.all.shortest()); next.Before(soonest) {
			next = soonest
		}
		timer.Reset(time.Until(next))
	}
}

// nextPoll is when the first task is due.
func (w *watch) nextPoll() time.Time {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	first := time.Now().Add(w.all.client.cfg.PollEvery)
	for _, t := range w.tasks {
		if t.next.Before(first) {
			first = t.next
		}
	}
	return first
}

// poll looks at the tasks that are due, or with one list at all of them when there are many.
func (w *watch) poll() {
	due, all := w.due()
	if len(due) == 0 {
		return
	}
	if len(all) > listBeyond {
		seen, err := w.pollList(all)
		if undecided(err) {
			w.later(all, err)
			return
		}
		due = slices.DeleteFunc(due, func(u UPID) bool { return seen[u] })
	}
	for i, u := range due {
		status, err := w.all.client.Task(w.ctx, u)
		if undecided(err) {
			w.later(due[i:], err) // the same would happen to the others of this node
			return
		}
		w.settle(u, status, err)
	}
}

// due returns the tasks to look at now, and all that are waited for.
func (w *watch) due() (due, all []UPID) {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	now := time.Now()
	for u, t := range w.tasks {
		all = append(all, u)
		if !t.next.After(now) {
			due = append(due, u)
		}
	}
	return due, all
}

// pollList settles what one list of the node's tasks shows, and returns which those are.
func (w *watch) pollList(all []UPID) (seen map[UPID]bool, err error) {
	oldest := slices.MinFunc(all, func(a, b UPID) int { return a.Started().Compare(b.Started()) })
	list, err := w.all.client.listTasks(w.ctx, w.node,
		strconv.FormatInt(oldest.Started().Unix(), 10), strconv.Itoa(2*len(all)+listSpare))
	if err != nil {
		return nil, err
	}
	seen = make(map[UPID]bool, len(all))
	for _, l := range list {
		if slices.Contains(all, l.UPID) && !seen[l.UPID] {
			seen[l.UPID] = true
			w.settle(l.UPID, l.taskStatus(), nil)
		}
	}
	return seen, nil
}

// settle tells the waiters of a task how it ended, or plans the next look.
func (w *watch) settle(u UPID, status TaskStatus, err error) {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	t := w.tasks[u]
	if t == nil || w.ctx.Err() != nil {
		return
	}
	if err == nil && status.Running {
		t.blind = time.Time{}
		w.plan(t)
		return
	}
	w.all.learn(u, t)
	w.tell(u, t, ending{status, err})
}

// tell ends the waits for a task. The caller holds the lock.
func (w *watch) tell(u UPID, t *inFlight, e ending) {
	for _, done := range t.waiters {
		done <- e
	}
	delete(w.tasks, u)
	w.endIfIdle()
}

// learn notes how long a task took. One that had ended by the first look may have ended long before it, so
// the next of its type is looked at a little sooner. The caller holds the lock.
func (ws *watches) learn(u UPID, t *inFlight) {
	took := time.Since(t.joined)
	if t.every == 0 {
		took = took * 9 / 10
	}
	if ws.usual == nil {
		ws.usual = map[string]time.Duration{}
	}
	ws.usual[u.Type()] = min(took, ws.client.cfg.PollEvery)
}

// later plans the next look at tasks that could not be asked about. Where that has lasted blindFor, their
// waits are given up, which claims nothing about the tasks.
func (w *watch) later(tasks []UPID, why error) {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	for _, u := range tasks {
		t := w.tasks[u]
		switch {
		case t == nil || w.ctx.Err() != nil:
		case !t.blind.IsZero() && time.Since(t.blind) >= blindFor:
			w.tell(u, t, ending{err: w.all.given(u, why)})
		default:
			if t.blind.IsZero() {
				t.blind = time.Now()
			}
			w.plan(t)
		}
	}
}

func (w *watch) plan(t *inFlight) {
	t.every = min(2*max(t.every, w.all.shortest()), w.all.client.cfg.PollEvery)
	t.next = time.Now().Add(t.every)
}

// shortest is the interval of the first polls.
func (ws *watches) shortest() time.Duration { return min(firstPoll, ws.client.cfg.PollEvery) }

// undecided reports an error that says nothing about the task, so that asking again later may.
func undecided(err error) bool {
	switch KindOf(err) {
	case Transient, Locked, Unreachable, MaybeCommitted:
		return true
	}
	return false
}
