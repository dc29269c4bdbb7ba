package pve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/luthermonson/go-proxmox"
)

// TestNoSecretsInErrors: Proxmox repeats values in its complaints, and so may anything between.
func TestNoSecretsInErrors(t *testing.T) {
	const password, keys = "hunter2 & co", "ssh-ed25519 AAAAC3NzaC1lZDI1 ann@home\nssh-rsa AAAAB3Nza bob@work"
	change := Change{Set: map[string]string{"cipassword": password, "sshkeys": proxmox.EncodeSSHKeys(keys), "ciuser": "ann"}}
	complaint, _ := json.Marshal("invalid format - invalid urlencoded string: " + keys + "\n")
	for _, body := range []string{
		fmt.Sprintf(`{"data":null,"message":"bad: %s %s"}`, password, proxmox.EncodeSSHKeys(keys)),
		fmt.Sprintf(`{"data":null,"message":"x","errors":{"sshkeys":%s,"cipassword":"not good: %s"}}`, complaint, password),
		fmt.Sprintf(`{"data":null,"message":"update VM 101: -cipassword %s -sshkeys ssh-rsa%%20AAAAB3Nza%%20bob%%40work"}`, "other-secret"),
		fmt.Sprintf(`{"data":null,"message":"Authorization: PVEAPIToken=%s=%s"}`, testToken, testSecret),
	} {
		for _, code := range []int{400, 401, 500, 502} {
			_, err := newTest(t, always(code, "no "+testSecret, body)).SetVMConfig(t.Context(), "pve1", 101, change)
			e, _ := errors.AsType[*Error](err)
			all := fmt.Sprintf("%v %+v %q %q %v", err, *e, e.Message, e.Reason, e.Params)
			for _, secret := range []string{"hunter2", "AAAAC3NzaC1lZDI1", "AAAAB3Nza", testSecret, "other-secret"} {
				if strings.Contains(all, secret) {
					t.Errorf("%s is in: %s", secret, all)
				}
			}
			if !strings.Contains(all, masked) {
				t.Errorf("nothing masked in: %s", all)
			}
		}
	}
}

func TestNoSecretsInTasks(t *testing.T) {
	log := `[{"n":1,"t":"update VM 101: -cipassword open-sesame -cores 2"},{"n":2,"t":"TASK ERROR: x"}]`
	c := newTest(t, func(*http.Request) (*http.Response, error) { return ok(log), nil })
	_, err := c.result(t.Context(), testUPID, TaskStatus{ExitStatus: "no: -sshkeys ssh-rsa%20AAAAB3Nza"})
	e, _ := errors.AsType[*TaskError](err)
	if all := fmt.Sprintf("%v %v", err, e.Log); strings.Contains(all, "open-sesame") || strings.Contains(all, "AAAAB3Nza") ||
		!strings.Contains(all, "-cores 2") {
		t.Error(all)
	}
}

// TestNoSecretsInNetworkErrors: nor where no answer came at all.
func TestNoSecretsInNetworkErrors(t *testing.T) {
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		return nil, errors.New("proxy says " + r.Header.Get("Authorization"))
	})
	_, err := c.Version(t.Context())
	if strings.Contains(fmt.Sprintf("%v", err), testSecret) {
		t.Error(err)
	}
}
