package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestTrust asks a gateway with a certificate of its own. What is not trusted is sent nothing.
func TestTrust(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"items": []}`))
	}))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(server.Certificate().Raw)
	pin := hex.EncodeToString(sum[:])
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := file("own.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	none := file("none.pem", "no certificate")
	for _, tt := range []struct {
		name        string
		fingerprint string
		caFile      string
		beside      string
		code        int
		want        string
	}{
		{name: "its certificate", caFile: own},
		{name: "its fingerprint", fingerprint: pin},
		{name: "as openssl prints it", fingerprint: strings.ToUpper(colons(pin))},
		{name: "its certificate beside the token", beside: own},
		{name: "nonsense beside the token", beside: none, code: exit.Failed, want: "holds no certificate"},
		{name: "nothing said", code: exit.Failed, want: "Nothing was sent. --ca-file or --tls-fingerprint"},
		{name: "another fingerprint", fingerprint: strings.Repeat("00", 32), caFile: own, code: exit.Failed, want: "has the fingerprint " + pin},
		{name: "half a fingerprint", fingerprint: pin[:32], code: exit.Usage, want: "want 64 hexadecimal digits"},
		{name: "no certificate", caFile: none, code: exit.Failed, want: "holds no certificate"},
		{name: "no file", caFile: filepath.Join(dir, "away"), code: exit.Usage, want: "there is no file " + filepath.Join(dir, "away")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = 0
			token := filepath.Join(t.TempDir(), "token")
			copyFile(t, file("token", "hunter2\n"), token)
			if tt.beside != "" {
				copyFile(t, tt.beside, filepath.Join(filepath.Dir(token), "tls.crt"))
			}
			r := remote{url: server.URL, tokenFile: token, fingerprint: tt.fingerprint, caFile: tt.caFile}
			client, err := r.client()
			if err == nil {
				_, err = client.ListServices(t.Context(), 0, "")
				client.HTTP.CloseIdleConnections()
			}
			if code := exit.Code(err); code != tt.code || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("code %d, want %d and %q: %v", code, tt.code, tt.want, err)
			}
			if (asked == 1) != (tt.code == exit.Done) {
				t.Errorf("the gateway was asked %d times", asked)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// colons puts one after every second digit.
func colons(digits string) string {
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && i%2 == 0 {
			b.WriteByte(':')
		}
		b.WriteRune(r)
	}
	return b.String()
}
