package pve

import (
	"net/url"
	"regexp"
	"strings"
)

const masked = "***"

// secretParams are the parameters whose values never appear in an error. Public SSH keys are no secret, but they name
// a customer's people.
var secretParams = map[string]bool{"cipassword": true, "sshkeys": true, "password": true}

// What Proxmox itself writes of them: "-cipassword <hidden> -sshkeys ssh-ed25519%20AAAA..." in a task's log.
var secretInText = regexp.MustCompile(`(?i)\b(cipassword|sshkeys|password)("?[ =:]+"?)[^\s,"]+`)

// A token in its header, a ticket in its cookie, a ticket by itself.
var tokenInText = regexp.MustCompile(`(PVEAPIToken=[^=\s]+=|PVEAuthCookie=|\bPVE:[^:\s]+:)\S+`)

// scrubber takes secrets out of texts: what it was told, and what looks like one.
type scrubber struct{ values []string }

// newScrubber knows the client's own secrets and the secret values of one call's parameters, in every form in which
// Proxmox may repeat them.
func newScrubber(own []string, params map[string]string) scrubber {
	s := scrubber{values: own}
	for k, v := range params {
		if !secretParams[k] {
			continue
		}
		s.values = append(s.values, v)
		if plain, err := url.PathUnescape(v); err == nil && plain != v {
			s.values = append(s.values, plain)
			s.values = append(s.values, strings.Split(plain, "\n")...)
		}
	}
	return s
}

func (s scrubber) text(t string) string {
	for _, v := range s.values {
		if v = strings.TrimSpace(v); v != "" {
			t = strings.ReplaceAll(t, v, masked)
		}
	}
	t = tokenInText.ReplaceAllString(t, "${1}"+masked)
	return secretInText.ReplaceAllString(t, "${1}${2}"+masked)
}

func (s scrubber) lines(in []string) []string {
	out := make([]string, len(in))
	for i, l := range in {
		out[i] = s.text(l)
	}
	return out
}

// clean takes the secrets out of every text of e. Of a complaint about a secret parameter only the part before the
// last colon is kept: Proxmox puts the value behind it.
func (s scrubber) clean(e *Error) {
	e.Reason, e.Message = s.text(e.Reason), s.text(e.Message)
	for k, v := range e.Params {
		if secretParams[k] {
			if i := strings.LastIndex(v, ": "); i >= 0 {
				v = v[:i+2] + masked
			}
		}
		e.Params[k] = s.text(v)
	}
}
