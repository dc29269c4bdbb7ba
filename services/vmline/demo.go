package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/services/vmline/internal/demo"
	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

func newDemo() *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Carry three orders to running machines on a simulated cluster",
		Long: `Start everything in this process, with a simulated Proxmox VE cluster and a small DNS server; order
three machines over HTTP as a billing system would; show each status as it is reached; ask the DNS
server for the names; terminate one machine; and check that all of it is true.

The exit code is 0 only if everything was seen to be true. Nothing needs to be installed, and
nothing outside of this machine is touched.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out = c.OutOrStdout()
			o.Colour = !o.JSON && output.Coloured(o.Out)
			if err := demo.Run(c.Context(), o); err != nil {
				fmt.Fprintln(c.ErrOrStderr(), "vmline demo failed:", err)
				return exit.ErrSaid
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.DataDir, "data-dir", "", "where to keep streams and secrets; default a temporary directory")
	f.BoolVar(&o.Keep, "keep", false, "leave everything running at the end, and print URL and token")
	f.BoolVar(&o.JSON, "json", false, "print an event a line, for programs")
	f.DurationVar(&o.Timeout, "timeout", 2*time.Minute, "the most that the demonstration may take")
	return c
}
