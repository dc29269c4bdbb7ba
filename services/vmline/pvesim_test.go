package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// startSim runs `vmline pvesim` until the test ends and returns what it printed, as far as it has the
// form "key: value".
func startSim(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out := newLineReader()
	root := newRoot()
	root.SetOut(out)
	root.SetArgs(append([]string{"pvesim", "--listen", "127.0.0.1:0"}, args...))
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	said := map[string]string{}
	for {
		line := out.line(t)
		if line == "" {
			return said
		}
		key, value, _ := strings.Cut(line, ": ")
		said[key] = value
	}
}

// ask sends a request with a token and returns code, reason and body.
func ask(t *testing.T, conf *tls.Config, url, token string) (status, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "PVEAPIToken="+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status, string(b)
}

func TestPVESimServesTLSAndDoesWhatItsFlagsSay(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	said := startSim(t, "--token", "root@pam!sim=SECRET", "--password", "admin@pve=hello", "--ca-file", ca, "--pve", "8", "--profile", "instant",
		"--fault", "GET /nodes: 500 out of order, times 1")
	if said["token_id"] != "root@pam!sim" || said["token_secret"] != "SECRET" || said["ca_file"] != ca || len(said["fingerprint"]) != 32*3-1 {
		t.Errorf("it said %v", said)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the file holds no certificate")
	}
	conf := &tls.Config{RootCAs: roots}
	if status, body := ask(t, conf, said["url"]+"/version", "root@pam!sim=SECRET"); status != "200 OK" || !strings.Contains(body, `"version":"8.`) {
		t.Errorf("%s %s", status, body)
	}
	if status, _ := ask(t, conf, said["url"]+"/version", ""); status != "401 No ticket" {
		t.Errorf("without a token: %s", status)
	}
	if status, body := ask(t, conf, said["url"]+"/nodes", "root@pam!sim=SECRET"); status != "500 out of order" || strings.Contains(body, "message") {
		t.Errorf("%s %s", status, body)
	}
	if status, body := ask(t, conf, said["url"]+"/nodes", "root@pam!sim=SECRET"); status != "200 OK" || !strings.Contains(body, `"node":"pve3"`) {
		t.Errorf("%s %s", status, body)
	}
}

func TestPVESimWithoutTLS(t *testing.T) {
	said := startSim(t, "--plain")
	if _, ok := said["fingerprint"]; ok || !strings.HasPrefix(said["url"], "http://") {
		t.Errorf("it said %v", said)
	}
	if status, _ := ask(t, nil, said["url"]+"/version", said["token_id"]+"="+said["token_secret"]); status != "200 OK" {
		t.Errorf("with the token that it printed: %s", status)
	}
}

func TestPVESimRefusesWrongFlags(t *testing.T) {
	for _, c := range []struct{ flag, value, says string }{
		{"--profile", "huge", `no profile "huge"; there are instant, quick, real, large`},
		{"--pve", "7", `no release "7"; there are 8, 8.0, 8.4, 9`},
		{"--fault", "POST /version: drop", "no call POST /version is simulated"},
		{"--token", "root@pam=hunter2", "--token 1: want 'user@realm!id=SECRET'"},
		{"--token", "root@pam!sim", "--token 1: want 'user@realm!id=SECRET'"},
		{"--password", "root@pam!x=hunter2", "--password 1: want 'user@realm=PASSWORD'"},
	} {
		code, _, err := vmline(t.Context(), "pvesim", "--listen", "127.0.0.1:0", c.flag, c.value)
		if code != exit.Usage || err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s %s: code %d, %v", c.flag, c.value, code, err)
		}
	}
}
