package machine

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Purposes of tasks, as they stand in a VM's state.
const (
	PurposeClone        = "clone"
	PurposeMigrate      = "migrate"
	PurposeConfigure    = "configure"
	PurposeResize       = "resize"
	PurposeStart        = "start"
	PurposeStop         = "stop"
	PurposeReboot       = "reboot"
	PurposeReset        = "reset"
	PurposeMoveDisk     = "move disk"
	PurposeDeleteBackup = "delete backup"
	PurposeDeleteSnap   = "delete snapshot"
	PurposeDestroy      = chain.PurposeDestroy
)

// Started records a task in the VM's state. The caller returns bus.Recorded (or the status that the
// task does not belong to), so that the UPID is stored before anyone waits for it.
func Started(t *bus.Trigger, now *timestamppb.Timestamp, upid pve.UPID, step vmlinev1.Status, purpose string) {
	t.VM.Task = &vmlinev1.Task{Upid: string(upid), Step: step, StartedAt: now, Purpose: purpose}
}

// Await waits for the task that the VM's state has recorded and takes it out of the state once it
// has ended. It returns the purpose of a task that ended well, and "" where there is none, or where
// Proxmox does not know the task any more: then the caller looks at the machine itself. A task that
// failed is a *pve.TaskError.
func Await(ctx context.Context, c *pve.Client, t *bus.Trigger) (purpose string, err error) {
	task := t.VM.GetTask()
	if task == nil {
		return "", nil
	}
	result, err := c.Wait(ctx, pve.UPID(task.GetUpid()))
	var failed *pve.TaskError
	switch {
	case pve.KindOf(err) == pve.TaskUnknown:
		t.VM.Task = nil
		return "", nil
	case err == nil, errors.As(err, &failed):
		t.VM.Task = nil
	}
	if err != nil {
		return "", err
	}
	if result.Warnings != "" {
		t.VM.Warnings = append(t.VM.Warnings, task.GetPurpose()+": "+result.Warnings)
	}
	return task.GetPurpose(), nil
}
