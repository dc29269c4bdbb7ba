package api

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// DeadLetter is a message that could not be handled.
type DeadLetter struct {
	// ID is its sequence among the dead letters.
	ID         uint64    `json:"id"`
	At         time.Time `json:"at"`
	Stream     string    `json:"stream" doc:"Where the message is from."`
	Sequence   uint64    `json:"sequence"`
	Subject    string    `json:"subject,omitempty"`
	Consumer   string    `json:"consumer" doc:"Who gave up."`
	Deliveries uint64    `json:"deliveries,omitempty"`
	Ref        string    `json:"service_ref,omitempty"`
	Error      string    `json:"error"`
	Retry      string    `json:"retry,omitempty" doc:"How to have it tried again."`
	// Requeueable says that requeue has something to do.
	Requeueable bool `json:"requeueable" doc:"It can be sent again; all else is looked at again by itself."`
}

// DeadLetterList is one page of dead letters, oldest first.
type DeadLetterList struct {
	Items      []DeadLetter `json:"items" nullable:"false"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"Set when there are more: ask again with it as cursor."`
}

// DeadLetters returns one page of dead letters, oldest first.
func (c *Client) DeadLetters(ctx context.Context, limit int, cursor string) (DeadLetterList, error) {
	var l DeadLetterList
	err := c.call(ctx, http.MethodGet, page("/v1/dead-letters", limit, cursor), nil, &l)
	return l, err
}

// RequeueDeadLetter has a message handled once more and takes its letter away. It needs the scope admin.
func (c *Client) RequeueDeadLetter(ctx context.Context, id uint64) error {
	return c.call(ctx, http.MethodPost, "/v1/dead-letters/"+strconv.FormatUint(id, 10)+"/requeue", nil, nil)
}

// DiscardDeadLetter takes a letter away. It needs the scope admin.
func (c *Client) DiscardDeadLetter(ctx context.Context, id uint64) error {
	return c.call(ctx, http.MethodDelete, "/v1/dead-letters/"+strconv.FormatUint(id, 10), nil, nil)
}
