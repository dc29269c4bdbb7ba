package pve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/luthermonson/go-proxmox"
)

// backToFirst is how long calls stay away from the first endpoint after it was left.
const backToFirst = time.Minute

// endpoint is one way into the cluster: the API of one of its nodes, or of a proxy before it.
type endpoint struct {
	url   string
	api   *proxmox.Client
	slots chan struct{} // one for each request under way
}

func newEndpoint(c Config, url string, base http.RoundTripper, s *session) *endpoint {
	options := []proxmox.Option{
		proxmox.WithHTTPClient(&http.Client{Transport: &transport{cluster: c.Name, url: url, base: base, session: s}}),
		proxmox.WithUserAgent("vmline"),
	}
	if s == nil {
		options = append(options, proxmox.WithAPIToken(c.TokenID, c.TokenSecret))
	}
	// go-proxmox's own retries stay off: they would repeat a POST whose outcome is unknown.
	return &endpoint{url: url, api: proxmox.NewClient(url, options...), slots: make(chan struct{}, c.MaxInFlight)}
}

// enter waits for a free slot. The error is the reason why ctx ended.
func (e *endpoint) enter(ctx context.Context) (leave func(), err error) {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := context.Cause(ctx); err != nil {
		<-e.slots
		return nil, err
	}
	return func() { <-e.slots }, nil
}

// endpoints are the ways into one cluster, the preferred one first.
type endpoints struct {
	all     []*endpoint
	mu      sync.Mutex
	current int       // where calls go
	since   time.Time // when the first was left or tried
}

// order returns the endpoints in the order in which a call tries them. A read now and then begins with the first, to
// see whether it is back; a write never does, because a server that is half up may lose it.
func (es *endpoints) order(write bool) []*endpoint {
	es.mu.Lock()
	defer es.mu.Unlock()
	list := slices.Concat(es.all[es.current:], es.all[:es.current])
	if es.current == 0 || write || time.Since(es.since) < backToFirst {
		return list
	}
	es.since = time.Now()
	return slices.Concat(es.all[:1], slices.DeleteFunc(list, func(e *endpoint) bool { return e == es.all[0] }))
}

// answered notes that an endpoint works. Only the first is gone back to.
func (es *endpoints) answered(e *endpoint) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if e == es.all[0] {
		es.current = 0
	}
}

// left takes calls away from an endpoint that does not work.
func (es *endpoints) left(e *endpoint) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if es.all[es.current] == e {
		es.current = (es.current + 1) % len(es.all)
		es.since = time.Now()
	}
}

// fate is what an error means for the endpoint that gave it.
type fate int

const (
	stay  fate = iota // the endpoint works, or the error must be seen by a person
	leave             // later calls go elsewhere; this one may have been done
	next              // this call may be made elsewhere: nothing was done, or it was a read
)

// allFailed is the error of a call that no endpoint took.
func allFailed(failed []*Error, tried []*endpoint) *Error {
	if len(failed) == 1 {
		return failed[0]
	}
	e := *failed[len(failed)-1]
	parts, causes := make([]string, len(failed)), make([]error, len(failed))
	for i, f := range failed {
		parts[i] = strings.TrimSuffix(tried[i].url, apiPath) + ": " + f.text()
		causes[i] = f.cause
	}
	e.Message, e.Params = fmt.Sprintf("none of %d endpoints: %s", len(failed), strings.Join(parts, "; ")), nil
	e.cause = errors.Join(causes...)
	return &e
}

// Endpoint is what one way into the cluster answered to GET /version.
type Endpoint struct {
	URL         string
	Version     Version
	Certificate *x509.Certificate // nil without TLS, and where no answer came
	Err         error
}

// Endpoints asks every endpoint by itself, whichever of them works.
func (c *Client) Endpoints(ctx context.Context) []Endpoint {
	out := make([]Endpoint, len(c.endpoints.all))
	for i, e := range c.endpoints.all {
		var shown tls.ConnectionState
		out[i].URL = strings.TrimSuffix(e.url, apiPath)
		data, err := c.sendTo(context.WithValue(ctx, connectionKey{}, &shown), versionRequest, []*endpoint{e})
		if err == nil {
			out[i].Version, err = c.version(data)
		}
		out[i].Err = err
		if len(shown.PeerCertificates) > 0 {
			out[i].Certificate = shown.PeerCertificates[0]
		}
	}
	return out
}

// connectionKey is the context's key for a *tls.ConnectionState that the transport fills in.
type connectionKey struct{}
