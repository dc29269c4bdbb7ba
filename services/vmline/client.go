package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/config"
)

// Environment variables of the commands that ask a running gateway.
const (
	envURL       = "VMLINE_URL"
	envTokenFile = "VMLINE_TOKEN_FILE" //nolint:gosec // the name of a variable
	envCAFile    = "VMLINE_CA_FILE"
)

const defaultURL = "http://127.0.0.1:8080"

// remote says how to reach the gateway.
type remote struct{ url, tokenFile, caFile string }

func (r *remote) addFlags(c *cobra.Command) {
	url := os.Getenv(envURL)
	if url == "" {
		url = defaultURL
	}
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", url, "URL of the gateway; default $"+envURL)
	f.StringVar(&r.tokenFile, "token-file", os.Getenv(envTokenFile), "file with the API's token; default $"+envTokenFile)
	f.StringVar(&r.caFile, "ca-file", os.Getenv(envCAFile), "certificates that verify the gateway's, in PEM form; default $"+envCAFile)
}

// client makes a client. Calls are bounded by their contexts.
func (r *remote) client() (*api.Client, error) {
	if r.tokenFile == "" {
		return nil, &usageError{fmt.Errorf("where is the token? use --token-file FILE or set %s; `vmline up` keeps it in <data_dir>/secrets/gateway/token", envTokenFile)}
	}
	token, err := config.ReadSecretFile(r.tokenFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if r.caFile != "" {
		if transport.TLSClientConfig, err = trusting(r.caFile); err != nil {
			return nil, err
		}
	}
	return &api.Client{BaseURL: r.url, Token: string(token), HTTP: &http.Client{Transport: transport}}, nil
}

func trusting(caFile string) (*tls.Config, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " holds no certificate in PEM form")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
