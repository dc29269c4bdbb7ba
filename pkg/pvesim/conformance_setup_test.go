package pvesim

import (
	"time"
)

// The recording has gaps: experiments set things up by hand. What is here is read from what the
// recorded answers presuppose. Keys are positions in the recording.

// cloneAgain replaces VM 101 by a fresh full clone, as the recording did between its series.
func cloneAgain(p *replay) {
	p.idle()
	p.c.Remove(101)
	p.finish(p.call("POST", "/nodes/pve1/qemu/9000/clone", "newid=101 name=vm101 full=1 storage=local format=qcow2"))
}

// hold takes a VM's lock file by hand.
func hold(vmid int) func(*replay) {
	return func(p *replay) {
		p.idle()
		p.release, _ = p.c.HoldLock(vmid)
	}
}

func letGo(p *replay) { p.release() }

// backup puts a backup file on storage local by hand.
func (p *replay) backup(vmid, day int) {
	_, err := p.c.AddBackup(BackupSpec{VMID: vmid, Node: "pve1", Storage: "local", Time: time.Date(2026, 11, day, 1, 2, 3, 0, time.UTC)})
	if err != nil {
		p.t.Error(err)
	}
}

// startClone begins a clone whose task the recording shows under another UPID, and waits until it is
// at work.
func (p *replay) startClone(params, recorded string, after time.Duration) {
	p.upids[recorded] = p.call("POST", "/nodes/pve1/qemu/9000/clone", params)
	pass(after)
}

// setUp are the steps before a line.
var setUp = map[int]func(*replay){
	10: func(*replay) { pass(100 * time.Millisecond) }, // the create task was at work
	13: (*replay).idle,
	17: func(p *replay) {
		p.idle()
		p.startClone("newid=101 full=1", "UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam!test:", 100*time.Millisecond)
	},
	23: (*replay).idle,
	42: func(p *replay) { p.idle() },
	47: func(p *replay) {
		// Another VM had been made, and 10 s had passed since the clones.
		guest := Guest{NoAgent: true, IgnoresShutdown: true}
		err := p.c.AddVM(VMSpec{VMID: 200, Node: "pve1", Name: "run1", Storage: "local", DiskGB: 1, Running: true, Guest: guest,
			Config: map[string]string{"memory": "128", "kvm": "0", "serial0": "socket"}})
		if err != nil {
			p.t.Fatal(err)
		}
		p.c.SetGuest(9000, guest)
		pass(11 * time.Second)
		p.call("GET", "/cluster/resources", "")
	},
	49: func(p *replay) {
		p.idle()
		p.startClone("newid=101 full=1 name=vm101.example.com format=qcow2 description=managed-by: x",
			"UPID:pve1:00000BAF:000291AF:6B04CFFA:qmclone:9000:root@pam!test:", 600*time.Millisecond)
	},
	62:  (*replay).idle,
	108: hold(101),
	109: letGo,
	110: (*replay).idle,
	127: hold(101),
	131: func(p *replay) {
		letGo(p)
		p.call("PUT", "/nodes/pve1/qemu/101/config", "kvm=0 onboot=1 tags=abc name=newname description=x cpulimit=1 cores=1 agent=0 "+
			"net0=virtio=BC:24:11:92:24:4F,bridge=vmbr0,tag=100 net1=virtio,bridge=nosuchbr delete=memory")
	},
	137: cloneAgain,
	313: func(p *replay) { p.backup(101, 20); p.backup(101, 21); p.backup(1010, 21) },
	393: func(p *replay) { p.backup(140, 20) },
	398: func(p *replay) {
		// A second node was made up that could not be reached, with a VM that never sent figures.
		pass(11 * time.Second)
		p.call("GET", "/cluster/resources", "")
		p.c.mu.Lock()
		p.c.nodes = append(p.c.nodes, newNode(Node{Name: "pve2"}, 1))
		p.c.mu.Unlock()
		if err := p.c.AddVM(VMSpec{VMID: 500, Node: "pve2"}); err != nil {
			p.t.Error(err)
		}
		p.c.AddFault(Fault{Kind: NodeDown, Path: "/nodes/pve2/**", Text: "Connection refused", Times: 4})
		p.c.AddFault(Fault{Kind: NodeDown, Path: "/nodes/pve2/**", Text: "Network is unreachable"})
	},
	409: func(p *replay) {
		p.idle()
		p.c.Remove(500)
		p.c.mu.Lock()
		p.c.nodes = p.c.nodes[:1]
		p.c.mu.Unlock()
	},
	424: (*replay).idle,
	427: (*replay).idle,
	432: func(p *replay) { p.c.SetStorageFull("small", true) },
	458: func(p *replay) { p.slowConfig(40 * time.Second) },
	459: func(p *replay) { pass(15 * time.Second); p.slowConfig(0) },
	471: func(p *replay) {
		p.upids["UPID:pve1:00003473:000413C7:6B04D3D7:qmshutdown:105:root@pam!test:"] = p.call("POST", "/nodes/pve1/qemu/105/status/shutdown", "")
		pass(100 * time.Millisecond)
	},
	503: hold(105),
	504: letGo,
}

// slowConfig sets how long a change of a configuration takes.
func (p *replay) slowConfig(d time.Duration) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.cfg.Durations.Config = d
}

// meanwhile is what happened between an answer and the end of its task.
var meanwhile = map[int]func(*replay){
	// The clone that the destroy waits for was interrupted.
	21: func(p *replay) {
		pass(100 * time.Millisecond)
		p.call("DELETE", p.path("/nodes/pve1/tasks/UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam!test:"), "")
	},
}

// askInstead are requests that the recording shows wrongly or cut off: method, path, parameters.
var askInstead = map[int][3]string{
	85: {"PUT", "/nodes/pve1/qemu/101/config", "description=line1\nmanaged: yes tags=PUQ;svc_12"},
}

// notReproduced are recorded answers that cannot be had from a simulator, with the reason.
var notReproduced = map[int]string{
	362: "the recording joins the head of one answer with the body of another (POST /access/ticket)",
	502: "the recording joins the head of one answer with the body of another (POST /access/ticket)",
}
