package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// Names of the files of a certificate that vmline has made for itself.
const (
	FileCertificate    = "tls.crt"
	FileCertificateKey = "tls.key"
)

// certificateYears is how long such a certificate is good: clients pin it, so it outlives most servers.
const certificateYears = 10

// LoadOrCreateCertificate returns the certificate in dir, and makes one for names and addresses on the
// first call. It is signed by itself: a client takes it as its authority, or pins its fingerprint.
func LoadOrCreateCertificate(dir string, names []string) (tls.Certificate, error) {
	key, err := loadOrCreate(dir, FileCertificateKey, newCertificateKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := loadOrCreate(dir, FileCertificate, func() (string, error) { return signOwn(key, names, time.Now()) })
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w; delete both to have new ones made", filepath.Join(dir, FileCertificate), FileCertificateKey, err)
	}
	return pair, nil
}

// NewCertificate makes a certificate for names and addresses that is stored nowhere. It is signed by itself.
func NewCertificate(names []string) (tls.Certificate, error) {
	key, err := newCertificateKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := signOwn(key, names, time.Now())
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair([]byte(certificate), []byte(key))
}

// Fingerprint is the SHA-256 of a certificate as tools print it: AB:CD:...
func Fingerprint(c tls.Certificate) string {
	if len(c.Certificate) == 0 {
		return ""
	}
	sum := sha256.Sum256(c.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func newCertificateKey() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make the key of a certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("make the key of a certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// signOwn makes the certificate of a key, signed with that key.
func signOwn(keyPEM string, names []string, now time.Time) (string, error) {
	block, _ := pem.Decode([]byte(keyPEM))
	if block == nil {
		return "", fmt.Errorf("%s holds no key in PEM form", FileCertificateKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("%s: %w", FileCertificateKey, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("%s holds a key of another kind than ECDSA", FileCertificateKey)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(random(16)), Subject: pkix.Name{CommonName: "vmline"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(certificateYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, // its own authority, and nobody else's
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", fmt.Errorf("make a certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
