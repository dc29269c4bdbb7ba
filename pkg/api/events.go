package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// EventPage returns a page of the feed of events after a cursor, 0 for the oldest that is kept.
func (c *Client) EventPage(ctx context.Context, after uint64, limit int) (EventPage, error) {
	var p EventPage
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/events?after=%d&limit=%d", after, limit), nil, &p)
	return p, err
}

// Events calls fn with every change of one VM, or of all VMs for an empty ref, as it happens. It
// returns the error of fn, nil when ctx ends, or io.ErrUnexpectedEOF when the gateway has gone.
func (c *Client) Events(ctx context.Context, ref string, fn func(Event) error) error {
	return c.events(ctx, ref, url.Values{}, fn)
}

// EventsAfter is Events from a cursor on, 0 for the oldest change that is kept.
func (c *Client) EventsAfter(ctx context.Context, ref string, after uint64, fn func(Event) error) error {
	return c.events(ctx, ref, url.Values{"after": {strconv.FormatUint(after, 10)}}, fn)
}

func (c *Client) events(ctx context.Context, ref string, q url.Values, fn func(Event) error) error {
	if ref != "" {
		q.Set("service_ref", ref)
	}
	path := "/v1/events"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	resp, err := c.do(ctx, http.MethodGet, path, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = readEvents(resp.Body, fn)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readEvents reads a stream of server-sent events (HTML Living Standard, section 9.2). The gateway
// writes the data of an event in one line.
func readEvents(r io.Reader, fn func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	name := ""
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "event:"); ok {
			name = strings.TrimSpace(event)
		}
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok || name == "gap" { // what comes next is whole in itself
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return io.ErrUnexpectedEOF
}
