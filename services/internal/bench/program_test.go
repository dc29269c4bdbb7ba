package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/internal/rig"
)

// patience is how long a program may take to do what a benchmark waits for.
const patience = time.Minute

// installation is a directory with programs, a configuration and their data.
type installation struct {
	b   *testing.B
	dir string
	// api is host:port of the gateway.
	api string
}

// install builds programs (packages below services) and writes their configuration. nats and redis
// are URLs; empty means inside the process.
func install(b *testing.B, cluster *pvesim.Cluster, nats, redis string, packages ...string) *installation {
	b.Helper()
	dir, err := os.MkdirTemp("", "bench") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	build := exec.Command("go", append([]string{"build", "-o", dir + "/bin/"}, packages...)...)
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	proxmox, err := cluster.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(proxmox.Close)
	i := &installation{b: b, dir: dir, api: freeAddress(b)}
	text := fmt.Sprintf(`
data_dir: data
nats: {url: %q}
redis: {url: %q}
gateway: {listen: %q, plain_http: true, requests_per_minute: 1000000}
clusters: [{name: %s, url: %q, token_id: %q, token_secret_env: TOKEN_SECRET, placement: {memory_percent: 0, tasks_per_node: 0, tasks_per_storage: 0}}]
pools: [{name: v4, cluster: %s, bridge: vmbr0, prefix: 10.64.0.0/16, gateway: 10.64.0.1}]
`, nats, redis, i.api, rig.Cluster, proxmox.URL, rig.TokenID, rig.Cluster)
	if err := os.WriteFile(i.config(), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return i
}

func (i *installation) config() string  { return filepath.Join(i.dir, "vmline.yaml") }
func (i *installation) dataDir() string { return filepath.Join(i.dir, "data") }

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// token is what callers of the API show.
func (i *installation) token() string {
	i.b.Helper()
	token, err := config.ReadSecretFile(filepath.Join(i.dataDir(), "secrets/gateway/token"))
	if err != nil {
		i.b.Fatal(err)
	}
	return string(token)
}

func (i *installation) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(i.dir, "bin", name), append(args, "--config", i.config())...)
	cmd.Env = []string{"TOKEN_SECRET=" + rig.TokenSecret}
	return cmd
}

// program is a running program.
type program struct {
	b     *testing.B
	name  string
	cmd   *exec.Cmd
	log   bytes.Buffer
	ended chan error
}

// start runs a program until stop, or the benchmark's end.
func (i *installation) start(name string, args ...string) *program {
	i.b.Helper()
	p := &program{b: i.b, name: name, cmd: i.command(name, args...), ended: make(chan error, 1)}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		i.b.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	i.b.Cleanup(p.stop)
	return p
}

// stop ends the program in order.
func (p *program) stop() {
	if p.ended == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if err := <-p.ended; err != nil {
		p.b.Errorf("%s: %v\n%s", p.name, err, p.log.Bytes())
	}
	p.ended = nil
}

// memory is what the kernel says of a process, in MiB.
type memory struct {
	// Resident is all, Anonymous the part that is no file: heap and stacks. Peak is the most that was
	// ever resident.
	Resident, Anonymous, Peak float64
}

func (p *program) memory() memory {
	p.b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		p.b.Skip("skipped: there is no /proc here that tells a process's memory")
	}
	if err != nil {
		p.b.Fatal(err)
	}
	mib := func(key string) float64 {
		_, rest, _ := strings.Cut(string(data), "\n"+key+":")
		text, _, _ := strings.Cut(strings.TrimSpace(rest), " kB")
		kib, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.b.Fatalf("%s: %v", key, err)
		}
		return kib / 1024
	}
	return memory{Resident: mib("VmRSS"), Anonymous: mib("RssAnon"), Peak: mib("VmHWM")}
}

// healthy waits until the service says on its socket that it works.
func (i *installation) healthy(name string) {
	i.b.Helper()
	socket := filepath.Join(i.dataDir(), name+".sock")
	i.answers("http://health/", func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	})
}

// answers waits until a URL is answered with 200.
func (i *installation) answers(url string, dial func(context.Context, string, string) (net.Conn, error)) {
	i.b.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	i.until(url, func() error {
		answer, err := client.Get(url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
}

// until repeats a look, without a rest longer than a millisecond, until it is good.
func (i *installation) until(what string, look func() error) {
	i.b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			i.b.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}
