package operator

import (
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// params are the wishes as the API takes them; nil where there are none.
func (w wishes) params(password string) (*api.Params, error) {
	const most = 24 * time.Hour // the gateway knows better
	if w.timeout < 0 || w.timeout > most || w.timeout%time.Second != 0 {
		return nil, fmt.Errorf("--timeout %s: want whole seconds", w.timeout)
	}
	p := api.Params{
		Node: w.node, Status: underscores(w.status), Reason: w.reason, Template: w.template, VMID: w.vmid,
		Password: password, TimeoutSeconds: uint32(w.timeout / time.Second),
	}
	if p == (api.Params{}) {
		return nil, nil //nolint:nilnil // nothing was given
	}
	return &p, nil
}
