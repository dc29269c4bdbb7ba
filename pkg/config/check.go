package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker finds values that are well-formed and make no sense.
type checker struct {
	*report
	c *Config
}

func (k *checker) check() {
	k.nats()
	k.url("redis.url", k.c.Redis.URL, "redis://host:6379", "redis", "rediss")
	k.gateway()
	k.clusters()
	k.pools()
	k.zones()
	k.retry()
	k.observe()
	k.url("telemetry.otlp_endpoint", k.c.Telemetry.OTLPEndpoint, "http://host:4318", "http", "https")
}

func (k *checker) nats() {
	n := k.c.NATS
	if n.URL != "" {
		for server := range strings.SplitSeq(n.URL, ",") {
			k.url("nats.url", strings.TrimSpace(server), "nats://host:4222", "nats", "tls", "ws", "wss")
		}
	}
	for key, v := range map[string]string{"credentials_file": n.CredentialsFile, "nkey_file": n.NKeyFile, "ca_file": n.CAFile} {
		if v != "" && n.Embedded() {
			k.add("nats."+key, "this is for a server of its own, but nats.url is empty")
		}
	}
	if n.CredentialsFile != "" && n.NKeyFile != "" {
		k.add("nats.nkey_file", "credentials_file and nkey_file are both set; want one")
	}
	if n.Sync != "" && !n.Embedded() {
		k.add("nats.sync", "this is for the embedded server; a server of its own has sync_interval in its own configuration")
	}
	if n.Replicas != 0 && !slices.Contains([]int{1, 3, 5}, n.Replicas) {
		k.add("nats.replicas", "want 1, 3 or 5, got %d", n.Replicas)
	} else if n.Replicas > 1 && n.Embedded() {
		k.add("nats.replicas", "the embedded server has no others to replicate to; want 1, got %d", n.Replicas)
	}
}

// url checks a URL, which may be absent. What is not an override must not hold a password.
func (k *checker) url(key, raw, example string, schemes ...string) {
	if raw == "" {
		return
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || badPort(u):
		k.add(key, "want a URL like %s", example)
	case (u.User != nil || u.Query().Has("password")) && k.env[key] == "":
		k.add(key, "a user or password must not stand in the file; give the whole URL in an environment variable (%s)", k.override(key))
	case u.Fragment != "":
		k.add(key, "want a URL like %s without a fragment", example)
	}
}

func (k *checker) override(key string) string {
	for _, o := range overrides {
		if o.key == key {
			return o.env
		}
	}
	return "none for this key"
}

func badPort(u *url.URL) bool {
	if u.Port() == "" {
		return strings.HasSuffix(u.Host, ":")
	}
	return !validPort(u.Port())
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (k *checker) gateway() {
	g := k.c.Gateway
	if g.Listen != "" {
		host, port, err := net.SplitHostPort(g.Listen)
		_, addrErr := netip.ParseAddr(host)
		if err != nil || (port != "0" && !validPort(port)) || (host != "" && addrErr != nil && !hostPattern.MatchString(host)) {
			k.add("gateway.listen", "want host:port like 127.0.0.1:8080, got %q", g.Listen)
		}
	}
	if (g.TLSCertFile == "") != (g.TLSKeyFile == "") {
		k.add("gateway", "tls_cert_file and tls_key_file belong together; one of them is missing")
	}
	if g.PlainHTTP && g.TLSCertFile != "" {
		k.add("gateway.plain_http", "this leaves TLS to a proxy, but tls_cert_file is set; want one")
	}
	for i, name := range g.PublicNames {
		if !authorityPattern.MatchString(name) {
			k.add(fmt.Sprintf("gateway.public_names[%d]", i), "want a host name with or without :port, like vmline.example.com, got %q", name)
		}
	}
	if g.RequestsPerMinute < 0 {
		k.add("gateway.requests_per_minute", "want a number above 0, got %d", g.RequestsPerMinute)
	}
}

// authorityPattern is for host names or IPv4 addresses with a port, and IPv6 addresses in brackets.
var authorityPattern = regexp.MustCompile(`^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// namePattern is for names that become tokens of subjects and keys. The API takes the same.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// hostPattern is for host names and, with its dots, domain names.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*$`)

// name checks a name and that it stands once in its list.
func (k *checker) name(key, name string, seen map[string]string) {
	switch {
	case name == "":
		return // missing, reported already
	case !namePattern.MatchString(name):
		k.add(key, "want up to 32 lower-case letters, digits and hyphens, got %q", name)
	case seen[name] != "":
		k.add(key, "%q is already the name of %s", name, seen[name])
	default:
		seen[name] = strings.TrimSuffix(key, ".name")
	}
}

// oneSource checks that a secret comes from a file or from a variable, not both and not neither.
func (k *checker) oneSource(at, name, file, env string) {
	switch {
	case file == "" && env == "":
		k.add(at+name+"_file", "missing: want %s_file or %s_env", name, name)
	case file != "" && env != "":
		k.add(at+name+"_env", "%s_file and %s_env are both set; want one", name, name)
	}
}

// leastEvery is the shortest interval that a schedule of JetStream has.
const leastEvery = time.Second

func (k *checker) observe() {
	if every := k.c.Observe.Every; every != 0 && every < leastEvery {
		k.add("observe.every", "want a time span not below %s, got %s", leastEvery, every)
	}
}

func (k *checker) retry() {
	r := k.c.Retry
	steps := []struct {
		key   string
		value int64
		least string
	}{
		{"first", int64(r.First), "0s"}, {"cap", int64(r.Cap), "retry.first"}, {"give_up", int64(r.GiveUp), "retry.cap"},
	}
	var least int64
	for _, s := range steps {
		if s.value < least && s.value != 0 {
			k.add("retry."+s.key, "want a time span not below %s", s.least)
		}
		least = max(least, s.value)
	}
}
