package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const cluster = `
clusters:
  - {name: dc1, url: "https://pve.example:8006", token_id: "a@pve!ab", token_secret_env: TOKEN}
`

// refusals are files, and the exact words that their writers read.
var refusals = []struct {
	name string
	yaml string
	want []string
}{
	{"empty", "", []string{"f.yaml: data_dir: missing"}},
	{"only comments", "# nothing\n", []string{"f.yaml: data_dir: missing"}},
	{"not YAML", "data_dir: [", []string{"f.yaml:1: not YAML: sequence end token ']' not found"}},
	{"a list", "- data_dir: d\n", []string{"f.yaml: want a section with keys, got a list"}},
	{"two documents", "data_dir: d\n---\ndata_dir: e\n", []string{"f.yaml:3: a second document; want one"}},
	{"unknown keys, all at once", "data_dir: d\nnast:\n  url: x\nlog:\n  lvel: debug\n", []string{
		"f.yaml:2: nast: unknown key; known here: data_dir, nats, redis, gateway, clusters, pools, dns, retry, observe, telemetry, log",
		"f.yaml:5: log.lvel: unknown key; known here: level, format",
	}},
	{"twice", "data_dir: d\ndata_dir: e\n", []string{"f.yaml:2: not YAML: mapping key \"data_dir\" already defined at [1:1]"}},
	{"anchor", "data_dir: &a d\nlog: {format: *a}\n", []string{
		"f.yaml:1: data_dir: anchors, aliases and tags are not supported; write the value out",
		"f.yaml:2: log.format: anchors, aliases and tags are not supported; write the value out",
	}},
	{"wrong types", "data_dir: 7\nnats: [a]\nclusters: {name: x}\nretry: {first: 5}\nlog: {level: 3, format: {a: b}}\n", []string{
		"f.yaml:1: data_dir: want text; put it in quotes if it is meant as text, got the number 7",
		"f.yaml:2: nats: want a section with keys, got a list",
		"f.yaml:3: clusters: want a list, got a section",
		"f.yaml:4: retry.first: want a time span like 30s or 5m, got the number 5",
		"f.yaml:5: log.format: want text; put it in quotes if it is meant as text, got a section",
		"f.yaml:5: log.level: want debug, info, warn or error, got the number 3",
	}},
	{"bad values", "data_dir: d\nnats: {sync: sometimes}\nretry: {first: soon}\nlog: {level: loud, format: xml}\n", []string{
		`f.yaml:2: nats.sync: want one of always, fast, got "sometimes"`,
		`f.yaml:3: retry.first: want a time span like 30s or 5m, got "soon"`,
		`f.yaml:4: log.format: want one of text, json, got "xml"`,
		`f.yaml:4: log.level: want debug, info, warn or error, got "loud"`,
	}},
	{"nats without a server", "data_dir: d\nnats:\n  ca_file: ca\n  replicas: 3\n", []string{
		"f.yaml:3: nats.ca_file: this is for a server of its own, but nats.url is empty",
		"f.yaml:4: nats.replicas: the embedded server has no others to replicate to; want 1, got 3",
	}},
	{"nats with a server", "data_dir: d\nnats:\n  url: http://x\n  sync: fast\n  replicas: 2\n  nkey_file: a\n  credentials_file: b\n", []string{
		"f.yaml:3: nats.url: want a URL like nats://host:4222",
		"f.yaml:4: nats.sync: this is for the embedded server; a server of its own has sync_interval in its own configuration",
		"f.yaml:5: nats.replicas: want 1, 3 or 5, got 2",
		"f.yaml:6: nats.nkey_file: credentials_file and nkey_file are both set; want one",
	}},
	{"passwords in URLs", "data_dir: d\nnats: {url: \"nats://u:hunter2@h\"}\nredis:\n  url: redis://:hunter2@h\ntelemetry: {otlp_endpoint: \"http://u:hunter2@h\"}\n", []string{
		"f.yaml:2: nats.url: a user or password must not stand in the file; give the whole URL in an environment variable (VMLINE_NATS_URL)",
		"f.yaml:4: redis.url: a user or password must not stand in the file; give the whole URL in an environment variable (VMLINE_REDIS_URL)",
		"f.yaml:5: telemetry.otlp_endpoint: a user or password must not stand in the file; give the whole URL in an environment variable (none for this key)",
	}},
	{"a password in a URL's query", "data_dir: d\nredis: {url: \"redis://s1?master_name=m&password=hunter2\"}\n", []string{
		"f.yaml:2: redis.url: a user or password must not stand in the file; give the whole URL in an environment variable (VMLINE_REDIS_URL)",
	}},
	{"gateway", "data_dir: d\ngateway:\n  listen: localhost\n  tls_cert_file: c\n", []string{
		"f.yaml:2: gateway: tls_cert_file and tls_key_file belong together; one of them is missing",
		`f.yaml:3: gateway.listen: want host:port like 127.0.0.1:8080, got "localhost"`,
	}},
	{"cluster: missing", "data_dir: d\nclusters:\n  - name: dc1\n    url:\n  -\n", []string{
		"f.yaml:3: clusters[0].token_id: missing: want token_id, or user with a password",
		"f.yaml:4: clusters[0].url: missing",
		"f.yaml:5: clusters[1]: empty list item",
	}},
	{"cluster: half an access", "data_dir: d\nclusters:\n" +
		"  - {name: a, url: \"https://a\", token_id: \"a@pve!ab\"}\n" +
		"  - {name: b, url: \"https://b\", token_secret_env: TOKEN}\n" +
		"  - {name: c, url: \"https://c\", user: root@pam}\n" +
		"  - {name: d, url: \"https://d\", password_env: TOKEN}\n" +
		"  - {name: e, url: \"https://e\", user: root, password_env: TOKEN, password_file: none}\n" +
		"  - {name: f, url: \"https://f\", token_id: \"a@pve!ab\", token_secret_env: TOKEN, user: root@pam, password_env: TOKEN}\n", []string{
		"f.yaml:3: clusters[0].token_secret_file: missing: want token_secret_file or token_secret_env",
		"f.yaml:4: clusters[1].token_id: want user@realm!id",
		"f.yaml:5: clusters[2].password_file: missing: want password_file or password_env",
		"f.yaml:6: clusters[3].user: want name@realm",
		"f.yaml:7: clusters[4].password_env: password_file and password_env are both set; want one",
		"f.yaml:7: clusters[4].user: want name@realm",
		"f.yaml:8: clusters[5].user: a token and a user with a password are both set; want one",
	}},
	{"cluster: endpoints", `
data_dir: d
clusters:
  - name: a
    url: https://a:8006
    endpoints:
      - https://a:8006
      - http://b:8006
      - "https://u:hunter2@c:8006"
      - ""
    token_id: a@pve!ab
    token_secret_env: TOKEN
    read_timeout: -1s
    poll_timeout: -2s
    max_in_flight: 1000
    fingerprint: "ab, cd"
    parking_vmids: [99]
`, []string{
		"f.yaml:7: clusters[0].endpoints[0]: this URL stands here twice",
		"f.yaml:8: clusters[0].endpoints[1]: the token would travel in clear; use https",
		"f.yaml:9: clusters[0].endpoints[2]: a user or password must not stand in the file; give the whole URL in an environment variable (none for this key)",
		"f.yaml:10: clusters[0].endpoints[3]: want a URL like https://host:8006",
		"f.yaml:13: clusters[0].read_timeout: want a time span above 0, got -1s",
		"f.yaml:14: clusters[0].poll_timeout: want a time span above 0, got -2s",
		"f.yaml:15: clusters[0].max_in_flight: want 1 to 256, got 1000",
		"f.yaml:16: clusters[0].fingerprint: want the SHA-256 of the certificate, 64 hex digits with or without colons",
		"f.yaml:17: clusters[0].parking_vmids[0]: want a VMID, 100 to 999999999, got 99",
	}},
	{"cluster: bad", `
data_dir: d
clusters:
  - name: dc 1
    url: https://pve:99999
    token_id: root
    token_secret_file: none
    token_secret_env: TOKEN
    fingerprint: ab
    insecure_skip_verify: true
    timeout: -1s
  - {name: x, url: "http://pve:8006", token_id: "a@pve!ab", token_secret_env: TOKEN}
  - {name: x, url: "https://pve:8006", token_id: "a@pve!ab", token_secret_env: TOKEN}
`, []string{
		`f.yaml:4: clusters[0].name: want up to 32 lower-case letters, digits and hyphens, got "dc 1"`,
		"f.yaml:5: clusters[0].url: want a URL like https://host:8006",
		"f.yaml:6: clusters[0].token_id: want user@realm!id",
		"f.yaml:8: clusters[0].token_secret_env: token_secret_file and token_secret_env are both set; want one",
		"f.yaml:9: clusters[0].fingerprint: want the SHA-256 of the certificate, 64 hex digits with or without colons",
		"f.yaml:10: clusters[0].insecure_skip_verify: this contradicts ca_file and fingerprint; remove one side",
		"f.yaml:11: clusters[0].timeout: want a time span above 0, got -1s",
		"f.yaml:12: clusters[1].url: the token would travel in clear; use https",
		`f.yaml:13: clusters[2].name: "x" is already the name of clusters[1]`,
	}},
	{"cluster: placement", `
data_dir: d
clusters:
  - name: a
    url: https://a:8006
    token_id: a@pve!ab
    token_secret_env: TOKEN
    placement:
      maintenance: [pve1, "pve 2", pve1, ""]
      memory_percent: 1001
      cpu_percent: -1
      tasks_per_node: many
      tasks_per_storage: 1001
      tasks: 3
`, []string{
		`f.yaml:9: clusters[0].placement.maintenance[1]: want the name of a node, got "pve 2"`,
		"f.yaml:9: clusters[0].placement.maintenance[2]: this node stands here twice",
		`f.yaml:9: clusters[0].placement.maintenance[3]: want the name of a node, got ""`,
		"f.yaml:10: clusters[0].placement.memory_percent: want 1 to 1000, or 0 for no limit, got 1001",
		"f.yaml:11: clusters[0].placement.cpu_percent: want 1 to 10000, or 0 for no limit, got -1",
		"f.yaml:12: clusters[0].placement.tasks_per_node: want a whole number, got text",
		"f.yaml:13: clusters[0].placement.tasks_per_storage: want 1 to 1000, or 0 for no limit, got 1001",
		"f.yaml:14: clusters[0].placement.tasks: unknown key; known here: maintenance, memory_percent, cpu_percent, tasks_per_node, tasks_per_storage",
	}},
	{"pool: missing", "data_dir: d\npools:\n  - name: a\n", []string{
		"f.yaml:3: pools[0].bridge: missing", "f.yaml:3: pools[0].cluster: missing", "f.yaml:3: pools[0].prefix: missing",
	}},
	{"pool: bad", "data_dir: d" + cluster + `pools:
  - name: a.b
    cluster: dc2
    bridge: 0vmbr
    vlan: 5000
    prefix: 203.0.113.7/24
    gateway: 203.0.113.300
  - name: b
    cluster: dc1
    bridge: vmbr0
    prefix: 203.0.113.0/24
    gateway: 198.51.100.1
    dns_servers: [one]
    first: 203.0.113.9
    last: 203.0.113.3
    exclude: [203.0.113.256, 198.51.100.0/24, "203.0.113.0/33"]
`, []string{
		`f.yaml:5: pools[0].name: want up to 32 lower-case letters, digits and hyphens, got "a.b"`,
		`f.yaml:6: pools[0].cluster: there is no cluster "dc2" in this file`,
		`f.yaml:7: pools[0].bridge: want a bridge like vmbr0, got "0vmbr"`,
		"f.yaml:8: pools[0].vlan: want 1 to 4094, or 0 for none, got 5000",
		"f.yaml:9: pools[0].prefix: 203.0.113.7/24 has bits set beyond its length; want 203.0.113.0/24",
		`f.yaml:10: pools[0].gateway: want an IP address like 203.0.113.7, got "203.0.113.300"`,
		"f.yaml:15: pools[1].gateway: 198.51.100.1 is not in 203.0.113.0/24",
		`f.yaml:16: pools[1].dns_servers[0]: want an IP address like 203.0.113.7, got "one"`,
		"f.yaml:18: pools[1].last: 203.0.113.3 comes before first, 203.0.113.9",
		`f.yaml:19: pools[1].exclude[0]: want an address or a network, got "203.0.113.256"`,
		"f.yaml:19: pools[1].exclude[1]: 198.51.100.0/24 is not in 203.0.113.0/24",
		`f.yaml:19: pools[1].exclude[2]: want an address or a network, got "203.0.113.0/33"`,
	}},
	{"pools that overlap", "data_dir: d" + cluster + `pools:
  - {name: a, cluster: dc1, bridge: vmbr0, prefix: 203.0.113.0/24, last: 203.0.113.99}
  - {name: b, cluster: dc1, bridge: vmbr0, prefix: 203.0.113.0/24, first: 203.0.113.100}
  - {name: c, cluster: dc1, bridge: vmbr0, prefix: 203.0.113.128/25}
  - {name: d, cluster: dc1, bridge: vmbr0, vlan: 7, prefix: 203.0.112.0/24}
`, []string{
		"f.yaml:7: pools[2].prefix: some addresses are also in pools[1] (b); narrow first and last",
	}},
	{"zones", `
data_dir: d
dns:
  zones:
    - {name: a..b, server: "ns1:0"}
    - name: example.net
      server: 2001:db8::53
      ttl: -1
      tsig: {name: "k y", algorithm: hmac-md5}
    - {name: Example.net., server: ns1, ttl: 2147483648}
`, []string{
		`f.yaml:5: dns.zones[0].name: want a domain name, got "a..b"`,
		`f.yaml:5: dns.zones[0].server: want host or host:port, got "ns1:0"`,
		`f.yaml:8: dns.zones[1].ttl: want a whole number from 0, got "-1"`,
		`f.yaml:9: dns.zones[1].tsig.algorithm: want one of hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512, got "hmac-md5"`,
		`f.yaml:9: dns.zones[1].tsig.name: want the key's name as the server knows it, got "k y"`,
		"f.yaml:9: dns.zones[1].tsig.secret_file: missing: want secret_file or secret_env",
		`f.yaml:10: dns.zones[2].name: "example.net" is already the name of dns.zones[1]`,
		"f.yaml:10: dns.zones[2].ttl: want seconds from 0 to 2147483647, got 2147483648",
	}},
	{"observe", "data_dir: d\nobserve: {every: 10ms}\n", []string{
		"f.yaml:2: observe.every: want a time span not below 1s, got 10ms",
	}},
	{"retry", "data_dir: d\nretry: {first: 1m, cap: 1s, give_up: 5s}\n", []string{
		"f.yaml:2: retry.cap: want a time span not below retry.first",
		"f.yaml:2: retry.give_up: want a time span not below retry.cap",
	}},
}

func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse("f.yaml", []byte(tt.yaml), env("TOKEN", "x"), nil)
			if err == nil {
				t.Fatal("not refused")
			}
			if got, want := err.Error(), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a password was printed")
			}
		})
	}
}

// TestRefusesBadSecrets needs real files: their content and their mode.
func TestRefusesBadSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("open", "hunter2", 0o644)
	write("empty", " \n", 0o600)
	write("long", strings.Repeat("x", maxSecret+1), 0o600)
	write("good", "hunter2\n", 0o640)
	write("no.pem", "hunter2", 0o600)
	path := filepath.Join(dir, "vmline.yaml")
	write("vmline.yaml", `
data_dir: d
gateway: {tls_cert_file: no.pem, tls_key_file: good}
clusters:
  - {name: a, url: "https://h", token_id: "a@pve!ab", token_secret_file: open}
  - {name: b, url: "https://h", token_id: "a@pve!ab", token_secret_file: empty}
  - {name: c, url: "https://h", token_id: "a@pve!ab", token_secret_file: long}
  - {name: d, url: "https://h", token_id: "a@pve!ab", token_secret_file: none}
  - {name: e, url: "https://h", token_id: "a@pve!ab", token_secret_env: NONE}
  - {name: f, url: "https://h", token_id: "a@pve!ab", token_secret_file: good, ca_file: no.pem}
dns:
  zones:
    - {name: a, server: b, tsig: {name: k, secret_file: good}}
`, 0o600)
	_, err := Load(path, env(), allParts...)
	if err == nil {
		t.Fatal("not refused")
	}
	want := strings.NewReplacer("F:", path+":", "D/", dir+"/").Replace(strings.Join([]string{
		"F:3: gateway.tls_cert_file: certificate and key do not work together: tls: failed to find any PEM data in certificate input",
		"F:5: clusters[0].token_secret_file: everybody on this machine can use D/open (mode 0644); run: chmod o= D/open",
		"F:6: clusters[1].token_secret_file: D/empty is empty",
		"F:7: clusters[2].token_secret_file: D/long is longer than 4096 bytes",
		"F:8: clusters[3].token_secret_file: there is no file D/none",
		"F:9: clusters[4].token_secret_env: the environment variable NONE is empty",
		"F:10: clusters[5].ca_file: D/no.pem holds no certificate in PEM form",
		"F:13: dns.zones[0].tsig.secret_file: the secret is not base64",
	}, "\n"))
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}
