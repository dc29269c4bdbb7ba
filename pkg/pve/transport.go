package pve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// maxAnswer is how many bytes of an answer are read. The largest real ones, lists of a big cluster, have a few MiB.
const maxAnswer = 16 << 20

// transport is the http.RoundTripper under go-proxmox. It lets only whole, well-formed successes of Proxmox pass and
// turns everything else into an *Error, because go-proxmox takes most codes for success.
type transport struct {
	cluster string
	url     string // of the API
	base    http.RoundTripper
	session *session // nil with an API token
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.session != nil {
		return t.withTicket(req)
	}
	return t.answer(req)
}

// answer sends a request as it is.
func (t *transport) answer(req *http.Request) (*http.Response, error) {
	res, body, wire := t.exchange(req)
	if wire.err != nil {
		return nil, t.lost(req, wire)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, t.refusal(req, res, body)
	}
	problem := notAnAnswer(req.Method, body)
	if res.StatusCode != http.StatusOK {
		problem = "its successes have the code 200"
	}
	if problem != "" {
		return nil, t.stranger(req, res, problem)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	return res, nil
}

// wire is what is known about a request on the wire.
type wire struct {
	asked atomic.Bool // a connection was asked for: the base transport is one that can be traced
	sent  atomic.Bool // a connection was had: from here on the request may have been sent
	err   error
}

// maybeSent reports whether the request may have reached the server. Only certainty counts as no.
func (w *wire) maybeSent() bool {
	if w.sent.Load() {
		return true
	}
	if w.asked.Load() {
		return false
	}
	op, ok := errors.AsType[*net.OpError](w.err)
	return !ok || op.Op != "dial"
}

// exchange sends the request and reads the whole answer.
func (t *transport) exchange(req *http.Request) (*http.Response, []byte, *wire) {
	w := &wire{}
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { w.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.sent.Store(true) },
	})
	var res *http.Response
	if res, w.err = t.base.RoundTrip(req.WithContext(ctx)); w.err != nil {
		return nil, nil, w
	}
	defer res.Body.Close()
	w.sent.Store(true)
	if shown, ok := req.Context().Value(connectionKey{}).(*tls.ConnectionState); ok && res.TLS != nil {
		*shown = *res.TLS
	}
	var body []byte
	body, w.err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if w.err == nil && len(body) > maxAnswer {
		w.err = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	}
	return res, body, w
}

// lost is the error of a request that got no (whole) answer.
func (t *transport) lost(req *http.Request, w *wire) *Error {
	e := t.newError(req)
	e.Kind, e.cause = Unreachable, w.err
	if req.Method != http.MethodGet && w.maybeSent() {
		e.Kind = MaybeCommitted
	}
	e.Message = "no answer: " + bounded(w.err.Error())
	if cause := context.Cause(req.Context()); cause != nil {
		e.cause = cause
		e.Message = "no answer: " + cause.Error()
	}
	e.fate = lostFate(req, w, e.cause)
	return e
}

// lostFate decides by this table what becomes of the endpoint and of the request:
//
//	the server is not the one we know     stay    a person must look
//	the caller has given up               stay    nothing is known about the endpoint
//	our time-out                          leave   no time is left to try another
//	no connection                         next    nothing was sent
//	lost after it may have been sent      next    a read
//	                                      leave   a write: never repeated
func lostFate(req *http.Request, w *wire, cause error) fate {
	_, late := errors.AsType[*tooLate](cause)
	switch {
	case Distrusted(w.err):
		return stay
	case req.Context().Err() != nil && !late:
		return stay
	case late:
		return leave
	case !w.maybeSent() || req.Method == http.MethodGet:
		return next
	}
	return leave
}

// refusal is the error that an answer outside 2xx stands for.
func (t *transport) refusal(req *http.Request, res *http.Response, body []byte) *Error {
	e := t.newError(req)
	e.Code = res.StatusCode
	e.Reason = reasonPhrase(res)
	var said struct {
		Message string         `json:"message"`
		Errors  map[string]any `json:"errors"`
	}
	if json.Unmarshal(body, &said) == nil {
		e.Message = bounded(strings.TrimSpace(said.Message))
		e.Params = complaints(said.Errors)
	}
	if e.Message == "" {
		e.Message = e.Reason
	}
	texts := []string{e.Message, e.Reason}
	for k, v := range e.Params {
		texts = append(texts, k+": "+v)
	}
	e.Kind = classify(e.Code, req.Method != http.MethodGet, texts...)
	// 595 for what belongs to no node: the endpoint has lost its own daemon. Below /nodes it is the other node that
	// cannot be reached, from here as from anywhere.
	if e.Code == 595 && !strings.HasPrefix(e.Path, "/nodes/") {
		e.fate = next
	}
	return e
}

// complaints trims what Proxmox says about parameters. The values are texts; anything else is kept as it prints.
func complaints(in map[string]any) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[bounded(k)] = bounded(strings.TrimSpace(fmt.Sprint(v)))
	}
	return out
}

// stranger is the error of a 2xx that Proxmox cannot have given.
func (t *transport) stranger(req *http.Request, res *http.Response, problem string) *Error {
	e := t.newError(req)
	e.Code, e.Reason, e.Message = res.StatusCode, reasonPhrase(res), "this is no answer of Proxmox VE: "+problem
	e.Kind = Unreachable
	if req.Method != http.MethodGet {
		e.Kind = MaybeCommitted
	}
	return e
}

// ofFailures are the keys beside data that Proxmox sends only when something went wrong (PVE::HTTPServer). With code
// 200 they come from what stands in between.
var ofFailures = []string{"errors", "message", "success", "status"}

// notAnAnswer says why a body is not what Proxmox sends on success, an object with the key data; "" if it is. No GET
// that this package does answers with null.
func notAnAnswer(method string, body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return "the body is empty"
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return "the body is not a JSON object"
	}
	for _, k := range ofFailures {
		if said, ok := answer[k]; ok {
			return "code 200 with " + k + " " + bounded(string(said))
		}
	}
	switch data, ok := answer["data"]; {
	case !ok:
		return "the body has no data"
	case method == http.MethodGet && string(data) == "null":
		return "data is null where something is due"
	}
	return ""
}

func (t *transport) newError(req *http.Request) *Error {
	return &Error{Cluster: t.cluster, Method: req.Method, Path: strings.TrimPrefix(req.URL.Path, apiPath)}
}

// reasonPhrase is the status line without its code.
func reasonPhrase(res *http.Response) string {
	return bounded(strings.TrimSpace(strings.TrimPrefix(res.Status, fmt.Sprint(res.StatusCode))))
}
