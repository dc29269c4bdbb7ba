package pve

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestKindsOfTexts has the texts that nobody recorded: from Proxmox's source and public reports.
func TestKindsOfTexts(t *testing.T) {
	for _, test := range []struct {
		code int
		text string
		want Kind
	}{
		{500, "cluster not ready - no quorum?", Transient},
		{taskExit, "cfs-lock 'storage-ceph' error: got lock request timeout", Locked},
		{taskExit, "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout", Locked},
		{taskExit, "clone failed: cfs-lock 'storage-nfs' error: got lock request timeout", Locked},
		{taskExit, "cfs-lock 'file-user_cfg' error: no quorum!", Transient},
		{taskExit, "unable to open file '/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.7' - Permission denied", Transient},
		{taskExit, "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/500.conf' failed: File exists", Exists},
		{taskExit, "clone failed: copy failed: command '/usr/bin/qemu-img convert' failed: interrupted by signal", Transient},
		{taskExit, "unexpected status", TaskUnknown},
		{taskExit, "", TaskUnknown},
		{taskExit, "unable to read tail (got 0 bytes)", TaskUnknown},
		{taskExit, "unable to open file - No such file or directory", TaskUnknown},
		{taskExit, "bridge 'vmbr9' does not exist", Refused},
		{taskExit, "VM is paused - cannot shutdown", Conflict},
		{taskExit, "start failed: QEMU exited with code 1", Transient},
		{500, "unable to remove VM 101 - used in HA resources and purge parameter not set.", Refused},
		{500, "can't clone VM to node 'pve2' (VM uses local storage)", Refused},
		{500, "storage 'x' is not available on node 'pve1'", Refused},
		{500, "no such IPSet 'ipfilter-net0'", Missing},
		{500, "unable to delete 'local-lvm:vm-101-disk-1' - volume is still in use (snapshot?)", Refused},
		{500, "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 584.", Refused},
		{524, "A Timeout Occurred", MaybeCommitted},
		{413, "Request Entity Too Large", Refused},
		{418, "I'm a teapot", Unreachable},
		{taskExit, "Problem found while scanning volumes - can't migrate VM - check log", Refused},
		{taskExit, "Problem found while scanning volumes - can't migrate 'local:9000/base-9000-disk-0.raw/101/vm-101-disk-0.raw' as it's a clone of '9000/base-9000-disk-0.raw'", Refused},
		{taskExit, "Can't connect to destination address using public key", Transient},
		{500, "could not find target VM 105", Refused},
		{500, "Cannot move disk to another VM while the source VM is running - detach first", Conflict},
	} {
		if got := classify(test.code, true, test.text); got != test.want {
			t.Errorf("%d %q: %s, want %s", test.code, test.text, got, test.want)
		}
	}
}

// TestGoneOnlyFromProxmoxItself: whatever is around the text, or another code, makes it something else.
func TestGoneOnlyFromProxmoxItself(t *testing.T) {
	texts := []string{
		"Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist",
		"unable to find configuration file for VM 101 on node 'pve1'",
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(texts).Draw(t, "text")
		around := rapid.StringN(0, 8, -1).Draw(t, "around")
		code := rapid.OneOf(rapid.IntRange(200, 620), rapid.Just(500), rapid.Just(taskExit)).Draw(t, "code")
		if rapid.Bool().Draw(t, "before") {
			text = around + text
		} else {
			text += around
		}
		proxmox := code == 500 || code == 400 || code == 501 || code == taskExit
		if got := classify(code, false, text); (got == Gone) != (proxmox && around == "") {
			t.Errorf("%d %q is %s", code, text, got)
		}
	})
}

func TestRulesHaveSourcesAndReasons(t *testing.T) {
	for i, r := range rules {
		if r.source == "" || r.kind == "" || advice[r.kind] == "" {
			t.Errorf("rule %d (%s) lacks a source or a known kind", i, r.text)
		}
		if r.kind == Gone && (!strings.HasPrefix(r.text, "^") || !strings.HasSuffix(r.text, "$") || r.codes != nil) {
			t.Errorf("rule %d: Gone must match whole texts of Proxmox itself", i)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Kind
	}{
		{nil, ""},
		{errors.New("x"), ""},
		{fmt.Errorf("step clone: %w", &Error{Kind: Locked}), Locked},
		{errors.Join(errors.New("x"), &TaskError{Kind: Gone}), Gone},
	} {
		if got := KindOf(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
		if got := KindOf(test.err); got != "" && got.Advice() == "" {
			t.Errorf("%s has no advice", got)
		}
	}
}

// TestCloneTaskProvesNothingGone: its id is the template's, its config errors may mean either VM.
func TestCloneTaskProvesNothingGone(t *testing.T) {
	exit := "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist"
	if got := taskKind(testUPID, exit); got != Conflict {
		t.Errorf("qmclone: %s", got)
	}
	if got := taskKind("UPID:pve1:000008A5:00028172:6B04CFD1:qmstart:101:root@pam:", exit); got != Gone {
		t.Errorf("qmstart: %s", got)
	}
}

// TestAdviceOnALogin: what is not known who it is needs no right.
func TestAdviceOnALogin(t *testing.T) {
	for code, word := range map[int]string{401: "expired", 403: "right that the text names"} {
		err := fmt.Errorf("start: %w", &Error{Code: code, Kind: NoPermission})
		if got := Advice(err); !strings.Contains(got, word) {
			t.Errorf("%d: %s", code, got)
		}
	}
}
