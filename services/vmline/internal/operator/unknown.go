package operator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"

	"github.com/vmline/vmline/pkg/api"
)

// unknown says that a call may have been heard although its answer was lost, or that another attempt
// may be.
func unknown(err error) bool {
	if problem := (*api.Problem)(nil); errors.As(err, &problem) {
		return slices.Contains([]int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, problem.Status)
	}
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return false // nobody is there
	}
	return !errors.Is(err, context.Canceled) && !trustFailed(err)
}
