package operator

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// Environment variables that say how to reach the gateway.
const (
	envURL         = "VMLINE_URL"
	envTokenFile   = "VMLINE_TOKEN_FILE" //nolint:gosec // the name of a variable
	envCAFile      = "VMLINE_CA_FILE"
	envFingerprint = "VMLINE_TLS_FINGERPRINT"
)

const defaultURL = "https://127.0.0.1:8443"

// remote says how to reach the gateway.
type remote struct{ url, tokenFile, caFile, fingerprint string }

func (r *remote) addFlags(c *cobra.Command) {
	gateway := os.Getenv(envURL)
	if gateway == "" {
		gateway = defaultURL
	}
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", gateway, "URL of the gateway; default $"+envURL)
	f.StringVar(&r.tokenFile, "token-file", os.Getenv(envTokenFile), "file with the API's token; default $"+envTokenFile)
	f.StringVar(&r.caFile, "ca-file", os.Getenv(envCAFile), "certificates that verify the gateway's, in PEM form; default $"+envCAFile+", else the system's and tls.crt beside the token")
	f.StringVar(&r.fingerprint, "tls-fingerprint", os.Getenv(envFingerprint), "SHA-256 of the gateway's certificate, instead of --ca-file; default $"+envFingerprint)
}

// client makes a client. Calls are bounded by their contexts.
func (r *remote) client() (*api.Client, error) {
	if u, err := url.Parse(r.url); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, exit.BadUsagef("--url %q is no URL of a gateway: want for example %s", r.url, defaultURL)
	}
	if r.tokenFile == "" {
		return nil, exit.BadUsagef("where is the token? use --token-file FILE or set %s; `vmline up` keeps it in <data_dir>/secrets/gateway/token", envTokenFile)
	}
	token, err := config.ReadSecretFile(r.tokenFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = r.trust(); err != nil {
		return nil, err
	}
	return &api.Client{BaseURL: r.url, Token: string(token), HTTP: &http.Client{Transport: dialled{transport}}}, nil
}

// dialled tells a person who reaches nobody where the gateway was looked for.
type dialled struct{ http.RoundTripper }

// RoundTrip makes the call.
func (d dialled) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.RoundTripper.RoundTrip(r)
	if unknown := (*tls.CertificateVerificationError)(nil); errors.As(err, &unknown) {
		return nil, fmt.Errorf("%w\n  Nothing was sent. --ca-file or --tls-fingerprint says which certificate is the gateway's: its tls.crt, or what it logs at its start", err)
	}
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return nil, fmt.Errorf("%w\n  Nothing was sent. Is \"vmline up\" running there? --url or $%s says where the gateway is", err, envURL)
	}
	return resp, err
}
