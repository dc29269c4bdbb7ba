package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/api"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// write appends a state of a VM, so many times.
func (f *fixture) write(ref string, times int, event vmlinev1.Event) {
	f.Helper()
	var after uint64
	if last, err := f.bus.Last(f.Context(), ref); err == nil {
		after = last.Seq
	}
	for range times {
		var err error
		if after, err = f.bus.Append(f.Context(), &vmlinev1.VM{Ref: ref, Event: event}, after); err != nil {
			f.Fatal(err)
		}
	}
}

func TestFeedHasEveryChangeOnce(t *testing.T) {
	f := start(t)
	if p, err := f.client.EventPage(t.Context(), 0, 10); err != nil || len(p.Events) != 0 || p.Cursor != 0 || p.HasMore || p.Gap {
		t.Errorf("an empty feed: %+v, %v", p, err)
	}
	f.write("w1-1", 3, vmlinev1.Event_EVENT_REACHED)
	f.write("w1-2", 4, vmlinev1.Event_EVENT_RECORDED)
	var got []uint64
	for cursor, more := uint64(0), true; more; {
		p, err := f.client.EventPage(t.Context(), cursor, 3)
		if err != nil || p.Gap || p.Cursor <= cursor || len(p.Events) > 3 {
			t.Fatalf("after %d: %+v, %v", cursor, p, err)
		}
		for _, e := range p.Events {
			got = append(got, e.Seq)
		}
		cursor, more = p.Cursor, p.HasMore
	}
	if fmt.Sprint(got) != "[1 2 3 4 5 6 7]" {
		t.Errorf("got %v", got)
	}
	for path, want := range map[string]string{
		"/v1/events?types=reached":                      `"seq":3`,
		"/v1/events?service_ref=w1-1":                   `"seq":3`,
		"/v1/events?types=recorded,parked&limit=200":    `"seq":7`,
		"/v1/events?service_ref=w1-2&types=reached":     `"events":[],"cursor":7`,
		"/v1/events?after=7":                            `"events":[],"cursor":7,"has_more":false,"gap":false`,
		"/v1/events?after=8":                            `"events":[],"cursor":7,"has_more":false,"gap":true`, // of another stream
		"/v1/events?after=18446744073709551615&limit=1": "",
	} {
		_, body := f.call("GET", path, "")
		if !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// TestGap has more changes of one VM than the log keeps: the first ones are gone.
func TestGap(t *testing.T) {
	f := start(t)
	f.write("w1-1", 3, vmlinev1.Event_EVENT_REACHED)
	f.write("w1-2", 205, vmlinev1.Event_EVENT_REACHED) // of 4 to 208 the log keeps the last 200
	p, err := f.client.EventPage(t.Context(), 1, 200)
	if err != nil || p.Gap || len(p.Events) != 200 {
		t.Errorf("what is still in memory: gap %t, %d events, %v", p.Gap, len(p.Events), err)
	}
	f.restart()
	p, err = f.client.EventPage(t.Context(), 1, 100)
	if err != nil || !p.Gap || len(p.Events) != 0 || p.Cursor != 208 || p.HasMore {
		t.Errorf("a reader that is far behind: gap %t, %d events, cursor %d, %v", p.Gap, len(p.Events), p.Cursor, err)
	}
	if p, err = f.client.EventPage(t.Context(), 8, 100); err != nil || p.Gap || len(p.Events) != 100 || p.Cursor != 108 {
		t.Errorf("one that is not: gap %t, %d events, cursor %d, %v", p.Gap, len(p.Events), p.Cursor, err)
	}
	lines := f.eventLines("2", 4)
	want := "id: 208|event: gap|data: {\"cursor\":208}|"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("as server-sent events: %q", got)
	}
}

func TestStreamGoesOnAfterTheLastEventSeen(t *testing.T) {
	f := start(t)
	f.write("w1-1", 4, vmlinev1.Event_EVENT_REACHED)
	lines := f.eventLines("2", 5)
	if lines[0] != "id: 3" || lines[1] != "event: reached" || !strings.HasPrefix(lines[2], `data: {"seq":3,`) || lines[4] != "id: 4" {
		t.Errorf("got %q", lines)
	}
}

// eventLines opens a stream after an event and returns its first lines behind the head.
func (f *fixture) eventLines(lastID string, n int) []string {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.client.BaseURL+"/v1/events", http.NoBody)
	if err != nil {
		f.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + f.client.Token, "Accept": "text/event-stream", "Last-Event-ID": lastID} {
		req.Header.Set(name, value)
	}
	resp, err := f.client.HTTP.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, 1<<20)
	var lines []string
	for len(lines) < n+3 && scanner.Scan() { // the head has three
		lines = append(lines, scanner.Text())
	}
	if len(lines) < 3 || lines[0] != "retry: 2000" || resp.Header.Get("Content-Type") != "text/event-stream" {
		f.Fatalf("head %q, %v", lines, resp.Header)
	}
	return lines[3:]
}

func TestEventsWithoutNATS(t *testing.T) {
	f := start(t)
	f.stopNATS()
	for _, accept := range []string{"application/json", "text/event-stream"} {
		resp, body := f.call("GET", "/v1/events", "", "Accept", accept)
		f.wantProblem(resp, body, http.StatusServiceUnavailable, api.TypeBrokerUnavailable)
	}
}
