package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/watch"
)

func newVM() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "vm",
		Short: "Look at machines",
		Long: `Look at machines, by their ref: the key that the billing system gave, never the Proxmox VMID.

The commands ask the gateway at --url and show the token in --token-file.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	r.addFlags(c)
	c.AddCommand(newVMList(&r), newVMGet(&r), newVMWatch(&r))
	return c
}

func newVMList(r *remote) *cobra.Command {
	var output format
	c := &cobra.Command{
		Use:   "list",
		Short: "List all machines",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			services, err := allServices(c.Context(), client)
			if err != nil {
				return err
			}
			return output.print(c.OutOrStdout(), services, func(w io.Writer) { listTable(w, services) })
		},
	}
	output.addFlag(c)
	return c
}

// allServices reads every page.
func allServices(ctx context.Context, client *api.Client) ([]api.Service, error) {
	services := []api.Service{}
	for cursor := ""; ; {
		page, err := client.ListServices(ctx, pageSize, cursor)
		if err != nil {
			return nil, err
		}
		services = append(services, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return services, nil
		}
	}
}

// pageSize is the most that the gateway gives at once.
const pageSize = 200

func newVMGet(r *remote) *cobra.Command {
	var output format
	c := &cobra.Command{
		Use:   "get REF",
		Short: "Show one machine with its last operation",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			s, err := client.GetService(c.Context(), args[0])
			if err != nil {
				return err
			}
			return output.print(c.OutOrStdout(), s, func(w io.Writer) { serviceTable(w, s) })
		},
	}
	output.addFlag(c)
	return c
}

func newVMWatch(r *remote) *cobra.Command {
	var (
		output  format
		timeout time.Duration
	)
	c := &cobra.Command{
		Use:   "watch REF",
		Short: "Show each step of a machine's operation until it ends",
		Long: `Show each step of the machine's last operation as it is done, until the operation has ended. The
exit code is 0 if it succeeded, 1 if it did not or waits for a person, 4 if --timeout ran out.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			ctx := c.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			return watchVM(ctx, client, args[0], output, c.OutOrStdout())
		},
	}
	output.addFlag(c)
	c.Flags().DurationVar(&timeout, "timeout", 0, "how long to watch, for example 10m; 0 means until the end")
	return c
}

func watchVM(ctx context.Context, client *api.Client, ref string, output format, out io.Writer) error {
	s, err := client.GetService(ctx, ref)
	if err != nil {
		return err
	}
	op, err := watch.Operation(ctx, client, s.Operation, func(step api.Step) error {
		return output.printLine(out, step, stepLine(step))
	})
	if err != nil {
		return err
	}
	if op.Status != api.StatusSucceeded {
		return fmt.Errorf("%s of %s: %s%s", op.Type, ref, op.Status, problemText(op.Error))
	}
	return nil
}
