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
	vmid    int
	shared  bool
	timeout time.Duration
}

func lockVM(vmid int) []lockWant { return []lockWant{{vmid: vmid, timeout: lockTimeout}} }

func lockFile(vmid int) string { return fmt.Sprintf("/var/lock/qemu-server/lock-%d.conf", vmid) }

func errLockTimeout(vmid int) error {
	return fail("can't lock file '%s' - got timeout", lockFile(vmid))
}

// lock calls got as soon as the lock is held, or late when the time is up first. It reports whether
// it was held at once; cancel ends the wait.
func (c *Cluster) lock(want lockWant, got, late func()) (atOnce bool, cancel func()) {
	name := lockFile(want.vmid)
	l := c.flocks[name]
	if l == nil {
		l = &flock{}
		c.flocks[name] = l
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
func (c *Cluster) unlock(vmid int) {
	name := lockFile(vmid)
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
	c.lock(lockWant{vmid: vmid}, func() {}, func() {})
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unlock(vmid)
	}, true
}
