package crash

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// named are the parts of a path that a name follows, which differs from VM to VM.
var named = []string{"nodes", "qemu", "tasks", "storage", "content", "snapshot", "ipset"}

// shape is a Proxmox call without the names in its path.
func shape(method, path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/api2/json"), "/")
	if i := slices.Index(parts, "content"); i > 0 && len(parts) > i+2 {
		parts = parts[:i+2] // a volume's name has slashes
	}
	for i := 1; i < len(parts); i++ {
		if slices.Contains(named, parts[i-1]) && parts[i-1] != parts[i] {
			parts[i] = "*"
		}
	}
	return method + " " + strings.Join(parts, "/")
}

// digest is what stands for a script.
var digest = regexp.MustCompile(`^[0-9a-f]{40}$`)

// redisCall names a command; a script is named by the beginning of its digest.
func redisCall(cmd redis.Cmder) string {
	name := "redis " + cmd.Name()
	if len(cmd.Args()) > 1 {
		if sha := fmt.Sprint(cmd.Args()[1]); digest.MatchString(sha) {
			name += " " + sha[:7]
		}
	}
	return name
}

func TestShape(t *testing.T) {
	for path, want := range map[string]string{
		"/api2/json/cluster/resources":                                   "GET /cluster/resources",
		"/api2/json/nodes/pve1/qemu/100/config":                          "GET /nodes/*/qemu/*/config",
		"/api2/json/nodes/pve1/tasks/UPID:pve1:0:0:0:qmclone:1:a@b:/log": "GET /nodes/*/tasks/*/log",
		"/api2/json/nodes/pve1/storage":                                  "GET /nodes/*/storage",
		"/api2/json/nodes/pve1/storage/local/content":                    "GET /nodes/*/storage/*/content",
		"/api2/json/nodes/pve1/storage/local/content/local:backup/x.vma": "GET /nodes/*/storage/*/content/*",
		"/api2/json/nodes/pve1/qemu/100/firewall/ipset/ipfilter-net0":    "GET /nodes/*/qemu/*/firewall/ipset/*",
	} {
		if got := shape("GET", path); got != want {
			t.Errorf("shape(%s) = %s, want %s", path, got, want)
		}
	}
}
