package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
)

func (g *gateway) registerDeadLetters(a huma.API) {
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/v1/dead-letters", Tags: []string{"dead letters"},
		Summary: "List messages that could not be handled, oldest first", Errors: []int{422},
	}, g.listDeadLetters)
	route(a, api.ScopeAdmin, huma.Operation{
		OperationID: "requeue-dead-letter", Method: http.MethodPost, Path: "/v1/dead-letters/{id}/requeue", DefaultStatus: http.StatusNoContent, Tags: []string{"dead letters"},
		Summary: "Have a message handled once more, and take its letter away", Errors: []int{404, 409, 422},
	}, g.requeueDeadLetter)
	route(a, api.ScopeAdmin, huma.Operation{
		OperationID: "discard-dead-letter", Method: http.MethodDelete, Path: "/v1/dead-letters/{id}", DefaultStatus: http.StatusNoContent, Tags: []string{"dead letters"},
		Summary: "Take a letter away", Errors: []int{404, 422},
	}, g.discardDeadLetter)
}

type deadLettersInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
	Cursor string `query:"cursor" pattern:"^[0-9]{1,19}$" patternDescription:"the next_cursor of the page before"`
}

func (g *gateway) listDeadLetters(ctx context.Context, in *deadLettersInput) (*struct{ Body api.DeadLetterList }, error) {
	after, err := cursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	letters, err := g.bus.DeadLetters(ctx, after, in.Limit+1)
	if err != nil {
		return nil, g.busProblem("read dead letters", err)
	}
	list := api.DeadLetterList{Items: []api.DeadLetter{}}
	for _, l := range letters[:min(len(letters), in.Limit)] {
		list.Items = append(list.Items, deadLetter(l))
	}
	if len(letters) > in.Limit {
		list.NextCursor = strconv.FormatUint(letters[in.Limit-1].ID, 10)
	}
	return &struct{ Body api.DeadLetterList }{list}, nil
}

func deadLetter(l bus.Letter) api.DeadLetter {
	return api.DeadLetter{
		ID: l.ID, At: l.GetAt().AsTime(), Stream: l.GetStream(), Sequence: l.GetSequence(), Subject: l.GetSubject(), Consumer: l.GetConsumer(),
		Deliveries: l.GetDeliveries(), Ref: l.Ref(), Error: l.GetError(), Retry: l.GetRetry(), Requeueable: l.Requeueable(),
	}
}

type deadLetterInput struct {
	ID uint64 `path:"id" minimum:"1"`
}

// letter reads one; that it is gone is a problem.
func (g *gateway) letter(ctx context.Context, id uint64) (bus.Letter, error) {
	l, err := g.bus.DeadLetterOf(ctx, id)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return l, problem(http.StatusNotFound, "There is no dead letter with this id.", "Look at the list; somebody may have taken it away.")
	case err != nil:
		return l, g.busProblem("read a dead letter", err)
	}
	return l, nil
}

func (g *gateway) requeueDeadLetter(ctx context.Context, in *deadLetterInput) (*struct{}, error) {
	l, err := g.letter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !l.Requeueable() {
		p := problem(http.StatusConflict, "There is nothing to send again: what the letter is about is looked at again by itself.", "Discard the letter once the cause is mended.")
		p.Type = api.TypeConflict
		return nil, p
	}
	if err := g.bus.Requeue(ctx, l); err != nil {
		return nil, g.busProblem("send a dead letter again", err)
	}
	return g.takeAway(ctx, l, "dead letter sent again")
}

func (g *gateway) discardDeadLetter(ctx context.Context, in *deadLetterInput) (*struct{}, error) {
	l, err := g.letter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return g.takeAway(ctx, l, "dead letter discarded")
}

func (g *gateway) takeAway(ctx context.Context, l bus.Letter, what string) (*struct{}, error) {
	if err := g.bus.Discard(ctx, l); err != nil {
		return nil, g.busProblem("take a dead letter away", err)
	}
	g.log.Info(what, "letter", l.ID, "subject", l.GetSubject(), "by", Actor{}.requester(ctx))
	return nil, nil
}
