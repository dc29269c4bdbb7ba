package pve

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// pveproxy closes a connection that was idle for 5 s (PVE::APIServer::AnyEvent, timeout). We let go first: a request
// that meets the closing of its connection would have an unknown outcome.
const idleTimeout = 4 * time.Second

// newHTTPTransport makes the transport for a checked Config that brings none.
func newHTTPTransport(c Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        tlsConfig(c),
		TLSHandshakeTimeout:    10 * time.Second,
		MaxConnsPerHost:        c.MaxInFlight,
		MaxIdleConns:           c.MaxInFlight,
		MaxIdleConnsPerHost:    c.MaxInFlight,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func tlsConfig(c Config) *tls.Config {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            c.RootCAs,
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // named option, off by default
	}
	pin, _ := c.fingerprint() // checked before
	if pin == nil {
		return cfg
	}
	// The pin is the verification, unless the caller asks for an authority as well.
	cfg.InsecureSkipVerify = cfg.InsecureSkipVerify || c.RootCAs == nil
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(pin, s) }
	return cfg
}

func checkPin(pin []byte, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	got := sha256.Sum256(s.PeerCertificates[0].Raw)
	if subtle.ConstantTimeCompare(pin, got[:]) != 1 {
		return fmt.Errorf("the server's certificate has the fingerprint %s, which is not the pinned one", colons(got[:]))
	}
	return nil
}

// colons prints a fingerprint the way Proxmox and openssl do.
func colons(sum []byte) string {
	parts := make([][]byte, len(sum))
	for i, b := range sum {
		parts[i] = bytes.ToUpper([]byte(hex.EncodeToString([]byte{b})))
	}
	return string(bytes.Join(parts, []byte(":")))
}
