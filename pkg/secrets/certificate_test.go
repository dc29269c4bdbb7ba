package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestCertificateOfItsOwnIsTrustedByWhoHasIt(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 4 { // processes that start at once agree on one
		all.Go(func() {
			if _, err := LoadOrCreateCertificate(dir, []string{"127.0.0.1", "vmline.example"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c, err := LoadOrCreateCertificate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := Fingerprint(c); len(f) != 95 || strings.Count(f, ":") != 31 {
		t.Errorf("fingerprint %s", f)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{c}}
	server.StartTLS()
	defer server.Close()
	pem, err := os.ReadFile(filepath.Join(dir, FileCertificate))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for _, tt := range []struct {
		name string
		good bool
		conf *tls.Config
	}{
		{"by address", true, &tls.Config{RootCAs: pool}},
		{"by name", true, &tls.Config{RootCAs: pool, ServerName: "vmline.example"}},
		{"by another name", false, &tls.Config{RootCAs: pool, ServerName: "other.example"}},
		{"without it", false, &tls.Config{RootCAs: x509.NewCertPool()}},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: tt.conf, DisableKeepAlives: true}}
		resp, err := client.Get(server.URL)
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}
