// Package rehearsal lets code that changes machines run without changing any: its client notes every
// call that would change something, exactly as it would be sent, and sends none.
package rehearsal

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// upid is what an order for a task is answered with.
const upid = "UPID:plan:00000001:00000001:00000001:plan::plan@pve:"

// tasks are the ends of the paths that answer with a task.
var tasks = []string{"/clone", "/migrate"}

// Stage is where calls are noted.
type Stage struct {
	mu    sync.Mutex
	calls []*vmlinev1.PlannedCall
}

// Client is a client whose changes are noted and succeed at once.
func (s *Stage) Client() (*pve.Client, error) {
	return pve.New(pve.Config{
		Name: "plan", URL: "https://plan.invalid:8006", TokenID: "plan@pve!plan", TokenSecret: "plan", Transport: s,
	})
}

// Calls returns what was noted, in its order, passwords hidden.
func (s *Stage) Calls() []*vmlinev1.PlannedCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// secret are the parameters whose values nobody sees.
var secret = map[string]bool{"cipassword": true, "password": true}

// RoundTrip notes a request and answers it.
func (s *Stage) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := "[]" // whoever looks again after a change finds nothing that is there twice
	if r.Method != http.MethodGet {
		answer = "null"
		call, err := noted(r)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.calls = append(s.calls, call)
		s.mu.Unlock()
	}
	for _, end := range tasks {
		if strings.HasSuffix(r.URL.Path, end) {
			answer = `"` + upid + `"`
		}
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}},
		Body:   io.NopCloser(strings.NewReader(`{"data":` + answer + `}`)),
	}, nil
}

func noted(r *http.Request) (*vmlinev1.PlannedCall, error) {
	call := &vmlinev1.PlannedCall{Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/api2/json"), Params: map[string]string{}}
	for key, values := range r.URL.Query() {
		call.Params[key] = strings.Join(values, ",")
	}
	if r.Body != nil {
		var params map[string]any
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if len(data) > 0 {
			if err := json.Unmarshal(data, &params); err != nil {
				return nil, fmt.Errorf("read what would be sent: %w", err)
			}
		}
		for key, value := range params {
			call.Params[key] = fmt.Sprint(value)
		}
	}
	for key := range call.Params {
		if secret[key] {
			call.Params[key] = "(hidden)"
		}
	}
	return call, nil
}
