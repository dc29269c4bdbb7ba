package signature

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// MaxBody bounds the body of a signed request in bytes: 1 MiB.
const MaxBody = 1 << 20

// How far a signature's time may be from the gateway's. A nonce must be remembered for longer than
// both together.
const (
	MaxAge   = 300 * time.Second
	MaxAhead = 60 * time.Second
)

var nonceForm = regexp.MustCompile(`^[0-9a-f]{24}$`)

// Nonces remembers the nonces of signatures that were accepted.
type Nonces interface {
	// Use says whether the key shows this nonce for the first time.
	Use(ctx context.Context, keyID, nonce string) bool
}

// Verifier verifies signed requests. Its methods are safe for concurrent use.
type Verifier struct {
	// Secrets returns the secrets of a key that are valid now: two while it is rotated, none for a key
	// that is unknown, expired or revoked. Its error, an *api.Problem, says that they are not known yet.
	Secrets func(keyID string) ([][]byte, error)
	Nonces  Nonces
	// Authorities are the names under which clients reach the gateway, for example
	// vmline.example.com:8443. A signature must be for one of them, whatever a proxy made of the Host
	// header. Without any, it must be for the Host of the request.
	Authorities []string
	// Now is the clock.
	Now func() time.Time
}

// Verify returns the id of the key that signed the request, or an *api.Problem. The body is read only
// after the signature was found good, and can be read again afterwards.
func (v *Verifier) Verify(r *http.Request) (keyID string, err error) {
	c, err := claimOf(r)
	if err != nil {
		return "", err
	}
	if err := v.inTime(c.created); err != nil {
		return "", err
	}
	if err := v.authentic(r, c); err != nil {
		return "", err
	}
	if err := checkBody(r, c); err != nil {
		return "", err
	}
	if !v.Nonces.Use(r.Context(), c.keyID, c.nonce) {
		return "", refuse(TypeReplayed, "This request was sent before: its nonce was used already.", "Sign every request with a new nonce, repetitions too.")
	}
	return c.keyID, nil
}

// claim is what a request says about its signature.
type claim struct {
	input
	keyID, nonce string
	created      time.Time
	mac          []byte
}

func claimOf(r *http.Request) (c claim, err error) {
	for _, name := range []string{headerInput, headerSignature, headerDigest, headerType, headerIdempotency} {
		if len(r.Header.Values(name)) > 1 {
			return c, refuse(TypeDuplicatedHeader, "The request has more than one header "+name+".", "Send it once.")
		}
	}
	in, sig := r.Header.Get(headerInput), r.Header.Get(headerSignature)
	if in == "" || sig == "" {
		return c, refuse(TypeMissing, "Of the headers Signature-Input and Signature one is missing.", "Send both.")
	}
	if c.input, err = parseInput(in); err != nil {
		return c, refuse(TypeMalformed, "Signature-Input cannot be read: "+err.Error()+".", "")
	}
	label, mac, err := parseBytes(sig)
	if err != nil || label != c.label || len(mac) != sha256.Size {
		return c, refuse(TypeMalformed, fmt.Sprintf("Signature is not %d bytes in base64 between colons under the label of Signature-Input.", sha256.Size), "")
	}
	c.mac = mac
	if err := c.readParams(); err != nil {
		return c, err
	}
	return c, c.checkComponents(r)
}

func (c *claim) readParams() error {
	created, okCreated := c.params["created"].(int64)
	keyID, okKey := c.params["keyid"].(string)
	nonce, okNonce := c.params["nonce"].(string)
	const four = 4
	switch alg, _ := c.params["alg"].(string); {
	case alg != algorithm:
		return refuse(TypeAlgorithm, "The parameter alg is not "+algorithm+".", "")
	case !okCreated || !okKey || !okNonce || len(c.params) != four:
		return refuse(TypeMalformed, "The parameters are not created, keyid, alg and nonce.", "")
	case !nonceForm.MatchString(nonce):
		return refuse(TypeMalformed, "The nonce is not 24 hexadecimal digits in lower case.", "")
	}
	c.created, c.keyID, c.nonce = time.Unix(created, 0), keyID, nonce
	return nil
}

func (c *claim) withBody() bool { return slices.Equal(c.components, coveredWithBody) }

func (c *claim) checkComponents(r *http.Request) error {
	wanted := covered
	switch {
	case r.ContentLength != 0:
		wanted = coveredWithBody
	case r.Header.Get(headerIdempotency) != "":
		wanted = coveredWithKey
	}
	if !slices.Equal(c.components, wanted) {
		return refuse(TypeComponents, "The signature must cover exactly, in this order: "+strings.Join(wanted, ", ")+".", "")
	}
	for _, name := range wanted {
		if !strings.HasPrefix(name, "@") && r.Header.Get(name) == "" {
			return refuse(TypeComponents, "The header "+name+" is covered by the signature, but it is missing or empty.", "")
		}
	}
	if !strings.HasPrefix(r.RequestURI, "/") {
		return refuse(TypeComponents, "The request target is no path.", "")
	}
	return nil
}

func (v *Verifier) inTime(created time.Time) error {
	now := v.Now()
	const next = "Set the clock of this machine or of the gateway's, for example with NTP."
	switch age := now.Sub(created); {
	case age > MaxAge:
		return refuse(TypeTooOld, fmt.Sprintf("The signature is %s old; the gateway's time is %s.", age.Round(time.Second), now.UTC().Format(time.RFC3339)), next)
	case age < -MaxAhead:
		return refuse(TypeTooEarly, fmt.Sprintf("The signature is from the future: the gateway's time is %s.", now.UTC().Format(time.RFC3339)), next)
	}
	return nil
}

// authentic compares with what every valid secret makes of every authority.
func (v *Verifier) authentic(r *http.Request, c claim) error {
	secrets, err := v.Secrets(c.keyID)
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		return refuse(TypeUnknownKey, "There is no valid key with this id.", "Look at the list of keys: it may have expired or been revoked.")
	}
	authorities := v.Authorities
	if len(authorities) == 0 {
		authorities = []string{normalAuthority(r.Host, r.TLS != nil)}
	}
	good := false
	for _, authority := range authorities {
		m := message{method: r.Method, authority: strings.ToLower(authority), target: r.RequestURI, header: r.Header}
		base := m.base(c.components, c.raw)
		for _, secret := range secrets {
			good = hmac.Equal(mac(secret, base), c.mac) || good
		}
	}
	if !good {
		return refuse(TypeMismatch, "The signature is not what the gateway makes of this request.", "Compare the secret, and the host name that you call with the gateway's public names.")
	}
	return nil
}

// checkBody reads the body, holds it against its digest and puts it back.
func checkBody(r *http.Request, c claim) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &api.Problem{
			Type: api.TypeTooLarge, Title: "The request is too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("The body is larger than %d bytes.", MaxBody),
		}
	case err != nil:
		return &api.Problem{Type: TypeBodyCut, Title: "The request is not whole", Status: http.StatusBadRequest, Detail: "The body could not be read to its end.", Next: "Send the request again."}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !c.withBody() {
		if len(body) > 0 {
			return refuse(TypeComponents, "The request has a body that its signature does not cover.", "")
		}
		return nil
	}
	key, sum, err := parseBytes(r.Header.Get(headerDigest))
	if err != nil || key != "sha-256" || len(sum) != sha256.Size {
		return refuse(TypeDigestMalformed, "Content-Digest is not sha-256=:<base64>:.", "")
	}
	if got := sha256.Sum256(body); !hmac.Equal(got[:], sum) {
		return refuse(TypeDigestMismatch, "The body is not the one that Content-Digest names.", "")
	}
	return nil
}
