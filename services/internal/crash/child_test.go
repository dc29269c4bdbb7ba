package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/services/internal/rig"
	"github.com/vmline/vmline/services/ipam"
	"github.com/vmline/vmline/services/lifecycle"
	"github.com/vmline/vmline/services/provisioner"
)

// childOrder is the environment variable that makes the test's program one service.
const childOrder = "CRASH_TEST_CHILD"

// order says what a child process runs, where it finds the world, and where it kills itself.
type order struct {
	Service                                chain.Service
	NATS, RedisNetwork, RedisAddr, Proxmox string
	Call                                   string
	Nth                                    int
	After                                  bool
}

// runChild runs one service until it kills itself or its parent is gone.
func runChild(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends with the parent
		cancel()
	}()
	f := newFate(o.Service)
	f.expect(strike{service: o.Service, call: o.Call, nth: o.Nth, after: o.After})
	return o.run(ctx, (&life{fate: f, ctx: ctx, kill: killMyself}).edge())
}

// killMyself does not return.
func killMyself() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nobody can refuse that
	select {}
}

func (o order) run(ctx context.Context, edge rig.Edge) error {
	quiet := slog.New(slog.DiscardHandler)
	nc, err := bus.Dial(bus.Server{URL: o.NATS, Name: string(o.Service)}, quiet)
	if err != nil {
		return err
	}
	defer nc.Close()
	retry := bus.RetryPolicy{First: 5 * time.Millisecond, Cap: 100 * time.Millisecond}
	b, err := bus.New(nc, bus.Options{Intercept: edge.Bus, Logger: quiet, Retry: retry})
	if err != nil {
		return err
	}
	client, err := pve.New(pve.Config{
		Name: rig.Cluster, URL: o.Proxmox, TokenID: rig.TokenID, TokenSecret: rig.TokenSecret,
		PollEvery: 20 * time.Millisecond, Transport: edge.Proxmox(&http.Transport{}),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	clusters := map[string]*pve.Client{rig.Cluster: client}
	switch o.Service {
	case chain.IPAM:
		index := redis.NewClient(&redis.Options{Network: o.RedisNetwork, Addr: o.RedisAddr})
		defer index.Close()
		index.AddHook(edge.Redis)
		return ipam.Run(ctx, ipam.Config{Bus: b, Redis: index, Pools: rig.Pools(), Logger: quiet})
	case chain.Provisioner:
		key, err := secrets.GenerateKey()
		if err != nil {
			return err
		}
		return provisioner.Run(ctx, provisioner.Config{Bus: b, Clusters: clusters, Opener: key, Logger: quiet})
	default:
		return lifecycle.Run(ctx, lifecycle.Config{Bus: b, Clusters: clusters, Logger: quiet, Settle: 50 * time.Millisecond})
	}
}
