package pve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/luthermonson/go-proxmox"
)

// ErrClosed is the cause of an error that a closed Client gives.
var ErrClosed = errors.New("the client is closed")

// Client talks to one cluster. It may be used by many goroutines at once.
type Client struct {
	cfg     Config
	api     *proxmox.Client
	base    http.RoundTripper
	slots   chan struct{} // one for each request under way
	life    context.Context
	end     context.CancelFunc
	watches watches
}

// New makes a client and does no network. The error says what is wrong with the configuration.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, base: cfg.Transport, slots: make(chan struct{}, cfg.MaxInFlight)}
	if c.base == nil {
		c.base = newHTTPTransport(cfg)
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.watches.client = c
	// go-proxmox's own retries stay off: they would repeat a POST whose outcome is unknown.
	c.api = proxmox.NewClient(cfg.URL,
		proxmox.WithHTTPClient(&http.Client{Transport: &transport{cluster: cfg.Name, base: c.base}}),
		proxmox.WithAPIToken(cfg.TokenID, cfg.TokenSecret),
		proxmox.WithUserAgent("vmline"))
	return c, nil
}

// Close ends what is under way and waits for the client's goroutines. Calls fail with ErrClosed from then on.
func (c *Client) Close() {
	c.watches.close()
	if t, ok := c.base.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Name is the cluster's name.
func (c *Client) Name() string { return c.cfg.Name }

// Timeout is the time limit of one request: what was sent longer ago is answered or lost.
func (c *Client) Timeout() time.Duration { return c.cfg.Timeout }

// request is one call of the API.
type request struct {
	op     string // what is being done, to which VM
	method string
	path   string            // below /api2/json, its variable parts escaped
	params map[string]string // in the query of GET and DELETE, in the body of POST and PUT
}

// do sends a request and decodes data into out, unless out is nil. Every error that it returns is an *Error.
func (c *Client) do(ctx context.Context, r request, out any) error {
	data, err := c.send(ctx, r)
	if err != nil || out == nil {
		return err
	}
	if len(data) == 0 {
		return c.odd(r, "data is null where something is due")
	}
	if err := json.Unmarshal(data, out); err != nil {
		return c.odd(r, "data has an unknown form: "+err.Error())
	}
	return nil
}

// send sends a request and returns data, nil for null.
func (c *Client) send(ctx context.Context, r request) (json.RawMessage, error) {
	if bad := badSegment(r.path); bad {
		return nil, &Error{Cluster: c.cfg.Name, Op: r.op, Method: r.method, Path: r.path, Kind: Refused,
			Message: "a name in the path is empty or a dot"}
	}
	if c.life.Err() != nil {
		return nil, c.notSent(r, ErrClosed)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(ErrClosed) })() //nolint:contextcheck // Close ends calls as well
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, c.notSent(r, context.Cause(ctx))
	}
	if err := context.Cause(ctx); err != nil {
		return nil, c.notSent(r, err)
	}
	late := fmt.Errorf("nothing came within %s", c.cfg.Timeout.Round(time.Millisecond))
	ctx, stop := context.WithTimeoutCause(ctx, c.cfg.Timeout, late)
	defer stop()
	var data json.RawMessage
	if err := c.carry(ctx, r, &data); err != nil {
		return nil, c.named(r, err)
	}
	return data, nil
}

// carry hands the request to go-proxmox.
func (c *Client) carry(ctx context.Context, r request, data *json.RawMessage) error {
	switch r.method {
	case http.MethodPost:
		return c.api.Post(ctx, r.path, body(r.params), data)
	case http.MethodPut:
		return c.api.Put(ctx, r.path, body(r.params), data)
	case http.MethodDelete:
		return c.api.Delete(ctx, r.path+query(r.params), data)
	default:
		return c.api.Get(ctx, r.path+query(r.params), data)
	}
}

// body avoids a map that is a nil in an interface, which go-proxmox would send as "null".
func body(params map[string]string) any {
	if len(params) == 0 {
		return nil
	}
	return params
}

func query(params map[string]string) string {
	if len(params) == 0 {
		return ""
	}
	q := url.Values{}
	for k, v := range params {
		q.Set(k, v)
	}
	return "?" + q.Encode()
}

// named gives an error of the transport its operation and takes secrets out.
func (c *Client) named(r request, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = c.odd(r, err.Error())
		e.cause = err
	}
	e.Op = r.op
	newScrubber(c.cfg.TokenSecret, r.params).clean(e)
	return e
}

// odd is the error of an answer that came with success and cannot be used.
func (c *Client) odd(r request, problem string) *Error {
	e := &Error{Cluster: c.cfg.Name, Op: r.op, Method: r.method, Path: r.path, Kind: Unreachable,
		Message: "this is no answer of Proxmox VE: " + bounded(problem)}
	if r.method != http.MethodGet {
		e.Kind = MaybeCommitted
	}
	return e
}

func (c *Client) notSent(r request, cause error) *Error {
	return &Error{Cluster: c.cfg.Name, Op: r.op, Method: r.method, Path: r.path, Kind: Transient,
		Message: "not sent: " + cause.Error(), cause: cause}
}

// task does a call that answers with a UPID.
func (c *Client) task(ctx context.Context, r request) (UPID, error) {
	upid, err := c.maybeTask(ctx, r)
	if err == nil && upid == "" {
		return "", c.odd(r, "data is null where a UPID is due")
	}
	return upid, err
}

// maybeTask does a call that answers with a UPID, or with null when the work is already done.
func (c *Client) maybeTask(ctx context.Context, r request) (UPID, error) {
	data, err := c.send(ctx, r)
	if err != nil || len(data) == 0 {
		return "", err
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return "", c.odd(r, "data is not a UPID")
	}
	upid, err := ParseUPID(s)
	if err != nil {
		return "", c.odd(r, "data is not a UPID")
	}
	return upid, nil
}

// badSegment reports a path that names nothing, or something else than it seems to, in one of its parts.
func badSegment(path string) bool {
	return slices.ContainsFunc(strings.Split(strings.TrimPrefix(path, "/"), "/"), func(s string) bool {
		return s == "" || s == "." || s == ".."
	})
}

// at builds a path from parts, each escaped.
func at(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(fmt.Sprint(p)))
	}
	return b.String()
}

// vmPath is the path of a VM, or of something below it.
func vmPath(node string, vmid int, rest ...any) string {
	return at("nodes", node, "qemu", vmid) + at(rest...)
}

// vmOp words an operation on a VM.
func vmOp(what string, vmid int, node string) string {
	return fmt.Sprintf("%s VM %d on node %s", what, vmid, node)
}

// Version is what GET /version answers.
type Version struct {
	Version string `json:"version"` // 9.2.11
	Release string `json:"release"` // 9.2
	RepoID  string `json:"repoid"`
}

// Version asks which Proxmox VE it is. It needs no rights beyond a valid token.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	err := c.do(ctx, request{op: "read the version", method: http.MethodGet, path: "/version"}, &v)
	if err == nil && v.Version == "" {
		return v, c.odd(request{op: "read the version", method: http.MethodGet, path: "/version"}, "no version in it")
	}
	return v, err
}
