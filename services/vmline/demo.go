package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/services/vmline/internal/demo"
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
			o.Colour = !o.JSON && coloured(o.Out)
			if err := demo.Run(c.Context(), o); err != nil {
				fmt.Fprintln(c.ErrOrStderr(), "vmline demo failed:", err)
				return errSaid
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

// coloured says whether text may have colours: on a terminal, unless NO_COLOR is set (no-color.org).
func coloured(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
