package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func TestALostRedisIsNamed(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	client.AddHook(redisName{})
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.Get(t.Context(), "k").Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("an answer: %v", err)
	}
	server.Close()
	_, command := client.Get(t.Context(), "k").Result()
	pipe := client.Pipeline()
	one := pipe.Get(t.Context(), "k")
	_, several := pipe.Exec(t.Context())
	for what, err := range map[string]error{"a command": command, "a pipeline": several, "a command of a pipeline": one.Err()} {
		if err == nil || strings.Count(err.Error(), "Redis server") != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
}
