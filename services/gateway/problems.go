package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
)

// huma knows these only as variables of its package: how its errors look, how it words a limit (not
// as 1e+06), and that Cores is not cores.
func init() {
	huma.NewError = humaProblem
	huma.ValidateStrictCasing = true
	validation.MsgExpectedMinimumNumber = "expected number >= %.0f"
	validation.MsgExpectedMaximumNumber = "expected number <= %.0f"
}

// problemTypes gives the type of a problem by its status where no handler has chosen a finer one.
var problemTypes = map[int]string{
	http.StatusBadRequest:            api.TypeBadRequest,
	http.StatusUnauthorized:          api.TypeUnauthenticated,
	http.StatusForbidden:             api.TypeForbidden,
	http.StatusNotFound:              api.TypeNotFound,
	http.StatusMethodNotAllowed:      api.TypeMethodNotAllowed,
	http.StatusRequestEntityTooLarge: api.TypeTooLarge,
	http.StatusRequestTimeout:        api.TypeTimeout,
	http.StatusUnsupportedMediaType:  api.TypeMediaType,
	http.StatusUnprocessableEntity:   api.TypeValidation,
	http.StatusInternalServerError:   api.TypeInternal,
}

func problem(status int, detail, next string) *api.Problem {
	p := &api.Problem{Type: problemTypes[status], Title: http.StatusText(status), Status: status, Detail: detail, Next: next}
	if p.Type == "" {
		p.Type = "about:blank" // RFC 9457, section 4.2.1: the status says it all
	}
	return p
}

// humaProblem drops the values that huma would repeat: one of them may be a password.
func humaProblem(status int, msg string, errs ...error) huma.StatusError {
	p := problem(status, msg, "")
	for _, err := range errs {
		var detail *huma.ErrorDetail
		switch {
		case err == nil:
		case errors.As(err, &detail):
			p.Errors = append(p.Errors, api.FieldError{Location: detail.Location, Message: detail.Message})
		default:
			p.Errors = append(p.Errors, api.FieldError{Message: err.Error()})
		}
	}
	return p
}

// retryAfter is what a client that is to come back is told, in seconds.
const retryAfter = "5"

// busProblem is what a client is told when the bus could not do something.
func (g *gateway) busProblem(doing string, err error) error {
	p := problem(http.StatusServiceUnavailable, "NATS cannot be reached or did not answer.", "Send the request again; repeating it is harmless.")
	p.Type = api.TypeBrokerUnavailable
	switch {
	case errors.Is(err, context.Canceled):
		g.log.Debug("the client went away", "doing", doing)
		return p
	case errors.Is(err, bus.ErrUnstorable):
		return problem(http.StatusRequestEntityTooLarge, "The order is too large to be stored. It was not accepted.", "Leave something out, for example comments of SSH keys.")
	case errors.Is(err, bus.ErrFull):
		p.Type, p.Detail = api.TypeQueueFull, "Too many orders are waiting. This one was not accepted."
	}
	g.log.Error("request failed", "doing", doing, "error", err)
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
}

// writeProblem answers where huma does not.
func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may have gone
}
