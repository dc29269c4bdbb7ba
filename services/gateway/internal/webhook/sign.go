// Package webhook tells other programs that something has happened to a VM, by Standard Webhooks 1.0.0.
//
// A webhook is a doorbell: its body is thin, and the event feed stays the truth. Of all changes only
// those are sent that a biller waits for: an operation has succeeded, waits for a person, or was
// refused by a step. A command that was not even admitted is answered at the order itself.
//
// Every endpoint is told everything in the order of the VM stream, one after the other. How far it is,
// and when it is to be tried again, stands in its record in the bucket WEBHOOK, so a restart loses
// nothing: the feed is read on from there. The same record keeps gateways from sending one event
// twice at once: before an attempt a gateway moves the record's time behind its revision. If it dies
// between sending and noting, the event comes again under the same webhook-id.
//
// An attempt that fails is repeated after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h.
// After the last one, and at once after the answer 410, the endpoint is disabled with the reason, until
// a person enables it; then it goes on where it was.
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SecretPrefix starts every secret.
const SecretPrefix = "whsec_"

// Sizes of a secret in bytes, by the specification.
const (
	secretSize = 32
	minSecret  = 24
	maxSecret  = 64
)

func newSecret() string {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // it never fails
	return SecretPrefix + base64.StdEncoding.EncodeToString(b)
}

// Sign returns the value of webhook-signature: one signature for each secret, separated by spaces.
func Sign(id string, at time.Time, body []byte, secrets ...string) (string, error) {
	list := make([]string, 0, len(secrets))
	for _, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, SecretPrefix))
		if err != nil || !strings.HasPrefix(s, SecretPrefix) || len(key) < minSecret || len(key) > maxSecret {
			return "", errors.New("a webhook's secret is whsec_ and 24 to 64 bytes in base64")
		}
		h := hmac.New(sha256.New, key)
		h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		h.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(list, " "), nil
}
