package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/pvesim"
)

func newPVESim() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "pvesim",
		Short: "Run a simulated Proxmox VE cluster",
		Long: `Run a simulated Proxmox VE cluster of three nodes, for trying vmline out without hardware. It keeps
everything in memory and runs no machine. It listens without TLS, so leave it on this machine.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg := pvesim.Default()
			cfg.Durations = pvesim.Durations{Clone: 2 * time.Second, Start: time.Second, Stop: time.Second, Destroy: time.Second}
			server, err := pvesim.New(cfg).Listen(listen)
			if err != nil {
				return err
			}
			defer server.Close()
			fmt.Fprintln(c.OutOrStdout(), "url:", server.URL)
			for id, secret := range cfg.Tokens {
				fmt.Fprintf(c.OutOrStdout(), "token_id: %s\ntoken_secret: %s\n", id, secret)
			}
			<-c.Context().Done()
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8006", "host:port")
	return c
}
