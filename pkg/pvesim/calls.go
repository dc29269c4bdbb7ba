package pvesim

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// call is one request being answered. Its methods are the handlers; they run with the mutex held.
type call struct {
	c      *Cluster
	who    identity
	method string
	path   string            // without the base
	vars   map[string]string // from the path
	p      params
	node   string // the node that does the work
	fault  *Fault
	upload *upload         // the file that came with it
	gone   <-chan struct{} // closed when nobody waits for the answer any more
}

// object is a JSON object.
type object = map[string]any

// counted is an answer with a sibling "total", which is left out when it is 0.
type counted struct {
	data  any
	total int
}

// rawText is an answer that is not JSON.
type rawText string

// Call is one answered request, for assertions.
type Call struct {
	Time   time.Time
	Method string
	Path   string            // without /api2/json
	Params map[string]string // as sent; passwords are hidden
	User   string            // "user@realm!token"
	Code   int               // 0: the connection was dropped
	Reason string
}

// answer is what goes over the wire.
type answer struct {
	code   int
	reason string
	header http.Header
	body   []byte
	drop   bool // close the connection instead
}

// errDropped is an answer that never comes.
var errDropped = &apiError{reason: "connection dropped"}

// Calls are all requests answered since the start or the last ResetCalls, oldest first.
func (c *Cluster) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	if n := c.cfg.KeepCalls; n > 0 && len(calls) > n {
		calls = calls[len(calls)-n:]
	}
	return slices.Clone(calls)
}

// ResetCalls forgets the calls answered so far.
func (c *Cluster) ResetCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

// secretParams are never kept.
var secretParams = []string{"cipassword", "password"}

func (c *Cluster) record(r *http.Request, path string, q *call, a answer) {
	shown := map[string]string{}
	user := ""
	if q != nil {
		for k, v := range q.p {
			if contains(secretParams, k) {
				v = "<hidden>"
			}
			shown[k] = v
		}
		user = q.who.String()
	}
	c.calls = append(c.calls, Call{
		Time: c.cfg.Now(), Method: r.Method, Path: path, Params: shown, User: user, Code: a.code, Reason: a.reason,
	})
	if n := c.cfg.KeepCalls; n > 0 && len(c.calls) >= 2*n { // now and then, not with every call
		c.calls = slices.Clone(c.calls[len(c.calls)-n:])
	}
}

// answer does a request and says what to send back.
func (c *Cluster) answer(r *http.Request) answer {
	came := readContent(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	format, parts, pathErr := splitPath(r.URL)
	path := "/" + strings.Join(parts, "/")
	if c.down || c.closed() {
		return answer{drop: true}
	}
	if pathErr != nil {
		return c.release.encode(formatJSON, nil, pathErr)
	}
	q := &call{c: c, p: params{}, upload: came.file, gone: r.Context().Done()}
	result, err := q.serve(r, parts, came)
	a := answer{drop: true}
	if !errors.Is(err, errDropped) && !c.closed() {
		a = c.release.encode(format, result, err)
	}
	c.record(r, path, q, a)
	return a
}

// refuse finds what Proxmox VE does not take, whatever the path.
func refuse(r *http.Request, body []byte) error {
	switch {
	case !contains(knownMethods, r.Method):
		return &apiError{code: 501, reason: "method '" + r.Method + "' not available", empty: true}
	case r.ContentLength < 0:
		return &apiError{code: 501, reason: "chunked transfer encoding not supported", empty: true}
	case len(body) > 0 && r.Method != http.MethodPost && r.Method != http.MethodPut:
		return &apiError{code: 501, reason: "Unexpected content for method '" + r.Method + "'", empty: true}
	}
	return nil
}

// serve finds the handler of a request and does all that comes before it.
func (q *call) serve(r *http.Request, parts []string, came content) (any, error) {
	c := q.c
	if err := refuse(r, came.body); err != nil {
		return nil, err
	}
	rt, vars := findRoute(r.Method, parts)
	if err := q.login(r, rt); err != nil {
		q.pause(c.cfg.AuthDelay, nil)
		return nil, err
	}
	if rt == nil {
		return nil, notImplemented(r.Method, "/"+strings.Join(parts, "/"))
	}
	q.vars, q.method, q.path = vars, r.Method, "/"+strings.Join(parts, "/")
	sent, err := parseParams(r, came)
	if err != nil {
		return nil, err
	}
	q.p = sent.values
	return q.withFaults(r.Method, parts, func() (any, error) { return q.handle(rt, sent) })
}

var knownMethods = []string{"GET", "POST", "PUT", "DELETE"}

// handle checks permissions, node and parameters, in the order of the real API, and runs the handler.
func (q *call) handle(rt *route, sent sentParams) (any, error) {
	if err := q.permit(rt.perm); err != nil {
		return nil, err
	}
	if err := q.reachNode(rt); err != nil {
		return nil, err
	}
	p, err := rt.schema.check(sent, q.vars)
	if err != nil {
		return nil, err
	}
	if err := q.c.release.check(p); err != nil {
		return nil, err
	}
	q.p = p
	if p.bool("skiplock") && !q.who.isRoot() {
		return nil, badParam("skiplock", "Only root may use this option.")
	}
	return rt.handler(q)
}

// noRoute is the reason phrase for a node that cannot be reached.
const noRoute = "No route to host"

// reachNode finds the node that a path names. Calls that only need the cluster file system are
// answered by the node that was contacted; all others are passed on.
func (q *call) reachNode(rt *route) error {
	name, ok := q.vars["node"]
	if !ok {
		return nil
	}
	q.node = name
	n := q.c.node(name)
	if rt.anywhere {
		return nil
	}
	if n == nil {
		return fail("hostname lookup '%s' failed - failed to get address info for: %s: Temporary failure in name resolution", name, name)
	}
	if q.fault.is(NodeDown) {
		return q.fault.answer(595, noRoute)
	}
	if !n.online {
		return &apiError{code: 595, reason: noRoute, empty: true}
	}
	return nil
}

// The formats of answers. The one for browsers has every answer that is not empty in a 200.
const (
	formatJSON  = "json"
	formatExtJS = "extjs"
)

// encode turns a handler's result into an answer.
func (r release) encode(format string, result any, err error) answer {
	if err != nil {
		e, ok := errors.AsType[*apiError](err)
		if !ok {
			e = &apiError{code: 500, reason: err.Error()}
		}
		return r.errorAnswer(format, e)
	}
	if text, ok := result.(rawText); ok {
		return answer{code: 200, reason: "OK", header: headers("text/plain"), body: []byte(text)}
	}
	o := object{"data": result}
	if n, ok := result.(counted); ok {
		o = object{"data": n.data}
		if n.total > 0 {
			o["total"] = n.total
		}
	}
	if format == formatExtJS {
		o["success"] = 1
	}
	return jsonAnswer(200, "OK", o)
}

func (r release) errorAnswer(format string, e *apiError) answer {
	if e.empty {
		return answer{code: e.code, reason: e.reason, header: headers("")}
	}
	message := e.reason
	if e.plain {
		return answer{code: e.code, reason: oneLine(e.reason), header: headers("text/plain"), body: []byte(message + "\n")}
	}
	if !e.exact {
		message += "\n"
	}
	o := object{"data": nil}
	if r.messages {
		o["message"] = message
	}
	if e.errors != nil {
		o["errors"] = e.errors
	}
	if format == formatExtJS {
		o["success"], o["status"], o["message"] = 0, e.code, message
		return jsonAnswer(200, "OK", o)
	}
	return jsonAnswer(e.code, oneLine(e.reason), o)
}

func jsonAnswer(code int, reason string, o object) answer {
	b, err := json.Marshal(o)
	if err != nil {
		panic("pvesim: an answer cannot be encoded: " + err.Error())
	}
	return answer{code: code, reason: reason, header: headers("application/json;charset=UTF-8"), body: b}
}

func headers(contentType string) http.Header {
	h := http.Header{"Server": {"pve-api-daemon/3.0"}, "Cache-Control": {"max-age=0"}, "Pragma": {"no-cache"}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return h
}
