package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/pve"
)

// checkAPI is about every endpoint by itself. One that is down is no problem while another answers.
func checkAPI(f *facts) []Line {
	var lines []Line
	for _, e := range f.endpoints {
		switch {
		case e.Err == nil:
			lines = append(lines, ok("api", e.URL+" answers"))
		case f.version() != "" && pve.KindOf(e.Err) == pve.Unreachable && !pve.Distrusted(e.Err):
			lines = append(lines, warn("api", e.URL+": "+e.Err.Error(), "The cluster's other endpoints are used. "+pve.Unreachable.Advice()))
		default:
			lines = append(lines, problem("api", e.URL+": "+e.Err.Error(), apiAdvice(f, e.Err)))
		}
	}
	return lines
}

func apiAdvice(f *facts, err error) string {
	switch kind := pve.KindOf(err); {
	case pve.Distrusted(err):
		return "Compare with what `pvenode cert info` shows on that node; then correct ca_file or fingerprint in the configuration."
	case kind == pve.NoPermission && f.cluster.TokenID != "":
		user, _, _ := strings.Cut(f.cluster.TokenID, "!")
		return "Look whether the token exists (pveum user token list " + user + "), has not expired, and whether its secret is the right one."
	case kind == pve.NoPermission:
		return "Look whether the user is enabled (pveum user list) and the password is the right one."
	default:
		return kind.Advice()
	}
}

// The versions of Proxmox VE that vmline is made for.
const oldest, newest = 8, 9

func checkVersion(f *facts) []Line {
	var versions []string
	for _, e := range f.endpoints {
		if e.Err == nil && !slices.Contains(versions, e.Version.Version) {
			versions = append(versions, e.Version.Version)
		}
	}
	found := "Proxmox VE " + list(versions)
	for _, v := range versions {
		if m := major(v); m < oldest || m > newest {
			return []Line{warn("version", found, fmt.Sprintf("vmline is tested with %d.x and %d.x only; try it out before you sell on it.", oldest, newest))}
		}
	}
	if len(versions) > 1 {
		return []Line{warn("version", found, "Bring all nodes to one version when the upgrade is over.")}
	}
	return []Line{ok("version", found)}
}

// expiresSoon is when a certificate should have been renewed; Proxmox itself does so 14 days before the end.
const expiresSoon = 14 * 24 * time.Hour

func checkCertificates(f *facts) []Line {
	if f.cluster.InsecureSkipVerify {
		return []Line{warn("certificate", "not verified: insecure_skip_verify is set",
			"Copy /etc/pve/pve-root-ca.pem of the cluster and name it as ca_file, or set fingerprint.")}
	}
	var lines []Line
	for _, e := range f.endpoints {
		switch {
		case e.Err != nil:
		case e.Certificate == nil && strings.HasPrefix(e.URL, "http:"):
			lines = append(lines, warn("certificate", e.URL+" has none: everything travels in clear", "Use https."))
		case e.Certificate == nil:
		case e.Certificate.NotAfter.Sub(f.now) < expiresSoon:
			lines = append(lines, warn("certificate", fmt.Sprintf("%s: valid until %s", e.URL, day(e.Certificate.NotAfter)),
				"Run on that node: pvecm updatecerts --force (or renew the certificate that you installed); then correct fingerprint, if it is set."))
		default:
			lines = append(lines, ok("certificate", fmt.Sprintf("%s: valid until %s", e.URL, day(e.Certificate.NotAfter))))
		}
	}
	return lines
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// A clock may be wrong by clockOff before somebody should look at it. Beyond clockBroken Proxmox no longer takes the
// tickets of another node (PVE::Ticket: five minutes).
const (
	clockOff    = 5 * time.Second
	clockBroken = 5 * time.Minute
)

func checkClocks(f *facts) []Line {
	var lines []Line
	right := 0
	for _, n := range f.nodes {
		found := fmt.Sprintf("node %s is %s from here", n.name, n.ahead)
		const do = "Look at `chronyc tracking` on the node, and at the clock of this machine."
		switch off := n.ahead.Abs(); {
		case n.clockErr != nil:
			lines = append(lines, unseen("clock", n.clockErr))
		case off > clockBroken:
			lines = append(lines, problem("clock", found, do))
		case off > clockOff:
			lines = append(lines, warn("clock", found, do))
		default:
			right++
		}
	}
	if right > 0 {
		lines = append(lines, ok("clock", fmt.Sprintf("%d of %d nodes within %s", right, len(f.nodes), clockOff)))
	}
	return lines
}
