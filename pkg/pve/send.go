package pve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// request is one call of the API.
type request struct {
	op     string // what is being done, to which VM
	method string
	path   string              // below /api2/json, its variable parts escaped
	params map[string]string   // in the query of GET and DELETE, in the body of POST and PUT
	lists  map[string][]string // parameters of POST and PUT that are arrays
	poll   bool                // a look at what goes on, of which the next comes soon
}

func (r request) write() bool { return r.method != http.MethodGet }

// timeout of the request, in all endpoints together.
func (c *Client) timeout(r request) time.Duration {
	switch {
	case r.write():
		return c.cfg.Timeout
	case r.poll:
		return c.cfg.PollTimeout
	}
	return c.cfg.ReadTimeout
}

// do sends a request and decodes data into out, unless out is nil. Every error that it returns is an *Error.
func (c *Client) do(ctx context.Context, r request, out any) error {
	data, err := c.send(ctx, r)
	if err != nil || out == nil {
		return err
	}
	return c.decode(r, data, out)
}

func (c *Client) decode(r request, data json.RawMessage, out any) error {
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
	return c.sendTo(ctx, r, c.endpoints.order(r.write()))
}

// sendTo sends a request to the first of the endpoints that takes it.
func (c *Client) sendTo(ctx context.Context, r request, to []*endpoint) (json.RawMessage, error) {
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
	exit, err := to[0].enter(ctx)
	if err != nil {
		return nil, c.notSent(r, err)
	}
	// The time begins here: a request that waits for its slot is not under way.
	ctx, stop := context.WithTimeoutCause(ctx, c.timeout(r), &tooLate{c.timeout(r)})
	defer stop()
	var failed []*Error
	for i, e := range to {
		if i > 0 {
			if exit, err = e.enter(ctx); err != nil {
				break
			}
		}
		data, err := c.attempt(ctx, r, e)
		exit()
		if err == nil {
			return data, nil
		}
		failed = append(failed, err)
		if err.fate != next || ctx.Err() != nil {
			break
		}
	}
	return nil, allFailed(failed, to)
}

// attempt sends a request to one endpoint.
func (c *Client) attempt(ctx context.Context, r request, e *endpoint) (json.RawMessage, *Error) {
	var data json.RawMessage
	if err := e.carry(ctx, r, &data); err != nil {
		named := c.named(r, err)
		if named.fate != stay {
			c.endpoints.left(e)
		}
		return nil, named
	}
	c.endpoints.answered(e)
	return data, nil
}

// tooLate is the cause of a request that its own time-out ended.
type tooLate struct{ after time.Duration }

func (t *tooLate) Error() string {
	return fmt.Sprintf("nothing came within %s", t.after.Round(time.Millisecond))
}

// carry hands the request to go-proxmox.
func (e *endpoint) carry(ctx context.Context, r request, data *json.RawMessage) error {
	switch r.method {
	case http.MethodPost:
		return e.api.Post(ctx, r.path, body(r), data)
	case http.MethodPut:
		return e.api.Put(ctx, r.path, body(r), data)
	case http.MethodDelete:
		return e.api.Delete(ctx, r.path+query(r.params), data)
	default:
		return e.api.Get(ctx, r.path+query(r.params), data)
	}
}

// body avoids a map that is a nil in an interface, which go-proxmox would send as "null".
func body(r request) any {
	if len(r.params)+len(r.lists) == 0 {
		return nil
	}
	out := make(map[string]any, len(r.params)+len(r.lists))
	for k, v := range r.params {
		out[k] = v
	}
	for k, v := range r.lists {
		out[k] = v
	}
	return out
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
