package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// pauses are before the attempts that follow failed ones.
var pauses = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// attemptTimeout bounds one attempt, from the look-up of the name to the end of the answer.
const attemptTimeout = 15 * time.Second

// errGone is the answer 410: the receiver wants nothing any more.
var errGone = errors.New("the receiver answered 410 Gone")

// newClient dials through the guard, and through nothing else: no proxy, no redirects.
func newClient(guard Guard, base *http.Transport) *http.Client {
	t := &http.Transport{}
	if base != nil {
		t = base.Clone()
	}
	t.Proxy, t.DialContext, t.DialTLSContext = nil, guard.dialer().DialContext, nil
	t.MaxResponseHeaderBytes = 16 << 10
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 1, time.Minute
	return &http.Client{
		Transport: t, Timeout: attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post makes one attempt. Its error says nothing of what the receiver answered beyond the status,
// because a person will read it who may not see the receiver's network.
func post(ctx context.Context, client *http.Client, url string, e api.Event, at time.Time, secrets []string) error {
	id, body, err := message(e)
	if err != nil {
		return err
	}
	signature, err := Sign(id, at, body, secrets...)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "vmline",
		"Webhook-Id": id, "Webhook-Timestamp": strconv.FormatInt(at.Unix(), 10), "Webhook-Signature": signature,
	} {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return dialError(err)
	}
	defer resp.Body.Close()
	const drained = 4 << 10 // bytes, so that the connection can be used again
	_, _ = io.CopyN(io.Discard, resp.Body, drained)
	switch {
	case resp.StatusCode == http.StatusGone:
		return errGone
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return fmt.Errorf("the receiver answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// dialError says what happened without the URL, whose query may hold a secret of the receiver.
func dialError(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, ErrForbiddenAddress):
		return ErrForbiddenAddress
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the receiver did not answer in time")
	}
	return fmt.Errorf("the receiver could not be reached: %w", errors.Unwrap(err)) // without the URL of *url.Error
}

// remembered is how many attempts a record keeps.
const remembered = 20

// remember keeps an attempt among the last ones.
func (r *record) remember(seq uint64, outcome error, now time.Time) {
	d := api.WebhookDelivery{Seq: seq, At: now, Attempt: r.Attempts + 1}
	if outcome != nil {
		d.Error = outcome.Error()
	}
	r.Deliveries = append(r.Deliveries, d)
	r.Deliveries = r.Deliveries[max(len(r.Deliveries)-remembered, 0):]
}

// settle notes in the record what became of an attempt for the event with a sequence. jitter is
// between 0 and 1.
func (r *record) settle(seq uint64, outcome error, now time.Time, jitter float64) {
	if r.Position >= seq {
		return // noted already
	}
	r.remember(seq, outcome, now)
	if outcome == nil {
		r.Position, r.Attempts, r.LastError, r.NotBefore, r.LastDeliveredAt = seq, 0, "", time.Time{}, now
		return
	}
	r.Attempts++
	r.LastError, r.NotBefore = outcome.Error(), time.Time{}
	switch {
	case errors.Is(outcome, errGone):
		r.Disabled = r.LastError + "."
	case r.Attempts > len(pauses):
		r.Disabled = fmt.Sprintf("%d attempts have failed, the last one because %s.", r.Attempts, r.LastError)
	default:
		const tenth = 10 // of the pause is added at most, so that receivers are not all called at once
		pause := pauses[r.Attempts-1]
		r.NotBefore = now.Add(pause + time.Duration(jitter*float64(pause)/tenth))
	}
}
