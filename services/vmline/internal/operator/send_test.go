package operator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// answers are what a gateway says, one a call: a status, or an error of the connection.
type answers struct {
	say  []any
	keys []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.keys = append(a.keys, r.Header.Get("Idempotency-Key"))
	next := a.say[0]
	a.say = a.say[1:]
	if err, ok := next.(error); ok {
		return nil, err
	}
	body := `{"id": "op", "status": "accepted"}`
	if next.(int) >= http.StatusBadRequest {
		body = `{"title": "It did not work"}`
	}
	return &http.Response{StatusCode: next.(int), Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestSend repeats what may have been heard, with the same Idempotency-Key, and nothing else.
func TestSend(t *testing.T) {
	cut := io.ErrUnexpectedEOF
	for _, tt := range []struct {
		name  string
		say   []any
		calls int
		code  int
		want  string
	}{
		{"at once", []any{202}, 1, exit.Done, ""},
		{"a lost answer", []any{cut, 202}, 2, exit.Done, ""},
		{"a proxy without a gateway", []any{502, 503, 504, 202}, 4, exit.Done, ""},
		{"never an answer", []any{cut, cut, cut, cut}, 4, exit.Failed, "It is not known whether"},
		{"refused", []any{409}, 1, exit.Failed, "It did not work"},
		{"no such machine", []any{404}, 1, exit.NotFound, "It did not work"},
		{"nobody there", []any{&net.OpError{Op: "dial", Err: errors.New("connection refused")}}, 1, exit.Failed, "connection refused"},
		{"somebody else there", []any{&wrongCertificate{errors.New("another certificate")}}, 1, exit.Failed, "another certificate"},
		{"stopped by a person", []any{context.Canceled}, 1, exit.Failed, "canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{say: tt.say}
				client := &api.Client{BaseURL: "http://gateway", HTTP: &http.Client{Transport: a}}
				_, err := send(t.Context(), client, "w1-1", api.Action{Type: "reboot"}, "one")
				if len(a.keys) != tt.calls || exit.Code(err) != tt.code || (err != nil && !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%d calls, want %d: %v", len(a.keys), tt.calls, err)
				}
				for _, key := range a.keys {
					if strings.Trim(key, `"`) != "one" {
						t.Errorf("Idempotency-Key %q", key)
					}
				}
			})
		})
	}
}

func TestSendStopsWaitingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		a := &answers{say: []any{io.ErrUnexpectedEOF, 202}}
		client := &api.Client{BaseURL: "http://gateway", HTTP: &http.Client{Transport: a}}
		if _, err := send(ctx, client, "w1-1", api.Action{}, "one"); err == nil || len(a.keys) != 1 {
			t.Errorf("%d calls, %v", len(a.keys), err)
		}
	})
}

func TestEachInvocationHasAKeyOfItsOwn(t *testing.T) {
	if a, b := newIdempotencyKey(), newIdempotencyKey(); a == b || len(a) < 20 {
		t.Errorf("%s, %s", a, b)
	}
}
