package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
)

type eventsInput struct {
	Ref string `query:"service_ref" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a ref" doc:"Only this VM. Left out: every VM."`
}

func (g *gateway) eventsOperation(a huma.API) huma.Operation {
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Event](), true, "Event")
	return huma.Operation{
		OperationID: "get-events", Method: http.MethodGet, Path: "/v1/events",
		Summary:     "Watch changes of VMs as they happen",
		Description: "Server-sent events: id is the sequence in the VM stream, event is why the state was written, data is an Event.",
		Errors:      []int{401, 422, 503},
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream that ends when the client goes.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
		}},
	}
}

func (g *gateway) getEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		ctx, cancel := g.untilStopping(ctx)
		defer cancel()
		g.stream(ctx, &eventWriter{w: w, control: http.NewResponseController(w)}, in.Ref)
	}}, nil
}

// streamStart is how long a stream waits for NATS before it answers with a problem.
const streamStart = 2 * time.Second

// stream writes changes until ctx ends or the client is gone.
func (g *gateway) stream(ctx context.Context, out *eventWriter, ref string) {
	entries, started, ended := make(chan bus.Entry), make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(streamStart, func() {
		select {
		case <-started:
		default:
			cancel()
		}
	}).Stop()
	if ref == "" {
		ref = "*"
	}
	go func() {
		defer close(entries)
		ended <- g.bus.Tail(ctx, ref, func() { close(started) }, func(e bus.Entry) bool {
			select {
			case entries <- e:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	select {
	case err := <-ended:
		out.fail(g.busProblem("watch VMs", errors.Join(err, ctx.Err())))
		return
	case <-started:
	}
	err := copyEvents(out, entries, g.heartbeat)
	cancel()
	g.log.Debug("event stream ended", "ref", ref, "error", errors.Join(err, <-ended))
}

// copyEvents writes entries until there are no more or the client is gone.
func copyEvents(out *eventWriter, entries <-chan bus.Entry, beat time.Duration) error {
	if err := out.open(); err != nil {
		return err
	}
	heartbeat := time.NewTicker(beat)
	defer heartbeat.Stop()
	for {
		var err error
		select {
		case e, ok := <-entries:
			if !ok {
				return nil
			}
			err = out.event(api.EventOf(e.VM, e.Seq))
		case <-heartbeat.C:
			err = out.comment("alive")
		}
		if err != nil {
			return err
		}
	}
}

// streamWrite is how long one write to a client may take before the client counts as gone.
const streamWrite = 10 * time.Second

// eventWriter writes server-sent events (HTML Living Standard, section 9.2).
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (o *eventWriter) open() error {
	// The read deadline of a request would end the stream.
	if err := o.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	return o.write("retry: 2000\n: watching\n\n")
}

func (o *eventWriter) event(e api.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return o.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Service.Event, data))
}

func (o *eventWriter) comment(text string) error { return o.write(": " + text + "\n\n") }

func (o *eventWriter) write(text string) error {
	if err := o.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := o.w.Write([]byte(text)); err != nil {
		return err
	}
	return o.control.Flush()
}

// fail answers with a problem in place of the stream.
func (o *eventWriter) fail(err error) {
	var p *api.Problem
	if errors.As(err, &p) {
		o.w.Header().Set("Retry-After", retryAfter)
		writeProblem(o.w, p)
	}
}
