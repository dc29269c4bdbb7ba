package api

import (
	"context"
	"net/http"
	"net/url"
)

// Plan is what a command would do.
type Plan struct {
	OK      bool          `json:"ok"`
	Verdict string        `json:"verdict"`
	Steps   []PlannedStep `json:"steps"`
	Problem *StepProblem  `json:"problem,omitempty"`
}

// PlannedStep is one step of a plan.
type PlannedStep struct {
	Name  string        `json:"name"`
	Calls []PlannedCall `json:"calls"`
	Notes []string      `json:"notes"`
}

// PlannedCall is one request to the Proxmox VE API.
type PlannedCall struct {
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Params map[string]string `json:"params"`
}

// Validate says what a command would do.
func (c *Client) Validate(ctx context.Context, ref string, a Action) (Plan, error) {
	var p Plan
	err := c.call(ctx, http.MethodPost, "/v1/services/"+url.PathEscape(ref)+":validate", a, &p)
	return p, err
}
