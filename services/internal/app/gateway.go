package app

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/services/gateway"
)

// The API stays on this machine until somebody decides otherwise.
const (
	defaultListen      = "127.0.0.1:8443"
	defaultListenPlain = "127.0.0.1:8080"
)

func (a *App) openGateway() error {
	if err := a.listen(); err != nil {
		return err
	}
	return a.openRedis()
}

func (a *App) listen() error {
	g := a.cfg.Gateway
	address := g.Listen
	switch {
	case address == "" && g.PlainHTTP:
		address = defaultListenPlain
	case address == "":
		address = defaultListen
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	a.listener = listener
	a.onClose(func() error { _ = listener.Close(); return nil }) // the gateway closes it when it stops
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() && g.PlainHTTP {
		a.log.Warn("the API is open to other machines without TLS; put a proxy with TLS before it, or take gateway.plain_http out", "address", address)
	}
	return nil
}

func runGateway(ctx context.Context, a *App) error {
	s, err := readGatewaySecrets(a.cfg)
	if err != nil {
		return err
	}
	c := gateway.Config{
		Bus: a.Bus, Listener: a.listener, Redis: a.redis,
		Token: s.token, Sealer: s.sealer, DigestKey: s.digestKey, Logger: a.log,
		Authorities:     a.cfg.Gateway.PublicNames,
		WebhookNetworks: a.cfg.Gateway.WebhookNetworks, WebhookHTTP: a.cfg.Gateway.WebhookHTTP,
		Limit: gateway.Limit{Requests: a.cfg.Gateway.RequestsPerMinute, Window: time.Minute},
	}
	if !a.cfg.Gateway.PlainHTTP {
		certificate, err := a.certificate()
		if err != nil {
			return err
		}
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
		c.Fingerprint = secrets.Fingerprint(certificate)
	}
	a.log.Info("callers of the API show what stands in this file", "file", TokenFile(a.cfg))
	return gateway.Run(ctx, c)
}

// CertificateFile is where the certificate stands that the gateway makes for itself. Clients can take it
// as their authority.
func CertificateFile(cfg *config.Config) string {
	return filepath.Join(secretsOf(cfg.DataDir, "gateway"), secrets.FileCertificate)
}

// certificate is the configuration's, or the gateway's own.
func (a *App) certificate() (tls.Certificate, error) {
	if given := a.cfg.Gateway.Certificate; given != nil {
		a.log.Info("certificate of the API", "sha256", secrets.Fingerprint(*given))
		return *given, nil
	}
	own, err := secrets.LoadOrCreateCertificate(secretsOf(a.cfg.DataDir, "gateway"), a.certificateNames())
	if err == nil {
		a.log.Info("certificate of the API, made by itself: clients pin its fingerprint or take the file as their authority",
			"sha256", secrets.Fingerprint(own), "file", CertificateFile(a.cfg))
	}
	return own, err
}

// certificateNames are the names under which this machine is likely to be called.
func (a *App) certificateNames() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if ip := a.listener.Addr().(*net.TCPAddr).IP; !ip.IsUnspecified() && !ip.IsLoopback() {
		names = append(names, ip.String())
	}
	for _, name := range a.cfg.Gateway.PublicNames {
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		names = append(names, name)
	}
	return names
}
