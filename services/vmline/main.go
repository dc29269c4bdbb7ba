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

	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/operator"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	if err != nil && !errors.Is(err, exit.ErrSaid) {
		fmt.Fprintln(os.Stderr, "vmline:", err)
	}
	return exit.Code(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "vmline",
		Short: "From a hosting order to a running, addressed, named machine on Proxmox VE",
		Long: `vmline takes hosting orders over HTTP and turns each into a KVM machine on Proxmox VE.

  vmline demo                    see the whole of it at work; needs nothing else
  vmline up --config FILE        run every service in one process
  vmline doctor --config FILE    check the Proxmox clusters and say what they lack
  vmline commands                what can be done with a machine
  vmline vm list                 ask a running vmline (see "vmline vm --help")

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 timed out.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(newUp(), newDemo(), newApply(), newDoctor(), newPVESim(), newVersion())
	root.AddCommand(operator.Commands()...)
	exit.CheckArgs(root)
	return root
}
