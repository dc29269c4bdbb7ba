package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What Proxmox accepts as a token's and as a user's name (pve-access-control).
var (
	tokenIDPattern = regexp.MustCompile(`^[^\s:/!@]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`)
	userPattern    = regexp.MustCompile(`^[^\s:/!]+@[A-Za-z][A-Za-z0-9._-]+$`)
)

// maxInFlight bounds max_in_flight: pveproxy works with few processes.
const maxInFlight = 256

func (k *checker) clusters() {
	seen := map[string]string{}
	for i, c := range k.c.Clusters {
		at := fmt.Sprintf("clusters[%d].", i)
		k.name(at+"name", c.Name, seen)
		k.endpoint(at+"url", c.URL, c)
		for j, endpoint := range c.Endpoints {
			key := fmt.Sprintf("%sendpoints[%d]", at, j)
			if endpoint == "" {
				k.add(key, "want a URL like https://host:8006")
			}
			if endpoint == c.URL || slices.Contains(c.Endpoints[:j], endpoint) {
				k.add(key, "this URL stands here twice")
			}
			k.endpoint(key, endpoint, c)
		}
		k.clusterAccess(at, c)
		k.certificates(at, c)
		for _, t := range []struct {
			key   string
			value time.Duration
		}{{"timeout", c.Timeout}, {"read_timeout", c.ReadTimeout}, {"poll_timeout", c.PollTimeout}} {
			if t.value < 0 {
				k.add(at+t.key, "want a time span above 0, got %s", t.value)
			}
		}
		if c.MaxInFlight < 0 || c.MaxInFlight > maxInFlight {
			k.add(at+"max_in_flight", "want 1 to %d, got %d", maxInFlight, c.MaxInFlight)
		}
		k.placement(at+"placement.", c.Placement)
		k.parking(at, c.ParkingVMIDs)
	}
}

// The VMIDs that Proxmox takes (PVE::JSONSchema pve-vmid).
const minVMID, maxVMID = 100, 999_999_999

func (k *checker) parking(at string, vmids []int) {
	for i, vmid := range vmids {
		if vmid < minVMID || vmid > maxVMID {
			k.add(fmt.Sprintf("%sparking_vmids[%d]", at, i), "want a VMID, %d to %d, got %d", minVMID, maxVMID, vmid)
		}
	}
}

func (k *checker) endpoint(key, raw string, c Cluster) {
	k.url(key, raw, "https://host:8006", "https", "http")
	if u, err := url.Parse(raw); err == nil && u.Scheme == "http" && !c.InsecureSkipVerify && !loopback(u.Hostname()) {
		k.add(key, "the token would travel in clear; use https")
	}
}

// clusterAccess checks that there is a token, or a user with a password.
func (k *checker) clusterAccess(at string, c Cluster) {
	token := c.TokenID != "" || c.TokenSecretFile != "" || c.TokenSecretEnv != ""
	password := c.User != "" || c.PasswordFile != "" || c.PasswordEnv != ""
	switch {
	case c.Name == "" && c.URL == "" && !token && !password:
		return // nothing stands there, reported already
	case token && password:
		k.add(at+"user", "a token and a user with a password are both set; want one")
	case !token && !password:
		k.add(at+"token_id", "missing: want token_id, or user with a password")
	case password:
		if !userPattern.MatchString(c.User) {
			k.add(at+"user", "want name@realm")
		}
		k.oneSource(at, "password", c.PasswordFile, c.PasswordEnv)
	default:
		if !tokenIDPattern.MatchString(c.TokenID) {
			k.add(at+"token_id", "want user@realm!id")
		}
		k.oneSource(at, "token_secret", c.TokenSecretFile, c.TokenSecretEnv)
	}
}

func (k *checker) certificates(at string, c Cluster) {
	if c.Fingerprint != "" && slices.ContainsFunc(strings.Split(c.Fingerprint, ","), notSHA256) {
		k.add(at+"fingerprint", "want the SHA-256 of the certificate, 64 hex digits with or without colons")
	}
	if c.InsecureSkipVerify && (c.Fingerprint != "" || c.CAFile != "") {
		k.add(at+"insecure_skip_verify", "this contradicts ca_file and fingerprint; remove one side")
	}
}

func notSHA256(pin string) bool {
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(pin), ":", ""))
	return err != nil || len(sum) != sha256.Size
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
