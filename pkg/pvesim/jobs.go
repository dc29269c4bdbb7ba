package pvesim

import "time"

// job is work that needs locks and time: the work of a task, or of a call that waits.
// All its functions run with the cluster's mutex held.
type job struct {
	locks []lockWant
	steps []step
	// undo cleans up after a step has failed or the job was aborted.
	undo func()
	// log takes the lines of the task log.
	log func(format string, args ...any)
	// end takes the result.
	end func(error)

	held  []string // names of locks
	stop  func()   // ends the present wait
	begun bool     // all locks are held
	over  bool
}

// step is one piece of a job: run is called once takes has passed.
type step struct {
	takes time.Duration
	run   func() error
	lock  *lockWant // held during the step only
}

// once is a job's single step.
func once(takes time.Duration, run func() error) []step { return []step{{takes: takes, run: run}} }

// start begins a job: locks first, then the steps.
func (c *Cluster) start(j *job) {
	if len(j.locks) == 0 {
		j.begun = true
		c.next(j)
		return
	}
	want := j.locks[0]
	j.locks = j.locks[1:]
	c.acquire(j, want, func() { c.start(j) })
}

// acquire gets a lock for a job, which fails when that takes too long.
func (c *Cluster) acquire(j *job, want lockWant, then func()) {
	waited := false
	atOnce, cancel := c.lock(want, func() {
		if waited {
			j.log(" OK")
		}
		j.stop = nil
		j.held = append(j.held, want.file)
		then()
	}, func() { c.finish(j, want.late) })
	if !atOnce {
		waited = true
		j.stop = cancel
		j.log("%s", want.waits)
	}
}

// next does the steps that are left.
func (c *Cluster) next(j *job) {
	if j.over {
		return
	}
	if len(j.steps) == 0 {
		c.finish(j, nil)
		return
	}
	s := j.steps[0]
	j.steps = j.steps[1:]
	if s.lock == nil {
		c.do(j, s, func() {})
		return
	}
	c.acquire(j, *s.lock, func() {
		c.do(j, s, func() {
			j.held = j.held[:len(j.held)-1]
			c.unlock(s.lock.file)
		})
	})
}

// do waits for a step's time and does it. done comes before the next step.
func (c *Cluster) do(j *job, s step, done func()) {
	stop := c.after(s.takes, func() {
		j.stop = nil
		if err := s.run(); err != nil {
			c.finish(j, err)
			return
		}
		done()
		c.next(j)
	})
	if s.takes > 0 {
		j.stop = stop
	}
}

// finish ends a job, with err or well, and releases its locks.
func (c *Cluster) finish(j *job, err error) {
	if j.over {
		return
	}
	j.over = true
	if j.stop != nil {
		j.stop()
	}
	if err != nil && j.undo != nil && j.begun {
		j.undo()
	}
	held := j.held
	j.held = nil
	j.end(err)
	for i := len(held) - 1; i >= 0; i-- {
		c.unlock(held[i])
	}
}

// proxyTimeout is how long pveproxy waits for an answer; afterwards it answers 596 and the work
// goes on.
const proxyTimeout = 30 * time.Second

// wait runs a job for a call that answers when it is done. It releases the mutex while it waits; the
// job goes on when the caller leaves.
func (q *call) wait(j *job) error {
	c := q.c
	var result error
	done, ended := make(chan struct{}), false
	j.log = func(string, ...any) {}
	j.end = func(err error) { result, ended = err, true; close(done) }
	c.start(j)
	if ended {
		return result
	}
	late := make(chan struct{})
	stop := c.after(proxyTimeout, func() { close(late) })
	defer stop()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-done:
		return result
	case <-late:
		return &apiError{code: 596, reason: "Connection timed out", empty: true}
	case <-q.gone:
		return errDropped
	case <-c.closing:
		return errDropped
	}
}

// pause lets d pass, or less when done is closed first. It releases the mutex meanwhile.
func (q *call) pause(d time.Duration, done <-chan struct{}) {
	if d <= 0 {
		return
	}
	over := make(chan struct{})
	stop := q.c.after(d, func() { close(over) })
	q.c.mu.Unlock()
	select {
	case <-over:
	case <-done:
	case <-q.gone:
	case <-q.c.closing:
	}
	q.c.mu.Lock()
	stop()
}
