package pvesim

import (
	"fmt"
	"time"
)

// flock is a lock file: held by one, or shared by many, with a queue of those who wait.
type flock struct {
	holders int
	shared  bool
	queue   []*lockWait
}

type lockWait struct {
	shared bool
	got    func()
}

// How long Proxmox VE waits for a VM's lock file: commands on the VM, and clones.
const (
	lockTimeout      = 10 * time.Second
	cloneLockTimeout = time.Second
)

// lockWant is one lock that a job needs.
type lockWant struct {
	file    string // what is locked; cluster-wide locks have names that are no paths
	shared  bool
	timeout time.Duration
	late    error  // when the time is up
	waits   string // line of the task log for one who has to wait; "" for none
}

func lockFile(vmid int) string { return fmt.Sprintf("/var/lock/qemu-server/lock-%d.conf", vmid) }

func lockVM(vmid int) []lockWant { return []lockWant{lockVMFor(vmid, lockTimeout)} }

func lockVMFor(vmid int, timeout time.Duration) lockWant {
	file := lockFile(vmid)
	return lockWant{file: file, timeout: timeout, late: errLockTimeout(file), waits: "trying to acquire lock..."}
}

func errLockTimeout(file string) error { return fail("can't lock file '%s' - got timeout", file) }

// lock is the lock under which volumes of a storage are made: cluster-wide for a shared one, else a
// file of the node. what comes in front of the error's text.
func (s *storage) lock(node, what string) lockWant {
	if s.Shared {
		name := "storage-" + s.Name
		return lockWant{
			file: name, timeout: lockTimeout, waits: "trying to acquire cfs lock '" + name + "' ...",
			late: fail("%scfs-lock '%s' error: got lock request timeout", what, name),
		}
	}
	file := "/var/lock/pve-manager/pve-storage-" + s.Name
	return lockWant{file: node + ":" + file, timeout: lockTimeout, waits: "trying to acquire lock...", late: fail("%s%s", what, errLockTimeout(file))}
}

// allocating are the steps that wait for the locks of storages in which volumes are about to be made,
// one for each volume. There are none where making a volume takes no time.
func (c *Cluster) allocating(node, what string, in []*storage) []step {
	var steps []step
	for _, s := range in {
		if c.cfg.Durations.Allocate > 0 {
			w := s.lock(node, what)
			steps = append(steps, step{takes: c.cfg.Durations.Allocate, lock: &w, run: func() error { return nil }})
		}
	}
	return steps
}

// lock calls got as soon as the lock is held, or late when the time is up first. It reports whether
// it was held at once; cancel ends the wait.
func (c *Cluster) lock(want lockWant, got, late func()) (atOnce bool, cancel func()) {
	l := c.flocks[want.file]
	if l == nil {
		l = &flock{}
		c.flocks[want.file] = l
	}
	if l.holders == 0 || (l.shared && want.shared && len(l.queue) == 0) {
		l.holders++
		l.shared = want.shared
		got()
		return true, func() {}
	}
	w := &lockWait{shared: want.shared}
	leave := func() {
		for i, x := range l.queue {
			if x == w {
				l.queue = append(l.queue[:i:i], l.queue[i+1:]...)
				return
			}
		}
	}
	stop := c.after(want.timeout, func() { leave(); late() })
	w.got = func() { stop(); got() }
	l.queue = append(l.queue, w)
	return false, func() { stop(); leave() }
}

// unlock releases one holder and lets those in who wait first.
func (c *Cluster) unlock(name string) {
	l := c.flocks[name]
	l.holders--
	for l.holders == 0 || l.shared {
		if len(l.queue) == 0 || (l.holders > 0 && !l.queue[0].shared) {
			break
		}
		w := l.queue[0]
		l.queue = l.queue[1:]
		l.holders++
		l.shared = w.shared
		w.got()
	}
	if l.holders == 0 && len(l.queue) == 0 && c.flocks[name] == l {
		delete(c.flocks, name)
	}
}

// HoldLock takes a VM's lock file like a foreign process would, until release is called. It reports
// false when somebody else holds it.
func (c *Cluster) HoldLock(vmid int) (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.flocks[lockFile(vmid)]; l != nil && l.holders > 0 {
		return func() {}, false
	}
	c.lock(lockWant{file: lockFile(vmid)}, func() {}, func() {})
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unlock(lockFile(vmid))
	}, true
}
