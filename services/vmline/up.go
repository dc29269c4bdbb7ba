package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/telemetry"
	"github.com/vmline/vmline/services/internal/app"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

func newUp() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run every service in one process",
		Long: `Run the gateway, lifecycle, ipam, provisioner and dns services in one process, on the Proxmox
clusters and DNS servers of the configuration. Without nats.url and redis.url it brings its own.

At the first start it makes the API's token in <data_dir>/secrets/gateway/token, readable by its
owner alone. It ends in order on SIGINT and SIGTERM; work in hand goes on at the next start.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path, app.AllParts()...)
			if err != nil {
				return err
			}
			log := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
			apply := func(a *app.App) error { return a.Apply(c.Context()) }
			return app.Serve(c.Context(), cfg, "vmline", log, apply, app.All()...)
		},
	}
	addConfigFlag(c, &path)
	return c
}

func newApply() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "apply",
		Short: "Make the streams on a NATS server, and this installation's secrets",
		Long: `Make or update the streams, consumers, buckets and schedules on the NATS server of the
configuration, and make the secrets in the data directory that are not there yet. Run it once before
the services run on their own, and after each update. It may be repeated at any time.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			if cfg.NATS.Embedded() {
				return errors.New("nats.url is empty: `vmline up` makes the streams of its own server itself")
			}
			log := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
			a, err := app.Open(cfg, "vmline", log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, a.Close()) }()
			if err := a.Apply(c.Context()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "Streams, consumers, buckets, schedules and secrets are in place.")
			return nil
		},
	}
	addConfigFlag(c, &path)
	return c
}

func addConfigFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", os.Getenv(config.EnvFile), "configuration file; default $"+config.EnvFile)
}

func loadConfig(path string, parts ...config.Part) (*config.Config, error) {
	if path == "" {
		return nil, exit.BadUsagef("which configuration? use --config FILE or set %s", config.EnvFile)
	}
	return config.Load(path, os.LookupEnv, parts...)
}
