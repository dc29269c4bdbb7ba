package machine

import (
	"context"
	"errors"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
)

// beingMadeWait is how soon a clone that another worker started is looked at again.
const beingMadeWait = time.Second

// lockedForLong is what a person can do about a lock that stays. Whether its task still runs cannot be
// told from outside, so nobody but a person takes it away.
const lockedForLong = "Look on Proxmox whether the task that holds the lock still runs. If it has died, unlock the machine there (qm unlock); then repeat the command."

// Explain turns an error from Proxmox, or from looking for a VM, into one that the bus knows what to
// do with: what no repetition can mend asks a person, the rest is tried again. kept says what was
// kept safe.
func Explain(err error, kept string) error {
	var (
		foreign *NotOurs
		person  *bus.NeedsPerson
	)
	switch {
	case err == nil, errors.Is(err, bus.ErrSuperseded), errors.Is(err, context.Canceled), errors.As(err, &person):
		return err
	case errors.As(err, &foreign):
		return &bus.NeedsPerson{
			Cause: foreign.Error(), Err: err,
			Kept: "The machine was not touched. " + kept,
			Next: "Find out whose machine it is. If it is the customer's, restore its description, tag and vmgenid; if not, move it to another VMID. Then repeat the command.",
		}
	case errors.Is(err, ErrBeingMade):
		return &bus.RetryAfter{Err: err, After: beingMadeWait}
	case errors.Is(err, ErrAbsent):
		return &bus.NeedsPerson{
			Cause: err.Error(), Err: err, Kept: kept,
			Next: "Somebody has removed it. To have it made again, repeat the order or the reinstallation that was making it; if it was ready already, cancel this operation and reinstall; if it was suspended, reset its status to ready and reinstall. Or terminate the service to release its addresses and its VMID.",
		}
	}
	if LockOf(err) != "" || pve.KindOf(err) == pve.Locked {
		return &bus.Lasting{Err: err, Next: lockedForLong}
	}
	// Gone and Missing are not here: a VM that was found a moment ago has moved or lost a part since,
	// and the next attempt looks anew.
	switch pve.KindOf(err) {
	case pve.Refused, pve.NoPermission:
		return &bus.NeedsPerson{Cause: err.Error(), Kept: kept, Next: pve.Advice(err), Err: err}
	default:
		return err
	}
}
