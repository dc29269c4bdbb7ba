package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client calls the gateway. A call that the gateway answered with an error returns a *Problem.
type Client struct {
	// BaseURL of the gateway, for example https://vmline.example.net:8443.
	BaseURL string
	// Token is the bearer token.
	Token string
	// HTTP makes the calls; nil means http.DefaultClient. Its Timeout must be longer than the wait
	// of GetOperation, and ends Events.
	HTTP *http.Client
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 32 << 20

// PutService orders a VM. Repeating it is harmless.
func (c *Client) PutService(ctx context.Context, ref string, p Package, options ...Option) (Operation, error) {
	var op Operation
	err := c.call(ctx, http.MethodPut, "/v1/services/"+url.PathEscape(ref), p, &op, options...)
	return op, err
}

// DeleteService terminates a VM. Repeating it is harmless.
func (c *Client) DeleteService(ctx context.Context, ref string, options ...Option) (Operation, error) {
	var op Operation
	err := c.call(ctx, http.MethodDelete, "/v1/services/"+url.PathEscape(ref), nil, &op, options...)
	return op, err
}

// GetService returns the present state of a VM.
func (c *Client) GetService(ctx context.Context, ref string) (Service, error) {
	var s Service
	err := c.call(ctx, http.MethodGet, "/v1/services/"+url.PathEscape(ref), nil, &s)
	return s, err
}

// ListServices returns one page of VMs. limit 0 means the gateway's default, an empty cursor the
// first page.
func (c *Client) ListServices(ctx context.Context, limit int, cursor string) (ServiceList, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var l ServiceList
	err := c.call(ctx, http.MethodGet, "/v1/services?"+q.Encode(), nil, &l)
	return l, err
}

// ServiceFilter says which VMs are wanted. Empty fields want any.
type ServiceFilter struct {
	// Query is the beginning of a ref, a name, an address, a MAC or a VMID.
	Query, Status, Cluster, Node, Customer, Name, Address string
	// Parked wants VMs that wait for a person, Drift those whose machine is not what their state says.
	Parked, Drift bool
}

// FindServices returns one page of the VMs that match, in the order of their refs.
func (c *Client) FindServices(ctx context.Context, f ServiceFilter, limit int, cursor string) (ServiceList, error) {
	var l ServiceList
	path := page("/v1/services", limit, cursor, "q", f.Query, "status", f.Status, "cluster", f.Cluster, "node", f.Node,
		"customer", f.Customer, "name", f.Name, "address", f.Address, "parked", truth(f.Parked), "drift", truth(f.Drift))
	err := c.call(ctx, http.MethodGet, path, nil, &l)
	return l, err
}

func truth(wanted bool) string {
	if wanted {
		return "true"
	}
	return ""
}

// ListOperations returns one page of operations: all of one VM that are kept, newest first, or for an
// empty ref the last one of every VM. Empty status and type want any.
func (c *Client) ListOperations(ctx context.Context, ref, status, operationType string, limit int, cursor string) (OperationList, error) {
	var l OperationList
	err := c.call(ctx, http.MethodGet, page("/v1/operations", limit, cursor, "service_ref", ref, "status", status, "type", operationType), nil, &l)
	return l, err
}

// GetOperation returns an operation as soon as it has ended or is parked, at the latest after wait,
// which the gateway caps at 25 s.
func (c *Client) GetOperation(ctx context.Context, id string, wait time.Duration) (Operation, error) {
	path := "/v1/operations/" + url.PathEscape(id)
	if seconds := int(wait / time.Second); seconds > 0 {
		path += "?wait=" + strconv.Itoa(min(seconds, 25))
	}
	var op Operation
	err := c.call(ctx, http.MethodGet, path, nil, &op)
	return op, err
}

func (c *Client) call(ctx context.Context, method, path string, in, out any, options ...Option) error {
	resp, err := c.do(ctx, method, path, in, "application/json", options...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// do makes a call and returns its answer if it is a success.
func (c *Client) do(ctx context.Context, method, path string, in any, accept string, options ...Option) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.BaseURL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Accept", accept)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, option := range options {
		option(req)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

// readProblem makes a Problem of any failed answer, also of one that is not the gateway's own, for
// example a proxy's page.
func readProblem(resp *http.Response) *Problem {
	p := &Problem{}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || json.Unmarshal(data, p) != nil || p.Title == "" {
		return &Problem{Type: "about:blank", Title: resp.Status, Status: resp.StatusCode}
	}
	p.Status = resp.StatusCode
	return p
}
