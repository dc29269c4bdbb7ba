package rig

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/redistest"
)

// startRedis starts a real redis-server where one is installed, else the embedded one of `vmline up`.
func startRedis(t testing.TB) *redis.Client {
	t.Helper()
	options := &redis.Options{}
	if redistest.Installed() {
		options.Network, options.Addr = "unix", redistest.Start(t).Socket
	} else {
		options.Addr = miniredis.RunT(t).Addr()
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() }) // the test is over
	must(t, client.Ping(t.Context()).Err())
	return client
}
