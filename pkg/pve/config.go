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
	"strings"
	"time"
)

// Config says how to reach one Proxmox VE cluster. Zero values of the optional fields mean the defaults given here.
type Config struct {
	// Name of the cluster, used in errors. Optional: the host of URL.
	Name string
	// URL of the API: https://host:8006, with or without /api2/json.
	URL string
	// TokenID is user@realm!id, TokenSecret the UUID that Proxmox showed once when the token was made.
	TokenID, TokenSecret string
	// RootCAs verify the server's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Fingerprint pins the server's certificate: its SHA-256, 64 hex digits, with or without colons. Alone it replaces
	// the verification by name and authority (Proxmox signs its own certificates); with RootCAs both must hold.
	Fingerprint string
	// InsecureSkipVerify accepts any certificate, and http:// beyond this machine. For a laboratory only.
	InsecureSkipVerify bool
	// Timeout of one HTTP request; default 40 s, because pveproxy itself gives up after 30 s with 596.
	Timeout time.Duration
	// MaxInFlight is how many requests may be under way at once; default 16.
	MaxInFlight int
	// PollEvery is the interval of a settled poll for a task's end; default 500 ms. The first polls are quicker.
	PollEvery time.Duration
	// Transport carries the requests, beneath this package's own; nil means an http.Transport made from this Config.
	// Where it is given, RootCAs, Fingerprint and InsecureSkipVerify are the giver's business.
	Transport http.RoundTripper
}

const (
	defaultTimeout     = 40 * time.Second
	defaultMaxInFlight = 16
	defaultPollEvery   = 500 * time.Millisecond
	apiPath            = "/api2/json"
)

// A token's name has two characters at least (pve-access-control: pve-tokenid).
var tokenIDPattern = regexp.MustCompile(`^[^\s:/!@]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`)

// checked returns the configuration with defaults filled in and URL in its full form, or what is wrong with it.
func (c Config) checked() (Config, error) {
	u, err := url.Parse(strings.TrimRight(c.URL, "/"))
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return c, fmt.Errorf("pve: URL %q: want https://host:8006", redactURL(c.URL))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return c, fmt.Errorf("pve: URL %q: only scheme, host and port belong here", redactURL(c.URL))
	case u.Path != "" && u.Path != apiPath:
		return c, fmt.Errorf("pve: URL %q: the path must be empty or %s", c.URL, apiPath)
	case u.Scheme == "http" && !c.InsecureSkipVerify && !loopback(u.Hostname()):
		return c, fmt.Errorf("pve: URL %q: the token would travel in clear; use https", c.URL)
	case !tokenIDPattern.MatchString(c.TokenID):
		return c, errors.New("pve: TokenID: want user@realm!id")
	case c.TokenSecret == "" || strings.ContainsAny(c.TokenSecret, " \t\r\n"):
		return c, errors.New("pve: TokenSecret: want the token's UUID")
	case c.Timeout < 0 || c.PollEvery < 0 || c.MaxInFlight < 0:
		return c, errors.New("pve: Timeout, PollEvery and MaxInFlight must not be negative")
	}
	if _, err := c.fingerprint(); err != nil {
		return c, err
	}
	u.Path = apiPath
	c.URL = u.String()
	if c.Name == "" {
		c.Name = u.Hostname()
	}
	c.Timeout = orDefault(c.Timeout, defaultTimeout)
	c.MaxInFlight = orDefault(c.MaxInFlight, defaultMaxInFlight)
	c.PollEvery = orDefault(c.PollEvery, defaultPollEvery)
	return c, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// fingerprint returns the bytes of Fingerprint, nil when none is set.
func (c Config) fingerprint() ([]byte, error) {
	if c.Fingerprint == "" {
		return nil, nil
	}
	sum, err := hex.DecodeString(strings.ReplaceAll(c.Fingerprint, ":", ""))
	if err != nil || len(sum) != sha256.Size {
		return nil, errors.New("pve: Fingerprint: want the SHA-256 of the certificate, 64 hex digits with or without colons")
	}
	return sum, nil
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
