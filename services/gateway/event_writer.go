package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

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
	h.Set("Content-Type", mediaEvents)
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

// gap tells that changes up to a cursor are gone.
func (o *eventWriter) gap(cursor uint64) error {
	data, err := json.Marshal(api.Gap{Cursor: cursor})
	if err != nil {
		return err
	}
	return o.write(fmt.Sprintf("id: %d\nevent: gap\ndata: %s\n\n", cursor, data))
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
