package operator

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// trust says which certificate the gateway may show: one with the fingerprint, else one that the file's
// certificates vouch for, else one that the system's do or that stands beside the token.
func (r *remote) trust() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case r.fingerprint != "":
		pin, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(r.fingerprint), ":", ""))
		if err != nil || len(pin) != sha256.Size {
			return nil, exit.BadUsagef("--tls-fingerprint is no SHA-256: want 64 hexadecimal digits, colons between them or not")
		}
		// The pin is the verification.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(pin, s) }
	case r.caFile != "":
		cfg.RootCAs = x509.NewCertPool()
		return cfg, addCertificates(cfg.RootCAs, r.caFile)
	default:
		var err error
		cfg.RootCAs, err = besideToken(r.tokenFile)
		return cfg, err
	}
	return cfg, nil
}

// besideToken are the system's certificates and the one that a gateway makes for itself and keeps with its
// token; nil stands for the system's alone.
func besideToken(tokenFile string) (*x509.CertPool, error) {
	own := filepath.Join(filepath.Dir(tokenFile), "tls.crt")
	if _, err := os.Stat(own); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without certificates
	}
	return pool, addCertificates(pool, own)
}

func addCertificates(pool *x509.CertPool, file string) error {
	pem, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &config.NoFile{Path: file}
	}
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return nil
}

func checkPin(pin []byte, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return &wrongCertificate{errors.New("the gateway showed no certificate")}
	}
	got := sha256.Sum256(s.PeerCertificates[0].Raw)
	if subtle.ConstantTimeCompare(pin, got[:]) != 1 {
		return &wrongCertificate{fmt.Errorf("the gateway's certificate has the fingerprint %x, which is not the one that was given; nothing was sent", got)}
	}
	return nil
}

// wrongCertificate is a gateway that shows another certificate than the pinned one.
type wrongCertificate struct{ error }

// trustFailed says that a call failed because of who the gateway is; it was not sent.
func trustFailed(err error) bool {
	var (
		authority *tls.CertificateVerificationError
		pin       *wrongCertificate
	)
	return errors.As(err, &authority) || errors.As(err, &pin)
}
