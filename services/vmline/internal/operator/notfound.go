package operator

import (
	"net/http"

	"github.com/vmline/vmline/pkg/api"
)

// notFound is the problem of something that there is not, where the gateway answers with an empty list.
func notFound(what, next string) error {
	return &api.Problem{
		Type: api.TypeNotFound, Status: http.StatusNotFound, Title: http.StatusText(http.StatusNotFound),
		Detail: "There is no " + what + ".", Next: next,
	}
}
