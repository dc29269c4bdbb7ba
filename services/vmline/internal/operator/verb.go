package operator

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

// verb is a command of the table, given to one machine.
type verb struct {
	route  chain.Route
	remote *remote
	wishes wishes
	format output.Format
	dryRun bool
	yes    bool
	wait   patience
	// key is the Idempotency-Key.
	key string
}

// aliases are other names of a command.
var aliases = map[vmlinev1.Operation_Kind][]string{vmlinev1.Operation_KIND_CREATE: {"order"}}

// newVerb makes the command of a row of the table.
func newVerb(route chain.Route) func(*remote) *cobra.Command {
	return func(r *remote) *cobra.Command {
		v := &verb{route: route, remote: r}
		c := &cobra.Command{
			Use: route.Verb() + " REF", Aliases: aliases[route.Kind], GroupID: groupOf(route),
			Short: strings.ToUpper(route.Does[:1]) + route.Does[1:],
			Long:  about(route), Args: cobra.ExactArgs(1), RunE: v.run, ValidArgsFunction: r.completeRef,
		}
		addParams(c, route, &v.wishes)
		v.format.AddFlag(c)
		f := c.Flags()
		f.BoolVar(&v.dryRun, "dry-run", false, "print what would be done, with the calls to Proxmox, and do nothing")
		f.Var(&v.wait, "wait", "show the steps until the end, or for this long")
		f.Lookup("wait").NoOptDefVal = untilEnd
		f.StringVar(&v.key, "idempotency-key", "", "one of your own, for scripts that repeat a command; default a new one")
		if destroys(route) {
			addYes(c, &v.yes)
		}
		return c
	}
}

// about is what the help says of a command.
func about(r chain.Route) string {
	text := fmt.Sprintf("%s: %s.\n", r.Label, r.Does)
	switch r.Mark() {
	case "*":
		text += "\nThe machine may run (*)."
	case "**":
		text += "\nOnly while the machine is stopped (**)."
	}
	if r.Continues() {
		text += "\nWhere the chain is broken, the steps after it follow (->)."
	}
	switch {
	case r.Queues && len(r.Interrupts) > 0:
		text += "\nAn operation that runs is ended for it; only a destruction that has begun is waited for."
	case r.Queues:
		text += "\nWhile another operation runs it waits for that one's end."
	}
	return text + `
It ends as soon as the gateway has taken the command; with --wait, when its work is done. Exit codes: 0 done,
1 failed (refused, parked, interrupted), 2 wrong usage, 3 no such machine, 4 timed out.`
}

// destroys says that a command can take a machine's data away: a person is asked first.
func destroys(r chain.Route) bool {
	return slices.Contains(r.Statuses, vmlinev1.Status_STATUS_REMOVED) || r.Kind == vmlinev1.Operation_KIND_CANCEL
}

func (v *verb) run(c *cobra.Command, args []string) error {
	client, err := v.remote.client()
	if err != nil {
		return err
	}
	ref, who := args[0], personAt(c.InOrStdin(), c.ErrOrStderr())
	action, err := v.action(who, c.InOrStdin())
	if err != nil {
		return err
	}
	if v.dryRun {
		return v.plan(c.Context(), client, ref, action, c.OutOrStdout())
	}
	if destroys(v.route) && !v.yes {
		if err := v.confirm(c.Context(), client, ref, who); err != nil {
			return err
		}
	}
	if v.key == "" {
		v.key = newIdempotencyKey()
	}
	op, err := send(c.Context(), client, ref, action, v.key)
	if err != nil {
		return err
	}
	return v.follow(c.Context(), client, op, c.OutOrStdout())
}

// action is the command as the gateway takes it.
func (v *verb) action(who person, stdin io.Reader) (api.Action, error) {
	a := api.Action{Type: chain.KindName(v.route.Kind)}
	var (
		password string
		err      error
	)
	if v.wishes.newPassword {
		if password, err = who.password(); err != nil {
			return a, err
		}
	}
	if a.Params, err = v.wishes.params(password); err != nil {
		return a, exit.BadUsage(err)
	}
	if v.route.Package {
		a.Package, err = readPackage(v.wishes.file, stdin)
	}
	return a, err
}

// confirm tells what the command is about to do to which machine, and asks.
func (v *verb) confirm(ctx context.Context, client *api.Client, ref string, who person) error {
	s, err := client.GetService(ctx, ref)
	if err != nil {
		return err
	}
	machine := "no machine yet"
	if s.VMID != 0 {
		machine = fmt.Sprintf("VM %d on %s", s.VMID, dash(s.Node))
	}
	return who.confirm(fmt.Sprintf("%s of %s (%s, %s, %s): %s.", v.route.Verb(), ref, s.Status, machine, dash(addresses(s)), v.route.Does))
}
