package app

import (
	"errors"
	"fmt"
	"net/url"
	"time"

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
		a.onClose(expire(server))
		address = "redis://:" + password + "@" + server.Addr()
	}
	redis.SetLogger(redisLog{a.log})
	client, err := redisClient(address)
	if err != nil {
		return errors.New(telemetry.HideInURLs("redis.url: " + err.Error()))
	}
	client.AddHook(redisName{})
	a.redis = client
	a.onClose(client.Close)
	return nil
}

// redisClient is a client of one server, or of what the URL's query says, as go-redis reads it: with master_name
// of the master that Sentinels name, with addr of a Redis Cluster. Both may have addr several times.
func redisClient(address string) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		options, err := redis.ParseFailoverURL(address)
		if err != nil {
			return nil, err
		}
		return redis.NewFailoverClient(options), nil
	case query.Has("addr"):
		options, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, err
		}
		return redis.NewClusterClient(options), nil
	default:
		options, err := redis.ParseURL(address)
		if err != nil {
			return nil, err
		}
		return redis.NewClient(options), nil
	}
}

// expireEvery is how often keys of the embedded Redis are let expire. One may end by so much too early.
const expireEvery = 10 * time.Second

// expire has the keys of the embedded Redis end when their time is over, until stop: by itself it counts no
// time, and would keep every nonce for ever. It is told of the time now and then, because each time costs a look
// at every key.
func expire(server *miniredis.Miniredis) (stop func() error) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(expireEvery)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-quit:
				return
			case now := <-tick.C:
				server.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	return func() error { close(quit); <-ended; return nil }
}
