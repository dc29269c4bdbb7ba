package app

import (
	"context"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/services/provisioner"
)

// openProvisioner opens the clusters, and the leases that limit heavy tasks over all processes.
func (a *App) openProvisioner() error {
	if err := a.openClusters(); err != nil {
		return err
	}
	return a.openRedis()
}

func runProvisioner(ctx context.Context, a *App) error {
	opener, err := readOpener(a.cfg)
	if err != nil {
		return err
	}
	all := map[string]provisioner.Rules{}
	for _, c := range a.cfg.Clusters {
		all[c.Name] = rules(c.Placement)
	}
	return provisioner.Run(ctx, provisioner.Config{
		Bus: a.Bus, Clusters: a.clusters, Opener: opener, Logger: a.log, Rules: all, Redis: a.redis,
	})
}

// rules are the default ones with what the configuration says instead.
func rules(p config.Placement) provisioner.Rules {
	r := provisioner.DefaultRules()
	r.Maintenance = p.Maintenance
	if p.MemoryPercent != nil {
		r.MemoryLimit = float64(*p.MemoryPercent) / 100
	}
	if p.CPUPercent != nil {
		r.CPULimit = float64(*p.CPUPercent) / 100
	}
	if p.TasksPerNode != nil {
		r.TasksPerNode = *p.TasksPerNode
	}
	if p.TasksPerStorage != nil {
		r.TasksPerStorage = *p.TasksPerStorage
	}
	return r
}
