package app

import (
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/pkg/telemetry"
)

// openRedis opens the index, once for all services of the process. Inside the process it starts empty and
// is built from the streams.
func (a *App) openRedis() error {
	if a.redis != nil {
		return nil
	}
	address := a.cfg.Redis.URL
	if address == "" {
		server := miniredis.NewMiniRedis()
		password := secrets.NewToken()
		server.RequireAuth(password) // it listens on this machine, where others may live
		if err := server.Start(); err != nil {
			return fmt.Errorf("start the embedded Redis: %w", err)
		}
		a.onClose(func() error { server.Close(); return nil })
		address = "redis://:" + password + "@" + server.Addr()
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return errors.New(telemetry.HideInURLs("redis.url: " + err.Error()))
	}
	client := redis.NewClient(options)
	a.redis = client
	a.onClose(client.Close)
	return nil
}
