package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/services/internal/app"
	"github.com/vmline/vmline/services/vmline/internal/doctor"
	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

func newDoctor() *cobra.Command {
	var (
		path, name string
		out        output.Format
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the Proxmox VE clusters of the configuration and say what they lack",
		Long: `Look at each Proxmox VE cluster of the configuration and say what it lacks for vmline, each line with
what to do: endpoints, certificates, version, clocks, the token's privileges (with the pveum commands
that grant what is missing), nodes, storages, the bridges of the pools, templates, and the cluster's
firewall. It changes nothing.

It ends with 1 if there is a problem; warnings alone end with 0.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path, config.PartClusters)
			if err != nil {
				return err
			}
			clusters, err := chosen(cfg.Clusters, name)
			if err != nil {
				return err
			}
			reports, err := examine(c.Context(), cfg, clusters)
			if err != nil {
				return err
			}
			if err := printReports(c.OutOrStdout(), out, reports); err != nil {
				return err
			}
			if slices.ContainsFunc(reports, doctor.Report.Sick) {
				return exit.ErrSaid
			}
			return nil
		},
	}
	addConfigFlag(c, &path)
	c.Flags().StringVar(&name, "cluster", "", "only this cluster; default all")
	out.AddFlag(c)
	return c
}

// chosen returns the cluster of a name, or all for "".
func chosen(all []config.Cluster, name string) ([]config.Cluster, error) {
	if len(all) == 0 {
		return nil, errors.New("no clusters are configured; name one under clusters")
	}
	if name == "" {
		return all, nil
	}
	i := slices.IndexFunc(all, func(c config.Cluster) bool { return c.Name == name })
	if i < 0 {
		return nil, exit.BadUsagef("the configuration has no cluster %q", name)
	}
	return all[i : i+1], nil
}

func examine(ctx context.Context, cfg *config.Config, clusters []config.Cluster) ([]doctor.Report, error) {
	var reports []doctor.Report
	for _, cluster := range clusters {
		client, err := app.OpenCluster(cluster)
		if err != nil {
			return nil, err
		}
		reports = append(reports, doctor.Examine(ctx, doctor.Cluster{Client: client, Config: cluster, Pools: cfg.Pools, Now: time.Now}))
		client.Close()
	}
	return reports, nil
}

func printReports(w io.Writer, f output.Format, reports []doctor.Report) error {
	if f == output.JSON {
		return f.Print(w, reports, nil)
	}
	for _, r := range reports {
		r.Write(w)
	}
	return nil
}
