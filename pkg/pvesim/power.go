package pvesim

import (
	"strings"
	"time"
)

// boots makes a VM run.
func (c *Cluster) boots(v *vm) {
	_ = c.applyPending(v) // what cannot be applied stays pending
	c.pids += 5
	v.running, v.paused, v.started, v.pid = true, false, c.cfg.Now(), c.pids
	if v.hasCloudinit() {
		c.writeCloudinit(v)
	}
}

// halts makes a VM stop; pending changes come into force.
func (c *Cluster) halts(v *vm) {
	v.running, v.paused, v.onDrive, v.programs = false, false, nil, nil
	_ = c.applyPending(v) // what cannot be applied stays pending
}

// powerTask starts a task that works on a VM under its lock.
func (q *call) powerTask(typ string, takes time.Duration, begin, work func(*task, *vm) error) string {
	return q.fork(typ, q.vars["vmid"], func(t *task) *job {
		with := func(f func(*task, *vm) error) func() error {
			return func() error {
				v, err := q.vmOf()
				if err != nil {
					return err
				}
				return f(t, v)
			}
		}
		return &job{locks: lockVM(q.vmid()), steps: []step{{run: with(begin)}, {takes: takes, run: with(work)}}}
	})
}

// noVM is the error of commands that look for a VM's configuration on the node.
func (q *call) noVM() error {
	return fail("unable to find configuration file for VM %d on node '%s'", q.vmid(), q.node)
}

func (q *call) vmStart() (any, error) {
	if upid := q.haTask("hastart", "start", "started"); upid != nil {
		return upid, nil
	}
	return q.powerTask("qmstart", q.c.cfg.Durations.Start, q.mayStart, func(t *task, v *vm) error {
		if v.running {
			return nil // started by somebody else meanwhile
		}
		if v.conf["lock"] == suspended {
			delete(v.conf, "lock")
			t.log("Resuming suspended VM")
		}
		q.c.boots(v)
		return nil
	}), nil
}

// suspended is the lock of a VM whose memory is on a disk. Starting it resumes it.
const suspended = "suspended"

// mayStart does the checks before a start, and the log line of the cloud-init drive.
func (q *call) mayStart(t *task, v *vm) error {
	conf := v.merged()
	if err := v.unlocked(q.p.bool("skiplock") || v.conf["lock"] == suspended); err != nil {
		return err
	}
	switch {
	case v.template():
		return fail("you can't start a vm if it's a template")
	case v.running:
		return fail("VM %d already running", v.id)
	}
	if v.hasCloudinit() {
		if err := q.c.checkSnippets(v); err != nil {
			return err
		}
		t.log("generating cloud-init ISO")
	}
	if most := q.c.node(v.node).CPUs; int(number64(conf["sockets"], 1)*number64(conf["cores"], 1)) > most {
		return fail("MAX %d vcpus allowed per VM on this node", most)
	}
	for _, k := range drives(conf) {
		d := mustDrive(k, conf[k])
		if d.storage() != "" && q.c.volume(d.volid, v.node) == nil {
			return fail("volume '%s' does not exist", d.volid)
		}
	}
	return q.c.bridgesOn(q.c.node(v.node), conf)
}

// bridgesOn checks that a node has the bridges of a configuration.
func (c *Cluster) bridgesOn(on *node, conf map[string]string) error {
	for _, k := range sortedKeys(conf) {
		if !isNIC(k) {
			continue
		}
		n, _ := parseNIC(k, conf[k])
		if b := n.opts["bridge"]; b != "" && !contains(on.Bridges, b) {
			return fail("bridge '%s' does not exist", b)
		}
	}
	return nil
}

func (q *call) vmStop() (any, error) {
	if upid := q.haTask("hastop", "stop", "stopped"); upid != nil {
		return upid, nil
	}
	return q.fork("qmstop", q.vars["vmid"], func(t *task) *job {
		if q.p.bool("overrule-shutdown") {
			q.overrule(t)
		}
		return &job{locks: lockVM(q.vmid()), steps: once(q.stopTakes(), func() error {
			v, err := q.vmOf()
			if err != nil {
				return q.noVM()
			}
			if !v.running {
				return nil
			}
			if err := v.unlocked(q.p.bool("skiplock")); err != nil {
				return err
			}
			q.c.halts(v)
			return nil
		})}
	}), nil
}

// stopTakes is the time of a stop; a VM that does not run needs none.
func (q *call) stopTakes() time.Duration {
	if v := q.c.vms[q.vmid()]; v != nil && v.running {
		return q.c.cfg.Durations.Stop
	}
	return 0
}

// overrule ends the shutdown tasks of a VM.
func (q *call) overrule(t *task) {
	var upids []string
	for _, other := range q.c.taskOrder {
		if other.running && other.typ == "qmshutdown" && other.id == q.vars["vmid"] {
			upids = append(upids, other.upid)
			q.c.finish(other.job, fail("received interrupt"))
		}
	}
	if len(upids) > 0 {
		t.log("overruled qmshutdown tasks: %s", strings.Join(upids, ", "))
	}
}

// patience is how long a shutdown waits for the guest, when the call does not say.
const patience = 60 * time.Second

// requestShutdown asks the guest and says how long the answer takes.
func (q *call) requestShutdown(t *task, v *vm) time.Duration {
	if agentOn(v.conf) && !q.c.agentAnswers(v) {
		t.log("QEMU Guest Agent is not running - VM %d qga command 'guest-ping' failed - got timeout", v.id)
	}
	wait := patience
	if q.p.has("timeout") {
		wait = time.Duration(q.p.int("timeout", 0)) * time.Second
	}
	return wait
}

func (q *call) vmShutdown() (any, error) {
	if upid := q.haTask("hastop", "stop", "stopped"); upid != nil {
		return upid, nil
	}
	return q.shutdownTask("qmshutdown", q.c.cfg.Durations.Shutdown, func(*task, *vm) error { return nil }), nil
}

func (q *call) vmReboot() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if !v.running {
		return nil, fail("VM %d not running", v.id)
	}
	return q.shutdownTask("qmreboot", q.c.cfg.Durations.Reboot, func(_ *task, v *vm) error {
		return q.c.startAgain(v)
	}), nil
}

// startAgain starts a VM that has shut down for a reboot. The task of the reboot is over by then: the
// node itself, which cleans up after each VM that stops, starts it in a task of its own.
func (c *Cluster) startAgain(v *vm) error {
	node := &call{c: c, who: identity{user: "root@pam"}, node: v.node, vars: map[string]string{"node": v.node, "vmid": itoa(v.id)}, p: params{}}
	_, err := node.vmStart()
	return err
}

// shutdownTask asks a guest to shut down, waits for it, and does what comes then.
func (q *call) shutdownTask(typ string, takes time.Duration, then func(*task, *vm) error) string {
	return q.fork(typ, q.vars["vmid"], func(t *task) *job {
		j := &job{locks: lockVM(q.vmid())}
		j.steps = once(0, func() error {
			v, err := q.vmOf()
			if err != nil {
				return q.noVM()
			}
			if !v.running {
				return nil
			}
			if v.paused {
				return fail("VM is paused - cannot shutdown")
			}
			if err := v.unlocked(q.p.bool("skiplock")); err != nil {
				return err
			}
			wait := q.requestShutdown(t, v)
			if !v.guest.IgnoresShutdown {
				j.steps = append(j.steps, step{takes: min(takes, wait), run: func() error {
					q.c.halts(v)
					return then(t, v)
				}})
				return nil
			}
			j.steps = append(j.steps, step{takes: wait, run: func() error { return q.shutdownFailed(t, v) }})
			return nil
		})
		return j
	})
}

func (q *call) shutdownFailed(t *task, v *vm) error {
	if !q.p.bool("forceStop") {
		return fail("VM quit/powerdown failed - got timeout")
	}
	t.log("VM still running - terminating now with SIGTERM")
	q.c.halts(v)
	return nil
}

// running checks that a VM runs, for the commands that need it.
func (q *call) running() error {
	v, err := q.vmOf()
	if err != nil {
		return err
	}
	if !v.running {
		return fail("VM %d not running", v.id)
	}
	return nil
}

func (q *call) nothing(*task, *vm) error { return nil }

func (q *call) vmReset() (any, error) {
	if err := q.running(); err != nil {
		return nil, err
	}
	return q.powerTask("qmreset", 0, q.nothing, func(_ *task, v *vm) error {
		v.started = q.c.cfg.Now()
		return v.unlocked(q.p.bool("skiplock"))
	}), nil
}

func (q *call) vmSuspend() (any, error) {
	if err := q.running(); err != nil {
		return nil, err
	}
	typ := "qmpause"
	if q.p.bool("todisk") {
		typ = "qmsuspend"
	}
	return q.powerTask(typ, q.c.cfg.Durations.Suspend, q.nothing, func(_ *task, v *vm) error {
		if err := v.unlocked(q.p.bool("skiplock")); err != nil {
			return err
		}
		if q.p.bool("todisk") {
			q.c.halts(v)
			v.conf["lock"] = suspended
			return nil
		}
		v.paused = true
		return nil
	}), nil
}

func (q *call) vmResume() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if !v.running && v.conf["lock"] != suspended {
		return nil, fail("VM %d not running", v.id)
	}
	return q.powerTask("qmresume", q.c.cfg.Durations.Resume, q.nothing, func(_ *task, v *vm) error {
		if v.conf["lock"] == suspended {
			delete(v.conf, "lock")
			q.c.boots(v)
		}
		v.paused = false
		return nil
	}), nil
}
