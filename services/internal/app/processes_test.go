package app

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deployment is docker-compose.yml as plain processes: the same commands, the same environment, the
// same volumes, other addresses.
type deployment struct {
	t       *testing.T
	compose compose
	dir     string
	bin     string
	// env is what would stand in .env.
	env map[string]string
	// ports has the ports that stand in for nats:4222 and the like.
	ports map[string]int

	mu   sync.Mutex
	logs map[string]*logBuffer
}

// logBuffer collects what a process says.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newDeployment(t *testing.T, env map[string]string) *deployment {
	t.Helper()
	c, _ := readCompose(t)
	d := &deployment{t: t, compose: c, dir: local(t).DataDir, env: env, ports: map[string]int{}, logs: map[string]*logBuffer{}}
	for _, name := range []string{"nats", "redis", "gateway", "monitor"} {
		d.ports[name] = freePort(t)
	}
	return d
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// build builds every program of the compose file.
func (d *deployment) build() {
	d.t.Helper()
	var packages []string
	for _, s := range d.compose.Services {
		if s.Build != nil {
			packages = append(packages, "./"+strings.TrimPrefix(mainPackage(s.Build.Args["SERVICE"]), "services/"))
		}
	}
	d.buildPackages(packages...)
}

// buildPackages builds programs, and the NATS server of the version in go.mod.
func (d *deployment) buildPackages(packages ...string) {
	d.t.Helper()
	d.bin = filepath.Join(d.dir, "bin") + string(filepath.Separator)
	cmd := exec.Command("go", append([]string{"build", "-o", d.bin, "github.com/nats-io/nats-server/v2"}, packages...)...)
	cmd.Dir = filepath.Join(repo(d.t), "services")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("build: %v\n%s", err, out)
	}
}

// environment is a container's, with the addresses that stand in for its network's.
func (d *deployment) environment(name string) []string {
	d.t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH")}
	for key, value := range d.compose.Services[name].Environment {
		value, err := expand(value, d.env)
		if err != nil {
			d.t.Fatalf("%s: %s: %v", name, key, err)
		}
		value = strings.NewReplacer(
			"@nats:4222", fmt.Sprintf("@127.0.0.1:%d", d.ports["nats"]),
			"@redis:6379", fmt.Sprintf("@127.0.0.1:%d", d.ports["redis"]),
			"0.0.0.0:8443", fmt.Sprintf("127.0.0.1:%d", d.ports["gateway"]),
		).Replace(value)
		switch key {
		case "VMLINE_CONFIG":
			value = filepath.Join(d.dir, "vmline.yaml")
		case "VMLINE_DATA_DIR":
			value = d.dataDir(name)
		}
		env = append(env, key+"="+value)
	}
	return env
}

func (d *deployment) dataDir(name string) string { return filepath.Join(d.dir, name) }

// mount makes a container's volumes under /data appear in its data directory.
func (d *deployment) mount(name string) {
	d.t.Helper()
	for _, v := range d.compose.Services[name].Volumes {
		volume, inside, _ := strings.Cut(v, ":/data/")
		if inside == "" {
			continue
		}
		source, target := filepath.Join(d.dir, "volumes", volume), filepath.Join(d.dataDir(name), inside)
		for _, dir := range []string{source, filepath.Dir(target)} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				d.t.Fatal(err)
			}
		}
		if err := os.Symlink(source, target); err != nil && !os.IsExist(err) {
			d.t.Fatal(err)
		}
	}
}

// start runs a program with a container's environment until the test's end. What it says is shown if
// the test fails.
func (d *deployment) start(name, program string, args ...string) {
	d.t.Helper()
	d.mount(name)
	cmd := exec.Command(program, args...)
	cmd.Env = d.environment(name)
	log := d.log(name)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what went wrong is in its log
	}()
	d.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			d.t.Errorf("%s did not end on SIGTERM", name)
		}
		if d.t.Failed() {
			d.t.Logf("--- %s\n%s", name, log)
		}
	})
}

func (d *deployment) log(name string) *logBuffer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logs[name] == nil {
		d.logs[name] = &logBuffer{}
	}
	return d.logs[name]
}

// run runs a program to its end.
func (d *deployment) run(ctx context.Context, name, program string, args ...string) (string, error) {
	d.mount(name)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = d.environment(name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// patience is how long a test waits for programs that it has built. Only one that fails uses it up.
const patience = 3 * time.Minute

// until repeats a look until it is good or ctx ends.
func until(ctx context.Context, look func() error) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-again.C:
		}
	}
}
