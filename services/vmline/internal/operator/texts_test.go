package operator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestTexts: what a person reads of one value.
func TestTexts(t *testing.T) {
	about := func(kind vmlinev1.Operation_Kind) string {
		route, _ := chain.RouteOf(kind)
		return about(route)
	}
	for _, tt := range []struct{ name, got, want, not string }{
		{"nothing", valueText(nil), "-", ""},
		{"a list", valueText([]any{map[string]any{"action": "ACCEPT"}}), `[{"action":"ACCEPT"}]`, "map["},
		{"another power than wanted", remoteState(api.Service{Status: "ready", RemoteStatus: "stopped", WantedPower: "running"}), "stopped, wanted running", ""},
		{"suspended", remoteState(api.Service{Status: "suspended", RemoteStatus: "stopped", WantedPower: "running"}), "stopped", "wanted"},
		{"a termination waits for nobody", about(vmlinev1.Operation_KIND_TERMINATE), "is ended for it", "waits for that one's end"},
		{"a suspension waits", about(vmlinev1.Operation_KIND_SUSPEND), "waits for that one's end", "is ended for it"},
	} {
		if !strings.Contains(tt.got, tt.want) || tt.not != "" && strings.Contains(tt.got, tt.not) {
			t.Errorf("%s: %q, want %q and not %q", tt.name, tt.got, tt.want, tt.not)
		}
	}
}

// TestNobodyAnswers: a gateway that is not there is told as such, and a command to it is not repeated.
func TestNobodyAnswers(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &remote{url: "http://127.0.0.1:1", tokenFile: token}
	client, err := r.client()
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.GetService(t.Context(), "w1-1")
	if err == nil || !strings.Contains(err.Error(), "VMLINE_URL") || unknown(err) {
		t.Errorf("%v, unknown %v; want a hint and nothing unknown", err, unknown(err))
	}
}
