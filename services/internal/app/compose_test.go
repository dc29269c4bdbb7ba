package app

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// compose is docker-compose.yml as far as these tests look.
type compose struct {
	Services map[string]container
	Volumes  map[string]any
}

type container struct {
	Image string
	Build *struct {
		Context, Dockerfile string
		Args                map[string]string
	}
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	DependsOn   map[string]any `yaml:"depends_on"`
	Healthcheck *struct{ Test []string }
	ReadOnly    bool `yaml:"read_only"`
	Restart     string
}

// repo is the root of the repository.
func repo(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("this test needs the whole repository: no go.work above it")
		}
	}
}

func readCompose(t testing.TB) (compose, string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo(t), "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c, string(data)
}

// variable is ${NAME}, ${NAME:-default} or ${NAME:?message}.
var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}`)

// expand does what Compose does with variables.
func expand(text string, env map[string]string) (string, error) {
	var missing []error
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		if v := env[parts[1]]; v != "" {
			return v
		}
		if parts[2] != "-" {
			missing = append(missing, fmt.Errorf("%s is not set", parts[1]))
		}
		return parts[3]
	})
	return out, errors.Join(missing...)
}

func TestComposeNamesOnlyVariablesThatAreDocumented(t *testing.T) {
	_, text := readCompose(t)
	used := map[string]bool{}
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		used[m[1]] = true
	}
	example, err := os.ReadFile(filepath.Join(repo(t), "deploy/.env.example"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z0-9_]+)=`).FindAllStringSubmatch(string(example), -1) {
		documented[m[1]] = true
	}
	if !maps.Equal(used, documented) {
		t.Errorf("docker-compose.yml uses %v\ndeploy/.env.example has %v", slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(documented)))
	}
	if rest := strings.ReplaceAll(variable.ReplaceAllString(text, ""), "$$", ""); strings.Contains(rest, "$") {
		t.Error("a $ that is no variable")
	}
}

func TestComposeNamesOnlyFilesThatExist(t *testing.T) {
	c, _ := readCompose(t)
	root := repo(t)
	exists := func(service, path string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("%s: %v", service, err)
		}
	}
	for name, s := range c.Services {
		if s.Build != nil {
			exists(name, filepath.Join(s.Build.Context, s.Build.Dockerfile))
			exists(name, mainPackage(s.Build.Args["SERVICE"]))
		} else if s.Image == "" {
			t.Errorf("%s has neither build nor image", name)
		}
		for _, v := range s.Volumes {
			source, err := expand(v, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			source, _, _ = strings.Cut(source, ":")
			if _, named := c.Volumes[source]; !named {
				exists(name, source)
			}
		}
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
	}
}

// mainPackage is what the Dockerfile builds for SERVICE.
func mainPackage(service string) string {
	if service == "vmline" {
		return "services/vmline"
	}
	return "services/" + service + "/cmd/" + service
}

func TestComposeRunsEveryServiceAndLooksAtItsHealth(t *testing.T) {
	c, _ := readCompose(t)
	for _, s := range All() {
		got, ok := c.Services[s.Name]
		if !ok {
			t.Errorf("%s is missing", s.Name)
			continue
		}
		if got.Healthcheck == nil || !slices.Equal(got.Healthcheck.Test, []string{"CMD", "/service", "--health"}) {
			t.Errorf("%s: health is not looked at: %+v", s.Name, got.Healthcheck)
		}
		if !got.ReadOnly || got.DependsOn["apply"] == nil {
			t.Errorf("%s does not have what every service has", s.Name)
		}
		if url := got.Environment["VMLINE_NATS_URL"]; !strings.HasPrefix(url, "nats://"+s.Name+":") {
			t.Errorf("%s is not its own user on NATS: %s", s.Name, url)
		}
	}
	for _, name := range []string{"nats", "redis"} {
		if c.Services[name].Healthcheck == nil {
			t.Errorf("%s: health is not looked at", name)
		}
	}
}

// TestComposeGivesSecretsToThoseWhoNeedThem: a container that is broken into gives away its own only.
func TestComposeGivesSecretsToThoseWhoNeedThem(t *testing.T) {
	c, _ := readCompose(t)
	holders := map[string][]string{
		"VMLINE_DC1_TOKEN_SECRET": {"lifecycle", "provisioner"}, "VMLINE_TSIG_SECRET": {"dns"}, "VMLINE_REDIS_URL": {"gateway", "ipam", "provisioner"},
		"/data/secrets/gateway": {"apply", "gateway"}, "/data/secrets/provisioner": {"apply", "provisioner"},
	}
	got := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		for secret := range holders {
			_, inEnvironment := c.Services[name].Environment[secret]
			mounted := slices.ContainsFunc(c.Services[name].Volumes, func(v string) bool { return strings.HasSuffix(v, ":"+secret) })
			if inEnvironment || mounted {
				got[secret] = append(got[secret], name)
			}
		}
	}
	for secret, want := range holders {
		if !slices.Equal(got[secret], want) {
			t.Errorf("%s is given to %v, want %v", secret, got[secret], want)
		}
	}
}

func TestTheDockerfileCopiesOnlyWhatExists(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo(t), "deploy/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	copied := 0
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--from") {
			continue
		}
		for _, source := range words[1 : len(words)-1] {
			copied++
			if _, err := os.Stat(filepath.Join(repo(t), source)); err != nil {
				t.Error(err)
			}
		}
	}
	if copied == 0 {
		t.Error("nothing is copied")
	}
}
