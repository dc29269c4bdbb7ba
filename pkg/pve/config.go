package pve

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says how to reach one Proxmox VE cluster. Zero values of the optional fields mean the defaults given here.
type Config struct {
	// Name of the cluster, used in errors. Optional: the host of URL.
	Name string
	// URL of the API: https://host:8006, with or without /api2/json.
	URL string
	// Endpoints are more URLs of the same cluster, used in this order while URL cannot be reached.
	Endpoints []string
	// TokenID is user@realm!id, TokenSecret the UUID that Proxmox showed once when the token was made.
	TokenID, TokenSecret string
	// User (name@realm) and Password log in where there is no token. The user must have no second factor.
	User, Password string
	// RootCAs verify the server's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Fingerprint pins the server's certificate: its SHA-256, 64 hex digits, with or without colons. Alone it replaces
	// the verification by name and authority (Proxmox signs its own certificates); with RootCAs both must hold. For
	// several endpoints it holds those of all, separated by commas.
	Fingerprint string
	// InsecureSkipVerify accepts any certificate, and http:// beyond this machine. For a laboratory only.
	InsecureSkipVerify bool
	// Timeout of a write; default 40 s, because pveproxy itself gives up after 30 s with 596.
	Timeout time.Duration
	// ReadTimeout of a read; default 35 s, and never more than Timeout by default.
	ReadTimeout time.Duration
	// PollTimeout of a look at a task, which is repeated anyway; default 15 s, and never more than Timeout by default.
	PollTimeout time.Duration
	// MaxInFlight is how many requests may be under way at once at each endpoint; default 16.
	MaxInFlight int
	// PollEvery is the interval of a settled poll for a task's end; default 500 ms. The first polls are quicker.
	PollEvery time.Duration
	// Transport carries the requests, beneath this package's own; nil means an http.Transport made from this Config.
	// Where it is given, RootCAs, Fingerprint and InsecureSkipVerify are the giver's business.
	Transport http.RoundTripper
}

const (
	defaultTimeout     = 40 * time.Second
	defaultReadTimeout = 35 * time.Second
	defaultPollTimeout = 15 * time.Second
	defaultMaxInFlight = 16
	defaultPollEvery   = 500 * time.Millisecond
	apiPath            = "/api2/json"
)

// A token's name has two characters at least (pve-access-control: pve-tokenid).
var tokenIDPattern = regexp.MustCompile(`^[^\s:/!@]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`)

var userPattern = regexp.MustCompile(`^[^\s:/!]+@[A-Za-z][A-Za-z0-9._-]+$`)

// checked returns the configuration with defaults filled in and the URLs in their full form, or what is wrong with it.
func (c Config) checked() (Config, error) {
	urls := c.urls()
	for i, raw := range urls {
		u, err := c.checkedURL(raw)
		if err != nil {
			return c, err
		}
		if urls[i] = u.String(); slices.Contains(urls[:i], urls[i]) {
			return c, fmt.Errorf("pve: URL %q is given twice", raw)
		}
		if c.Name == "" {
			c.Name = u.Hostname()
		}
	}
	c.URL, c.Endpoints = urls[0], urls[1:]
	if err := c.checkAccess(); err != nil {
		return c, err
	}
	if _, err := c.fingerprints(); err != nil {
		return c, err
	}
	if min(c.Timeout, c.ReadTimeout, c.PollTimeout, c.PollEvery) < 0 || c.MaxInFlight < 0 {
		return c, errors.New("pve: Timeout, ReadTimeout, PollTimeout, PollEvery and MaxInFlight must not be negative")
	}
	c.Timeout = orDefault(c.Timeout, defaultTimeout)
	c.ReadTimeout = orDefault(c.ReadTimeout, min(defaultReadTimeout, c.Timeout))
	c.PollTimeout = orDefault(c.PollTimeout, min(defaultPollTimeout, c.Timeout))
	c.MaxInFlight = orDefault(c.MaxInFlight, defaultMaxInFlight)
	c.PollEvery = orDefault(c.PollEvery, defaultPollEvery)
	return c, nil
}

// urls are the endpoints in their order.
func (c Config) urls() []string { return append([]string{c.URL}, c.Endpoints...) }

// secrets are what must never be seen.
func (c Config) secrets() []string { return []string{c.TokenSecret, c.Password} }

func (c Config) checkedURL(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("pve: URL %q: want https://host:8006", redactURL(raw))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("pve: URL %q: only scheme, host and port belong here", redactURL(raw))
	case u.Path != "" && u.Path != apiPath:
		return nil, fmt.Errorf("pve: URL %q: the path must be empty or %s", raw, apiPath)
	case u.Scheme == "http" && !c.InsecureSkipVerify && !loopback(u.Hostname()):
		return nil, fmt.Errorf("pve: URL %q: the token would travel in clear; use https", raw)
	}
	u.Path = apiPath
	return u, nil
}

// checkAccess checks that there is a token, or a user with a password.
func (c Config) checkAccess() error {
	switch {
	case c.User == "" && c.Password == "":
		if !tokenIDPattern.MatchString(c.TokenID) {
			return errors.New("pve: TokenID: want user@realm!id")
		}
		if c.TokenSecret == "" || strings.ContainsAny(c.TokenSecret, " \t\r\n") {
			return errors.New("pve: TokenSecret: want the token's UUID")
		}
	case c.TokenID != "" || c.TokenSecret != "":
		return errors.New("pve: a token and a user with a password are both set; want one")
	case !userPattern.MatchString(c.User):
		return errors.New("pve: User: want name@realm")
	case c.Password == "":
		return errors.New("pve: Password: missing")
	}
	return nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// fingerprints returns the bytes of each in Fingerprint, nil when none is set.
func (c Config) fingerprints() ([][]byte, error) {
	if c.Fingerprint == "" {
		return nil, nil
	}
	var out [][]byte
	for part := range strings.SplitSeq(c.Fingerprint, ",") {
		sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(part), ":", ""))
		if err != nil || len(sum) != sha256.Size {
			return nil, errors.New("pve: Fingerprint: want the SHA-256 of the certificate, 64 hex digits with or without colons")
		}
		out = append(out, sum)
	}
	return out, nil
}

// loopback reports whether a host is this machine itself.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}

// redactURL keeps a password that someone put into the URL out of the error about it.
func redactURL(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return "(not readable)"
}
