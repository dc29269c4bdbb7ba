// Package config reads vmline's one configuration file.
//
// A file is refused as a whole, with every problem at once, each with its line, its key and its
// reason. Secrets never stand in the file: it names files or environment variables that hold them.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"time"
)

// Config is what an operator can choose. Relative paths in the file are relative to the file.
type Config struct {
	// DataDir holds the embedded NATS server's streams and the secrets that are made at the first
	// start.
	DataDir   string    `yaml:"data_dir,required"`
	NATS      NATS      `yaml:"nats"`
	Redis     Redis     `yaml:"redis"`
	Gateway   Gateway   `yaml:"gateway"`
	Clusters  []Cluster `yaml:"clusters"`
	Pools     []Pool    `yaml:"pools"`
	DNS       DNS       `yaml:"dns"`
	Retry     Retry     `yaml:"retry"`
	Observe   Observe   `yaml:"observe"`
	Telemetry Telemetry `yaml:"telemetry"`
	Log       Log       `yaml:"log"`
}

// NATS says where JetStream is.
type NATS struct {
	// URL of one or more servers, separated by commas; empty means a server inside the process.
	URL string `yaml:"url"`
	// CredentialsFile and NKeyFile authenticate; at most one is set.
	CredentialsFile string `yaml:"credentials_file"`
	NKeyFile        string `yaml:"nkey_file"`
	// CAFile verifies the server's certificate; empty means the system's authorities.
	CAFile string `yaml:"ca_file"`
	// Sync of the embedded server: always means that an acknowledged write is on disk, fast that a
	// power cut may lose the last ones. Empty means always.
	Sync string `yaml:"sync" oneof:"always fast"`
	// Replicas of each stream; 0 means 1.
	Replicas int `yaml:"replicas"`
}

// Redis says where the index is. It holds nothing that cannot be built again.
type Redis struct {
	// URL is redis://host:port/db or rediss://...; with ?master_name= of Sentinels, with ?addr= of a Redis Cluster;
	// empty means a server inside the process.
	URL string `yaml:"url"`
}

// Gateway is the HTTP API.
type Gateway struct {
	// Listen is host:port.
	Listen string `yaml:"listen"`
	// TLSCertFile and TLSKeyFile hold the certificate; empty means one that the gateway makes for itself.
	TLSCertFile string `yaml:"tls_cert_file"`
	TLSKeyFile  string `yaml:"tls_key_file"`
	// PlainHTTP leaves TLS to a proxy.
	PlainHTTP bool `yaml:"plain_http"`
	// PublicNames are the names, with their port unless it is the scheme's own, under which clients
	// reach the API where a proxy hides them: signatures cover them. The certificate names them as well.
	PublicNames []string `yaml:"public_names"`
	// RequestsPerMinute is what each key may ask; 0 means the gateway's default.
	RequestsPerMinute int `yaml:"requests_per_minute"`
	// WebhookNetworks are networks that are not public and may be sent webhooks.
	WebhookNetworks []netip.Prefix `yaml:"webhook_networks"`
	// WebhookHTTP lets webhooks go without TLS.
	WebhookHTTP bool `yaml:"webhook_http"`
	// TokenFile holds the installation's own token; empty means one in the data directory, made at the
	// first start.
	TokenFile string `yaml:"token_file"`

	// Certificate is what the two files hold; nil without them.
	Certificate *tls.Certificate `yaml:"-"`
}

// Cluster is one Proxmox VE API. Who we are to it is a token, or a user with a password.
type Cluster struct {
	Name string `yaml:"name,required"`
	// URL is https://host:8006.
	URL string `yaml:"url,required"`
	// Endpoints are more URLs of the same cluster, used in this order while URL cannot be reached.
	Endpoints []string `yaml:"endpoints"`
	// TokenID is user@realm!id.
	TokenID         string `yaml:"token_id"`
	TokenSecretFile string `yaml:"token_secret_file"`
	TokenSecretEnv  string `yaml:"token_secret_env"`
	// User is name@realm, without a second factor.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	PasswordEnv  string `yaml:"password_env"`
	CAFile       string `yaml:"ca_file"`
	// Fingerprint pins the server's certificate: SHA-256, 64 hex digits with or without colons; of
	// several endpoints all of theirs, separated by commas.
	Fingerprint        string `yaml:"fingerprint"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
	// Timeout of a write, of a read, and of a look at a task; 0 means the driver's defaults.
	Timeout     time.Duration `yaml:"timeout"`
	ReadTimeout time.Duration `yaml:"read_timeout"`
	PollTimeout time.Duration `yaml:"poll_timeout"`
	// MaxInFlight is how many requests may be under way at once at each endpoint; 0 means the
	// driver's default.
	MaxInFlight int       `yaml:"max_in_flight"`
	Placement   Placement `yaml:"placement"`
	// ParkingVMIDs are machines, one for each node, that are given the unused disks of a machine which is
	// removed with its backups kept. They are no customer's. Without one on the machine's node such a
	// removal is refused.
	ParkingVMIDs []int `yaml:"parking_vmids"`

	TokenSecret Secret         `yaml:"-"`
	Password    Secret         `yaml:"-"`
	RootCAs     *x509.CertPool `yaml:"-"`
}

// Placement says what new machines and heavy tasks keep to in a cluster. What is nil has the provisioner's
// default; 0 means no limit.
type Placement struct {
	// Maintenance are nodes that get nothing new, besides those that Proxmox itself has in maintenance.
	Maintenance []string `yaml:"maintenance"`
	// MemoryPercent is how much of a node's memory may be promised to machines.
	MemoryPercent *int `yaml:"memory_percent"`
	// CPUPercent is how many cores machines may have for each hundred of a node's.
	CPUPercent *int `yaml:"cpu_percent"`
	// TasksPerNode and TasksPerStorage are how many clones and migrations run at once.
	TasksPerNode    *int `yaml:"tasks_per_node"`
	TasksPerStorage *int `yaml:"tasks_per_storage"`
}

// Pool is a range of addresses that machines get.
type Pool struct {
	Name string `yaml:"name,required"`
	// Cluster whose machines get the addresses.
	Cluster string `yaml:"cluster,required"`
	Bridge  string `yaml:"bridge,required"`
	// VLAN tag, 1 to 4094; 0 means none.
	VLAN    uint32       `yaml:"vlan"`
	Prefix  netip.Prefix `yaml:"prefix,required"`
	Gateway netip.Addr   `yaml:"gateway"`
	// DNSServers that machines are told.
	DNSServers []netip.Addr `yaml:"dns_servers"`
	// First and Last address that may be given; unset means the first and last host of the prefix.
	First netip.Addr `yaml:"first"`
	Last  netip.Addr `yaml:"last"`
	// Exclude are addresses and prefixes that are never given.
	Exclude []string `yaml:"exclude"`
}

// DNS says which zones get records. Without zones no records are made.
type DNS struct {
	Zones []Zone `yaml:"zones"`
}

// Zone is one zone and the server that takes its updates (RFC 2136).
type Zone struct {
	// Name with or without the trailing dot; Load adds it.
	Name string `yaml:"name,required"`
	// Server is host or host:port; Load adds port 53.
	Server string `yaml:"server,required"`
	// TSIG signs the updates; nil sends them unsigned.
	TSIG *TSIG `yaml:"tsig"`
	// TTL of records in seconds; 0 means the service's default.
	TTL uint32 `yaml:"ttl"`
}

// TSIG is a key that a DNS server knows (RFC 8945).
type TSIG struct {
	Name string `yaml:"name,required"`
	// Algorithm is hmac-sha256 when empty.
	Algorithm  string `yaml:"algorithm" oneof:"hmac-sha1 hmac-sha224 hmac-sha256 hmac-sha384 hmac-sha512"`
	SecretFile string `yaml:"secret_file"`
	SecretEnv  string `yaml:"secret_env"`

	// Secret in base64.
	Secret Secret `yaml:"-"`
}

// Retry says how failed steps are retried. 0 means the default of package bus.
type Retry struct {
	First  time.Duration `yaml:"first"`
	Cap    time.Duration `yaml:"cap"`
	GiveUp time.Duration `yaml:"give_up"`
}

// Observe says how clusters are looked at beside the work on machines.
type Observe struct {
	// Every is how often each cluster is read as a whole, with one request; 0 means 15 s.
	Every time.Duration `yaml:"every"`
}

// Telemetry says where traces go.
type Telemetry struct {
	// OTLPEndpoint is the http:// or https:// URL of an OpenTelemetry collector; empty means no
	// traces.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
}

// Log says what is logged and how.
type Log struct {
	Level slog.Level `yaml:"level"`
	// Format is text when empty.
	Format string `yaml:"format" oneof:"text json"`
}

// Embedded says that NATS runs inside the process.
func (n NATS) Embedded() bool { return n.URL == "" }
