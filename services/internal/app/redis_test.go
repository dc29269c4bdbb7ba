package app

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func TestKeysOfTheEmbeddedRedisExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := miniredis.NewMiniRedis()
		stop := expire(server)
		for _, key := range []string{"nonce", "for ever"} {
			if err := server.Set(key, ""); err != nil {
				t.Fatal(err)
			}
		}
		server.SetTTL("nonce", 10*time.Minute)
		<-time.After(10*time.Minute - expireEvery/2)
		if !server.Exists("nonce") {
			t.Error("the nonce is forgotten before its time")
		}
		<-time.After(expireEvery)
		if server.Exists("nonce") {
			t.Error("the nonce is kept for ever")
		}
		if !server.Exists("for ever") {
			t.Error("a key without an end is gone")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
