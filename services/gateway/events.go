package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/gateway/internal/feed"
)

const mediaEvents = "text/event-stream"

type eventsInput struct {
	Ref    string   `query:"service_ref" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a ref" doc:"Only this VM. Left out: every VM."`
	Types  []string `query:"types" enum:"admitted,reached,recorded,retrying,parked,observed,queued,refused" doc:"Only changes that were written for these reasons, separated by commas. Left out: all."`
	After  string   `query:"after" pattern:"^[0-9]{1,19}$" patternDescription:"a cursor" doc:"Cursor of the page before. Left out: from the oldest change that is kept, or with server-sent events from now on."`
	Limit  int      `query:"limit" minimum:"1" maximum:"200" default:"100" doc:"Of a page."`
	LastID string   `header:"Last-Event-ID" pattern:"^[0-9]{1,19}$" patternDescription:"the id of an event" doc:"Of server-sent events: the last one that was seen. It stands above after."`

	streams bool
}

// Resolve sees which form the client wants.
func (in *eventsInput) Resolve(ctx huma.Context) []error {
	in.streams = strings.Contains(ctx.Header("Accept"), mediaEvents)
	return nil
}

func (g *gateway) registerFeed(a huma.API) {
	schemas := a.OpenAPI().Components.Schemas
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "get-events", Method: http.MethodGet, Path: "/v1/events",
		Summary: "Read what happened to VMs, in order",
		Description: "As JSON: a page of events and the cursor of the next one. has_more says that there is one now. " +
			"gap says that changes after the cursor are no longer kept: list all services, then go on with the new cursor; no state that still holds is missed.\n\n" +
			"As server-sent events (Accept: text/event-stream): id is the cursor, event is why the state was written, data is an Event. " +
			"The event gap has a Gap as data and means the same as above.",
		Errors: []int{422},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page, or a stream that ends when the client goes.",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: schemas.Schema(reflect.TypeFor[api.EventPage](), true, "EventPage")},
				mediaEvents:        {Schema: &huma.Schema{OneOf: []*huma.Schema{schemas.Schema(reflect.TypeFor[api.Event](), true, "Event"), schemas.Schema(reflect.TypeFor[api.Gap](), true, "Gap")}}},
			},
		}},
	}, g.getEvents)
}

func (g *gateway) getEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	if in.streams {
		return g.streamEvents(ctx, in)
	}
	after, err := cursor(in.After)
	if err != nil {
		return nil, err
	}
	page, err := g.feed.Page(ctx, after, in.Limit)
	if err != nil {
		return nil, g.busProblem("read events", err)
	}
	answer := api.EventPage{Events: []api.Event{}, Cursor: page.Cursor, HasMore: page.More, Gap: page.Gap}
	for _, e := range page.Entries {
		if in.wants(e) {
			answer.Events = append(answer.Events, api.EventOf(e.VM, e.Seq))
		}
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/json")
		hc.SetHeader("Cache-Control", "no-store")
		_ = json.NewEncoder(hc.BodyWriter()).Encode(answer) // the client may have gone
	}}, nil
}

// cursor reads a sequence; empty is 0.
func cursor(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, problem(http.StatusUnprocessableEntity, "The cursor is not one that the gateway gives out.", "Use the cursor of an earlier answer.")
	}
	return seq, nil
}

// wants says whether the client asked for such a change.
func (in *eventsInput) wants(e bus.Entry) bool {
	if e.VM == nil || in.Ref != "" && in.Ref != e.VM.GetRef() {
		return false
	}
	return len(in.Types) == 0 || slices.Contains(in.Types, api.EventName(e.VM.GetEvent()))
}

// streamEvents answers with server-sent events. The first look at the stream is made before the answer
// begins, so that a gateway without NATS answers with a problem.
func (g *gateway) streamEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	text := in.LastID
	if text == "" {
		text = in.After
	}
	after, err := cursor(text)
	if err != nil {
		return nil, err
	}
	bounds, err := g.feed.Bounds(ctx)
	if err != nil {
		return nil, g.busProblem("watch VMs", err)
	}
	if text == "" {
		after = bounds.Last
	}
	if !g.slots.onlyWaits(ctx) {
		return nil, huma.ErrorWithHeaders(busy("The gateway has too many watchers."), http.Header{"Retry-After": {busyRetry}})
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		ctx, cancel := g.untilStopping(ctx)
		defer cancel()
		out := &eventWriter{w: w, control: http.NewResponseController(w)}
		err := g.stream(ctx, out, in, after)
		g.log.Debug("event stream ended", "ref", in.Ref, "error", err)
	}}, nil
}

// stream writes changes until ctx ends or the client is gone.
func (g *gateway) stream(ctx context.Context, out *eventWriter, in *eventsInput, after uint64) error {
	if err := out.open(); err != nil {
		return err
	}
	beat := time.NewTicker(g.heartbeat)
	defer beat.Stop()
	for {
		next := g.feed.Changed(after)
		page, err := g.feed.Page(ctx, after, maxPage)
		if err != nil {
			return err // the client comes back with Last-Event-ID
		}
		if err := writePage(out, in, page); err != nil {
			return err
		}
		after = page.Cursor
		if page.More {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		case <-beat.C:
			if err := out.comment("alive"); err != nil {
				return err
			}
		}
	}
}

// maxPage is the most changes that are read at once.
const maxPage = 200

func writePage(out *eventWriter, in *eventsInput, page feed.Page) error {
	if page.Gap {
		return out.gap(page.Cursor)
	}
	for _, e := range page.Entries {
		if !in.wants(e) {
			continue
		}
		if err := out.event(api.EventOf(e.VM, e.Seq)); err != nil {
			return err
		}
	}
	return nil
}
