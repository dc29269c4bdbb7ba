package bus

import (
	"context"
	"time"

	"github.com/vmline/vmline/pkg/chain"
)

// queueDeadline is how long a queued command may be due before the sweeper looks.
const queueDeadline = time.Minute

// Sweep looks at every VM and has the owner of its next step look again where the step is older
// than the table allows. It finds the VM whose trigger was lost. A worker that is still busy with
// that state drops the second trigger.
func (b *Bus) Sweep(ctx context.Context) error {
	return b.Each(ctx, func(e Entry) error {
		owner, ok := chain.Acts(e.VM)
		if !ok {
			return nil
		}
		step, hasStep := chain.Next(e.VM)
		if !hasStep {
			step.Deadline = queueDeadline
		}
		since := e.Time
		if retry := e.VM.GetRetry(); retry != nil && retry.GetNotBefore().AsTime().After(since) {
			since = retry.GetNotBefore().AsTime()
		}
		if b.now().Sub(since) < step.Deadline {
			return nil
		}
		b.log.Warn("no progress; its owner is asked again", "ref", e.VM.GetRef(), "status", chain.Name(e.VM.GetStatus()),
			"step", chain.Name(step.To), "owner", owner, "since", since)
		return b.Retrigger(ctx, owner, e.VM.GetRef(), e.Seq)
	})
}
