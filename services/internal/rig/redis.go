package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// startRedis starts a real redis-server where one is installed, else the embedded one of `vmline up`.
func startRedis(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(redisOptions(t))
	t.Cleanup(func() { _ = client.Close() }) // the test is over
	for deadline := time.Now().Add(10 * time.Second); client.Ping(t.Context()).Err() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("Redis did not start")
		}
		<-time.After(5 * time.Millisecond)
	}
	return client
}

func redisOptions(t testing.TB) *redis.Options {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return &redis.Options{Addr: miniredis.RunT(t).Addr()}
	}
	dir, err := os.MkdirTemp("", "rig") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the test is over
	socket := filepath.Join(dir, "redis")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no") //nolint:gosec,noctx // G204: the path is that of redis-server; it ends with the test
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
	})
	return &redis.Options{Network: "unix", Addr: socket}
}
