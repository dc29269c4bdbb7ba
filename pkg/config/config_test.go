package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// env makes a lookup from pairs of name and value.
func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

var allParts = []Part{PartGateway, PartClusters, PartDNS}

const whole = `
data_dir: data
nats: {url: "nats://a:4222,nats://b:4222", replicas: 3, nkey_file: nkey}
redis: {url: "redis://cache:6379/1"}
gateway: {listen: "127.0.0.1:8080"}
clusters:
  - name: dc1
    url: https://pve.example:8006
    token_id: vmline@pve!vmline
    token_secret_env: DC1_TOKEN
    timeout: 30s
  - name: dc2
    url: https://pve4.example:8006
    endpoints: [https://pve5.example:8006, https://pve6.example:8006]
    user: vmline@pve
    password_env: DC2_PASSWORD
    read_timeout: 20s
    poll_timeout: 5s
    max_in_flight: 8
    placement: {maintenance: [pve6], memory_percent: 150, cpu_percent: 0}
    parking_vmids: [9901, 9902]
pools:
  - name: public
    cluster: dc1
    bridge: vmbr0
    vlan: 20
    prefix: 203.0.113.0/24
    gateway: 203.0.113.1
    dns_servers: [192.0.2.53, "2001:db8::53"]
    first: 203.0.113.10
    last: 203.0.113.99
    exclude: [203.0.113.50, 203.0.113.64/28]
dns:
  zones:
    - name: Example.NET.
      server: ns1.example
      tsig: {name: vmline., secret_env: TSIG}
      ttl: 300
retry: {first: 1s, cap: 1m, give_up: 2h}
observe: {every: 1m}
log: {level: debug, format: json}
`

func TestLoadWhole(t *testing.T) {
	c, err := parse("/etc/vmline/vmline.yaml", []byte(whole), env("DC1_TOKEN", "uuid", "DC2_PASSWORD", "hunter2", "TSIG", "c2VjcmV0"), allParts)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ what, got, want any }{
		{"data_dir", c.DataDir, "/etc/vmline/data"},
		{"nkey_file", c.NATS.NKeyFile, "/etc/vmline/nkey"},
		{"replicas", c.NATS.Replicas, 3},
		{"token", string(c.Clusters[0].TokenSecret), "uuid"},
		{"timeout", c.Clusters[0].Timeout, 30 * time.Second},
		{"endpoint", c.Clusters[1].Endpoints[1], "https://pve6.example:8006"},
		{"password", string(c.Clusters[1].Password), "hunter2"},
		{"password, printed", c.Clusters[1].Password.String(), "(secret)"},
		{"read_timeout", c.Clusters[1].ReadTimeout, 20 * time.Second},
		{"poll_timeout", c.Clusters[1].PollTimeout, 5 * time.Second},
		{"max_in_flight", c.Clusters[1].MaxInFlight, 8},
		{"memory_percent", *c.Clusters[1].Placement.MemoryPercent, 150},
		{"cpu_percent", *c.Clusters[1].Placement.CPUPercent, 0},
		{"tasks_per_node", c.Clusters[1].Placement.TasksPerNode, (*int)(nil)},
		{"parking_vmids", c.Clusters[1].ParkingVMIDs[1], 9902},
		{"prefix", c.Pools[0].Prefix.String(), "203.0.113.0/24"},
		{"dns server", c.Pools[0].DNSServers[1].String(), "2001:db8::53"},
		{"exclude", c.Pools[0].Exclude[1], "203.0.113.64/28"},
		{"zone", c.DNS.Zones[0].Name, "example.net."},
		{"server", c.DNS.Zones[0].Server, "ns1.example:53"},
		{"tsig", string(c.DNS.Zones[0].TSIG.Secret), "c2VjcmV0"},
		{"give_up", c.Retry.GiveUp, 2 * time.Hour},
		{"observe.every", c.Observe.Every, time.Minute},
		{"level", c.Log.Level, slog.LevelDebug},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.what, tt.got, tt.want)
		}
	}
}

func TestSecretsOfPartsThatAreNotUsedAreNotRead(t *testing.T) {
	c, err := parse("f", []byte(whole), env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Clusters[0].TokenSecret != "" {
		t.Error("a secret was read")
	}
}

func TestEnvironmentStandsAboveTheFile(t *testing.T) {
	c, err := parse("/etc/f.yaml", []byte("redis: {url: redis://one}"), env(
		EnvDataDir, "here", EnvNATSURL, "nats://gateway:pw@nats:4222", EnvRedisURL, "redis://:pw@two", EnvListen, ":80"), allParts)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.DataDir, " ", c.NATS.URL, " ", c.Redis.URL, " ", c.Gateway.Listen)
	if want := "here nats://gateway:pw@nats:4222 redis://:pw@two :80"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = parse("f", nil, env(EnvDataDir, "d", EnvListen, "80", EnvNATSURL, "nats://u:secret@"), nil)
	want := "VMLINE_LISTEN: want host:port like 127.0.0.1:8080, got \"80\"\nVMLINE_NATS_URL: want a URL like nats://host:4222"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	if err := os.WriteFile(long, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "there is no file " + filepath.Join(dir, "none"),
		dir:                        "cannot read " + dir + ": is a directory",
		long:                       long + ": longer than 1 MiB: this cannot be a configuration",
	} {
		if _, err := Load(path, env()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c := Cluster{Name: "dc1", TokenSecret: "hunter2"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.TokenSecret, "cluster", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.TokenSecret, "cluster", c)
	out := log.String() + fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.TokenSecret, c.TokenSecret)
	if strings.Contains(out, "hunter2") {
		t.Error("a secret was printed: ", out)
	}
}

// FuzzParse: whatever the file says, it is read or refused with problems, and a refusal never shows
// a value that stands in a secret's place.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	for _, tt := range refusals {
		f.Add([]byte(tt.yaml))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("f.yaml", data, env(EnvDataDir, "d"), nil)
		if err == nil {
			if c.DataDir != "d" {
				t.Error("the environment was not heard")
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("no problems in %v", err)
		}
		for _, p := range problems {
			if p.Reason == "" || strings.Contains(p.Reason, "\n") {
				t.Errorf("%q is no reason", p.Reason)
			}
		}
	})
}
