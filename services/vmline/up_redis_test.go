package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// redisPassword is that of the servers here.
const redisPassword = "redis-1"

// TestUpWithSeveralRedisServers carries an order out with the index on a Redis Cluster, and on a master that a
// Sentinel names. Every password stays out of what is logged.
func TestUpWithSeveralRedisServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{"cluster": redisCluster, "sentinel": redisSentinel} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VMLINE_REDIS_URL", start(t))
			t.Setenv("TOKEN", "00000000-0000-4000-8000-000000000001")
			path, url := upConfig(t)
			var stderr bytes.Buffer
			up := program(t, "up", "--config", path)
			up.Stderr = &stderr
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			if err := awaitReady(t, url); err != nil {
				t.Errorf("%v", err)
			}
			flags := []string{"--url", url, "--token-file", filepath.Join(filepath.Dir(path), "data/secrets/gateway/token")}
			for _, args := range []string{"vm create w1-1 -f testdata/plain.yaml --wait", "vm list", "vm terminate w1-1 --yes --wait"} {
				if code, out, err := vmline(t.Context(), append(strings.Fields(args), flags...)...); code != exit.Done || !strings.Contains(out, "w1-1") {
					t.Errorf("%s: code %d, %v, %s", args, code, err, out)
				}
			}
			if err := up.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := up.Wait(); err != nil || t.Failed() || strings.Contains(stderr.String(), redisPassword) {
				t.Errorf("%v\n%s", err, stderr.String())
			}
		})
	}
}

// redisCluster is one server that has all slots of a cluster.
func redisCluster(t *testing.T) (url string) {
	t.Helper()
	address := freeAddress(t)
	_, bus, _ := net.SplitHostPort(freeAddress(t))
	client := startRedis(t, address, "--cluster-enabled", "yes", "--cluster-port", bus, "--requirepass", redisPassword)
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	awaitRedis(t, "the cluster works", func() bool {
		info, err := client.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	return "redis://:" + redisPassword + "@" + address + "?addr=" + address
}

// redisSentinel is a Sentinel that watches one master.
func redisSentinel(t *testing.T) (url string) {
	t.Helper()
	master, sentinel := freeAddress(t), freeAddress(t)
	startRedis(t, master, "--requirepass", redisPassword)
	host, port, _ := net.SplitHostPort(master)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor index %s %s 1\nsentinel auth-pass index %s\n", host, port, redisPassword)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startRedis(t, sentinel, file, "--sentinel")
	return "redis://" + sentinel + "/0?master_name=index&password=" + redisPassword
}

// startRedis runs a redis-server on an address until the test ends, and returns a client of it when it answers.
func startRedis(t *testing.T, address string, args ...string) *redis.Client {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	host, port, _ := net.SplitHostPort(address)
	if len(args) > 0 && strings.HasPrefix(args[0], "--") {
		args = append(args, "--save", "", "--appendonly", "no")
	}
	cmd := exec.CommandContext(t.Context(), program, append(args, "--bind", host, "--port", port, "--dir", t.TempDir())...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it was killed with the test's context
	client := redis.NewClient(&redis.Options{Addr: address, Password: redisPassword})
	t.Cleanup(func() { _ = client.Close() })
	awaitRedis(t, "redis-server answers", func() bool {
		err := client.Ping(t.Context()).Err()
		return err == nil || strings.Contains(err.Error(), "without any password")
	})
	return client
}

func awaitRedis(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}
