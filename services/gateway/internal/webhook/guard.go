package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Guard keeps webhooks away from the gateway's own network (server-side request forgery). It looks at
// the address that is really dialled, so a name that changes between two look-ups gains nothing.
type Guard struct {
	// AllowNetworks are networks that are not public and may be reached all the same, for example that
	// of a WHMCS on the same LAN.
	AllowNetworks []netip.Prefix
	// AllowHTTP lets endpoints go without TLS.
	AllowHTTP bool
}

// ErrForbiddenAddress says that an endpoint is at an address where no webhook is sent.
var ErrForbiddenAddress = errors.New("the address is not public, and not among the networks that are allowed")

// notPublic are networks that are not reachable from the Internet, or lead into others, beyond what
// netip says of an address (IANA's registries of special purpose addresses).
var notPublic = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// global is where IPv6 has its public addresses; NAT64 and mapped addresses are outside.
var global = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) (p []netip.Prefix) {
	for _, text := range list {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

// allows says whether a webhook may be sent to an address.
func (g Guard) allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case !a.IsValid():
		return false
	case slices.ContainsFunc(g.AllowNetworks, in):
		return true
	case !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !global.Contains(a):
		return false
	}
	return !slices.ContainsFunc(notPublic, in)
}

// dialer refuses right before it connects.
func (g Guard) dialer() *net.Dialer {
	const connectTimeout = 5 * time.Second
	return &net.Dialer{Timeout: connectTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !g.allows(ap.Addr()) {
			return ErrForbiddenAddress
		}
		return nil
	}}
}

// maxURL is the longest URL in bytes.
const maxURL = 2048

// check says what is wrong with an endpoint's URL. A name is looked up with each attempt only.
func (g Guard) check(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || len(text) > maxURL:
		return fmt.Errorf("it is no URL of at most %d bytes", maxURL)
	case u.Scheme != "https" && (u.Scheme != "http" || !g.AllowHTTP):
		return errors.New("it does not begin with https://")
	case u.User != nil || u.Fragment != "":
		return errors.New("it has a user or a fragment")
	case strings.EqualFold(u.Hostname(), "localhost"):
		if !g.allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
			return ErrForbiddenAddress
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !g.allows(a) {
		return ErrForbiddenAddress
	}
	return nil
}
