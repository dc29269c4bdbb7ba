package pve

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"time"
)

// pveproxy closes a connection that was idle for 5 s (PVE::APIServer::AnyEvent, timeout). We let go first: a request
// that meets the closing of its connection would have an unknown outcome.
const idleTimeout = 4 * time.Second

// connectTimeout leaves time for another endpoint. A lost SYN is sent again after 1 s and 3 s.
const connectTimeout = 5 * time.Second

// newHTTPTransport makes the transport for a checked Config that brings none.
func newHTTPTransport(c Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}).DialContext,
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
	pins, _ := c.fingerprints() // checked before
	if pins == nil {
		return cfg
	}
	// The pin is the verification, unless the caller asks for an authority as well.
	cfg.InsecureSkipVerify = cfg.InsecureSkipVerify || c.RootCAs == nil
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkPins(pins, s) }
	return cfg
}

// wrongCertificate is a server that showed another certificate than the pinned ones.
type wrongCertificate struct{ why string }

func (w *wrongCertificate) Error() string { return w.why }

// checkPins compares what the server showed with the pins, each of which is a node's of the same cluster.
func checkPins(pins [][]byte, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return &wrongCertificate{"the server showed no certificate"}
	}
	got, same := sha256.Sum256(s.PeerCertificates[0].Raw), 0
	for _, pin := range pins {
		same |= subtle.ConstantTimeCompare(pin, got[:])
	}
	if same != 1 {
		return &wrongCertificate{"the server's certificate has the fingerprint " + colons(got[:]) + ", which is not pinned"}
	}
	return nil
}

// Distrusted reports an error about who the server is: its certificate is not the pinned one, or no authority that we
// trust vouches for it. Another endpoint is not asked instead: whoever put that server there would go unnoticed.
func Distrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, pin := errors.AsType[*wrongCertificate](err)
	return verification || pin
}

// colons prints a fingerprint the way Proxmox and openssl do.
func colons(sum []byte) string {
	parts := make([][]byte, len(sum))
	for i, b := range sum {
		parts[i] = bytes.ToUpper([]byte(hex.EncodeToString([]byte{b})))
	}
	return string(bytes.Join(parts, []byte(":")))
}
