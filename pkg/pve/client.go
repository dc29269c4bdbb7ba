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
)

// ErrClosed is the cause of an error that a closed Client gives.
var ErrClosed = errors.New("the client is closed")

// Client talks to one cluster. It may be used by many goroutines at once.
type Client struct {
	cfg       Config
	base      http.RoundTripper
	endpoints endpoints
	life      context.Context
	end       context.CancelFunc
	watches   watches
}

// New makes a client and does no network. The error says what is wrong with the configuration.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, base: cfg.Transport}
	if c.base == nil {
		c.base = newHTTPTransport(cfg)
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.watches.client = c
	var login *session
	if cfg.User != "" {
		login = newSession(cfg.User, cfg.Password)
	}
	for _, u := range cfg.urls() {
		c.endpoints.all = append(c.endpoints.all, newEndpoint(cfg, u, c.base, login))
	}
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

// Timeout is the longest that a write may be under way: what was sent longer ago is answered or lost.
func (c *Client) Timeout() time.Duration { return c.cfg.Timeout }

// named gives an error of the transport its operation and takes secrets out.
func (c *Client) named(r request, err error) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = c.odd(r, err.Error())
		e.cause = err
	}
	e.Op = r.op
	newScrubber(c.cfg.secrets(), r.params).clean(e)
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

var versionRequest = request{op: "read the version", method: http.MethodGet, path: "/version"}

// Version asks which Proxmox VE it is. It needs no rights beyond a valid token.
func (c *Client) Version(ctx context.Context) (Version, error) {
	data, err := c.send(ctx, versionRequest)
	if err != nil {
		return Version{}, err
	}
	return c.version(data)
}

func (c *Client) version(data json.RawMessage) (Version, error) {
	var v Version
	err := c.decode(versionRequest, data, &v)
	if err == nil && v.Version == "" {
		err = c.odd(versionRequest, "no version in it")
	}
	return v, err
}
