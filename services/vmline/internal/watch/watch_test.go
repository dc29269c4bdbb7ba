package watch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func operation(status string, done int) api.Operation {
	op := api.Operation{ID: "op", ServiceRef: "w1-1", Status: status}
	for i, name := range []string{"creation", "set_ip", "clone"} {
		s := api.Step{Name: name, Status: api.StepPending}
		if i < done {
			s.Status = api.StatusSucceeded
		}
		op.Steps = append(op.Steps, s)
	}
	return op
}

// away stands for an answer that the gateway cannot give now.
var away = api.Operation{ID: "away"}

// client talks to a gateway without events, whose operation takes the given states, one a question.
func client(t *testing.T, states ...api.Operation) *api.Client {
	t.Helper()
	next := make(chan api.Operation, len(states))
	for _, s := range states {
		next <- s
	}
	close(next)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/operations/op" {
			w.WriteHeader(http.StatusNotFound) // there are no events
			return
		}
		op, ok := <-next
		if !ok || op.ID == away.ID {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(op)
	}))
	t.Cleanup(server.Close)
	return &api.Client{BaseURL: server.URL, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

func TestStepsAreShownOnceAndInOrder(t *testing.T) {
	var shown []string
	show := func(s api.Step) error { shown = append(shown, s.Name); return nil }
	// An answer that was overtaken comes late; one step is only seen with the next.
	c := client(t, operation(api.StatusRunning, 1), operation(api.StatusRunning, 1), operation(api.StatusRunning, 0), operation(api.StatusRunning, 2),
		operation(api.StatusSucceeded, 3), operation(api.StatusSucceeded, 3))
	op, err := Operation(t.Context(), c, operation(api.StatusAccepted, 0), show)
	if err != nil || op.Status != api.StatusSucceeded {
		t.Fatalf("%s, %v", op.Status, err)
	}
	if len(shown) != 3 || shown[0] != "creation" || shown[2] != "clone" {
		t.Errorf("shown: %v", shown)
	}
}

func TestAnOperationThatHasEndedIsNotAskedFor(t *testing.T) {
	shown := 0
	op, err := Operation(t.Context(), client(t), operation(api.StatusParked, 2), func(api.Step) error { shown++; return nil })
	if err != nil || op.Status != api.StatusParked || shown != 2 {
		t.Errorf("%s, %v, %d steps", op.Status, err, shown)
	}
}

// TestAnOutageDoesNotEndIt: a gateway that is away for a moment is asked again.
func TestAnOutageDoesNotEndIt(t *testing.T) {
	outage.again = time.Millisecond
	t.Cleanup(func() { outage.again = time.Second })
	c := client(t, operation(api.StatusRunning, 1), away, away, operation(api.StatusSucceeded, 3))
	if op, err := Operation(t.Context(), c, operation(api.StatusAccepted, 0), func(api.Step) error { return nil }); err != nil || op.Status != api.StatusSucceeded {
		t.Errorf("%s, %v", op.Status, err)
	}
}

func TestErrorsEndIt(t *testing.T) {
	before := outage
	outage.most, outage.again = -wait+50*time.Millisecond, time.Millisecond
	t.Cleanup(func() { outage = before })
	var problem *api.Problem
	if _, err := Operation(t.Context(), client(t), operation(api.StatusRunning, 0), nil); !errors.As(err, &problem) {
		t.Errorf("a gateway that fails: %v", err)
	}
	boom := errors.New("boom")
	if _, err := Operation(t.Context(), client(t), operation(api.StatusRunning, 1), func(api.Step) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("a reader that has gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Operation(ctx, client(t), operation(api.StatusRunning, 0), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
