package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Events calls fn with every change of one VM, or of all VMs for an empty ref, as it happens. It
// returns the error of fn, nil when ctx ends, or io.ErrUnexpectedEOF when the gateway has gone.
func (c *Client) Events(ctx context.Context, ref string, fn func(Event) error) error {
	path := "/v1/events"
	if ref != "" {
		path += "?service_ref=" + url.QueryEscape(ref)
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
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
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
