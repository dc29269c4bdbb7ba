package operator

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

const aboutDeadLetters = `A dead letter is a message that could not be handled at all. It is kept with its error until somebody has
it tried again or discards it. A command that is tried again is done once at most: one that was decided
meanwhile is not done twice, and one that another command overtook is refused. Changing dead letters needs a
key with the scope admin.`

func newDeadLetter() *cobra.Command {
	return group("dlq", "Look at dead letters, try them again or discard them", aboutDeadLetters,
		newDeadLetterList, newDeadLetterShow, newDeadLetterRequeue, newDeadLetterDiscard)
}

func newDeadLetterList(r *remote) *cobra.Command {
	return question[[]api.DeadLetter]{
		use: "list", short: "List the dead letters, oldest first", args: cobra.NoArgs,
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.DeadLetter, error) {
			return deadLetters(ctx, client)
		},
		table: func(w io.Writer, letters []api.DeadLetter) {
			fmt.Fprintln(w, "ID\tAT\tCONSUMER\tREF\tERROR")
			for _, l := range letters {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", l.ID, moment(l.At), l.Consumer, dash(l.Ref), l.Error)
			}
		},
	}.command(r)
}

func deadLetters(ctx context.Context, client *api.Client) ([]api.DeadLetter, error) {
	return pages(func(cursor string) ([]api.DeadLetter, string, error) {
		l, err := client.DeadLetters(ctx, 0, cursor)
		return l.Items, l.NextCursor, err
	})
}

func newDeadLetterShow(r *remote) *cobra.Command {
	return question[api.DeadLetter]{
		use: "show ID", short: "Show one dead letter", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) (api.DeadLetter, error) {
			id, err := letterID(args)
			if err != nil {
				return api.DeadLetter{}, err
			}
			letters, err := deadLetters(ctx, client)
			for _, l := range letters {
				if l.ID == id {
					return l, nil
				}
			}
			if err == nil {
				err = notFound("dead letter "+args[0], `Look at "vmline dlq list".`)
			}
			return api.DeadLetter{}, err
		},
		table: func(w io.Writer, l api.DeadLetter) {
			fmt.Fprintf(w, "id\t%d\nat\t%s\nmessage\t%d of %s\nsubject\t%s\nconsumer\t%s\ndeliveries\t%d\nref\t%s\nerror\t%s\nretry\t%s\n",
				l.ID, moment(l.At), l.Sequence, l.Stream, dash(l.Subject), l.Consumer, l.Deliveries, dash(l.Ref), l.Error, dash(l.Retry))
		},
	}.command(r)
}

func newDeadLetterRequeue(r *remote) *cobra.Command {
	return question[done]{
		use: "requeue ID", short: "Have the message of a dead letter handled once more", args: cobra.ExactArgs(1),
		ask:   letterCall("requeued", (*api.Client).RequeueDeadLetter),
		table: doneTable,
	}.command(r)
}

func newDeadLetterDiscard(r *remote) *cobra.Command {
	return question[done]{
		use: "discard ID", short: "Take a dead letter away", args: cobra.ExactArgs(1),
		destroys: func(args []string) string {
			return "discard the dead letter " + args[0] + ": what it asked for is not done, and it cannot be looked at any more."
		},
		ask:   letterCall("discarded", (*api.Client).DiscardDeadLetter),
		table: doneTable,
	}.command(r)
}

// letterCall does something with one letter.
func letterCall(status string, call func(*api.Client, context.Context, uint64) error) func(context.Context, *api.Client, []string) (done, error) {
	return func(ctx context.Context, client *api.Client, args []string) (done, error) {
		id, err := letterID(args)
		if err != nil {
			return done{}, err
		}
		return done{args[0], status}, call(client, ctx, id)
	}
}

func letterID(args []string) (uint64, error) {
	id, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return 0, exit.BadUsagef(`%q is no dead letter's number; look at "vmline dlq list"`, args[0])
	}
	return id, nil
}
