package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/redistest"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// redisPassword is that of the servers here.
const redisPassword = "redis-1"

// TestUpWithSeveralRedisServers carries an order out with the index on a Redis Cluster, and on a master that a
// Sentinel names. What is logged has one form, and every password stays out of it.
func TestUpWithSeveralRedisServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{"cluster": redisCluster, "sentinel": redisSentinel} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VMLINE_REDIS_URL", start(t))
			path, url := upConfig(t)
			stop := serve(t, path, url)
			flags := []string{"--url", url, "--token-file", filepath.Join(filepath.Dir(path), "data/secrets/gateway/token")}
			for _, args := range []string{"vm create w1-1 -f testdata/plain.yaml --wait", "vm list", "vm terminate w1-1 --yes --wait"} {
				if code, out, err := vmline(t.Context(), append(strings.Fields(args), flags...)...); code != exit.Done || !strings.Contains(out, "w1-1") {
					t.Errorf("%s: code %d, %v, %s", args, code, err, out)
				}
			}
			log := stop()
			if strings.Contains(log, redisPassword) {
				t.Errorf("the password is in\n%s", log)
			}
			for line := range strings.Lines(log) {
				if !strings.HasPrefix(line, "time=") {
					t.Errorf("not in the log's form: %s", line)
				}
			}
		})
	}
}

// redisCluster is one server that has all slots of a cluster.
func redisCluster(t *testing.T) (url string) {
	t.Helper()
	address := freeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	_, bus, _ := net.SplitHostPort(freeAddress(t))
	redistest.Start(t, "--bind", host, "--port", port, "--cluster-enabled", "yes", "--cluster-port", bus, "--requirepass", redisPassword)
	client := redis.NewClient(&redis.Options{Addr: address, Password: redisPassword})
	t.Cleanup(func() { _ = client.Close() })
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		info, err := client.ClusterInfo(t.Context()).Result()
		switch {
		case err == nil && strings.Contains(info, "cluster_state:ok"):
			return "redis://:" + redisPassword + "@" + address + "?addr=" + address
		case time.Now().After(deadline):
			t.Fatalf("the cluster does not come to work: %s, %v", info, err)
		}
	}
}

// redisSentinel is a Sentinel that watches one master.
func redisSentinel(t *testing.T) (url string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(freeAddress(t))
	redistest.Start(t, "--bind", host, "--port", port, "--requirepass", redisPassword)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor index %s %s 1\nsentinel auth-pass index %s\n", host, port, redisPassword)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ = net.SplitHostPort(freeAddress(t))
	redistest.Start(t, file, "--sentinel", "--bind", host, "--port", port)
	return "redis://" + net.JoinHostPort(host, port) + "/0?master_name=index&password=" + redisPassword
}
