// Command vmline is the whole of vmline in one program: every service (`vmline up`), a
// demonstration that needs nothing else (`vmline demo`), and the operator's tool.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

// Exit codes. Scripts may decide by them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitTimedOut = 4
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errSaid) {
		fmt.Fprintln(os.Stderr, "vmline:", err)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "vmline",
		Short: "From a hosting order to a running, addressed, named machine on Proxmox VE",
		Long: `vmline takes hosting orders over HTTP and turns each into a KVM machine on Proxmox VE.

  vmline demo                    see the whole of it at work; needs nothing else
  vmline up --config FILE        run every service in one process
  vmline doctor --config FILE    check the Proxmox clusters and say what they lack
  vmline vm list                 ask a running vmline (see "vmline vm --help")

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 timed out.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newUp(), newDemo(), newVM(), newTail(), newApply(), newDoctor(), newPVESim(), newVersion())
	checkArgs(root)
	return root
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// errSaid is a failure whose reason was printed already.
var errSaid = errors.New("the reason was printed")

// checkArgs makes wrong arguments of a command, and of those below it, usage errors.
func checkArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{fmt.Errorf("%w; see: %s --help", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		checkArgs(below)
	}
}

func exitCode(err error) int {
	var (
		usage   *usageError
		problem *api.Problem
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &problem) && problem.Status == 404:
		return exitNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	default:
		return exitFailed
	}
}
