package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Action is a command to one VM.
type Action struct {
	// Type is a type of Commands, for example suspend.
	Type string `json:"type" maxLength:"64" doc:"A type of GET /v1/commands, for example suspend."`
	// Package is the whole package, for the types that take one.
	Package *Package `json:"package,omitempty" doc:"The whole package, for types that take one."`
	Params  *Params  `json:"params,omitempty"`
}

// Params are what a command says beside its package.
type Params struct {
	Node     string `json:"node,omitempty" pattern:"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$" patternDescription:"the name of a Proxmox node"`
	Status   string `json:"status,omitempty" maxLength:"64" doc:"A local status."`
	Reason   string `json:"reason,omitempty" maxLength:"500" doc:"Why a person wants it."`
	Template string `json:"template,omitempty" pattern:"^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$" patternDescription:"the name or VMID of a template"`
	VMID     uint32 `json:"vmid,omitempty" minimum:"100" maximum:"999999999"`
	// Password is never shown again.
	Password       string `json:"password,omitempty" minLength:"5" maxLength:"64" doc:"Sealed on arrival; never shown."`
	TimeoutSeconds uint32 `json:"timeout_seconds,omitempty" minimum:"1" maximum:"3600" doc:"How long a guest may take to shut down before its power is taken away."`
}

// ToProto returns the parameters for a command. sealedPassword stands in for the clear one. It returns
// false for a status that there is not.
func (p *Params) ToProto(sealedPassword []byte) (*vmlinev1.Params, bool) {
	if p == nil {
		return nil, true
	}
	out := &vmlinev1.Params{
		Node: p.Node, Reason: p.Reason, Template: p.Template, Vmid: p.VMID, SealedPassword: sealedPassword, TimeoutSeconds: p.TimeoutSeconds,
	}
	if p.Status == "" {
		return out, true
	}
	status, ok := chain.StatusNamed(p.Status)
	out.Status = status
	return out, ok
}

// fromParams returns the parameters without their secret, nil where there is nothing to tell.
func fromParams(p *vmlinev1.Params) *Params {
	out := Params{Node: p.GetNode(), Reason: p.GetReason(), Template: p.GetTemplate(), VMID: p.GetVmid(), TimeoutSeconds: p.GetTimeoutSeconds()}
	if p.GetStatus() != vmlinev1.Status_STATUS_UNSPECIFIED {
		out.Status = chain.Name(p.GetStatus())
	}
	if out == (Params{}) {
		return nil
	}
	return &out
}

// Command is a row of the table of commands.
type Command struct {
	Type  string `json:"type"`
	Label string `json:"label" doc:"The button's text."`
	Mark  string `json:"mark,omitempty" doc:"** works on a stopped machine only, * whether it runs or not."`
	// Continues says that in a broken chain the steps behind it follow.
	Continues bool     `json:"continues,omitempty" doc:"In a broken chain the steps behind it follow (->)."`
	Operator  bool     `json:"operator,omitempty" doc:"It mends; billing has no use for it."`
	Package   bool     `json:"package,omitempty" doc:"It carries a package."`
	Needs     []string `json:"needs,omitempty" nullable:"false" doc:"Parameters without which it is refused."`
	Takes     []string `json:"takes,omitempty" nullable:"false" doc:"Parameters that may be given."`
	Does      string   `json:"does"`
}

// CommandList is the table of commands.
type CommandList struct {
	Items []Command `json:"items" nullable:"false"`
}

// Offer is what admission would say of a command now.
type Offer struct {
	Type    string `json:"type"`
	Label   string `json:"label"`
	Mark    string `json:"mark,omitempty"`
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty" doc:"Why it would be refused."`
}

// CommandTable returns the table of commands.
func CommandTable() []Command {
	var list []Command
	for _, r := range chain.Routes() {
		list = append(list, Command{
			Type: chain.KindName(r.Kind), Label: r.Label, Mark: r.Mark(), Continues: r.Continues(), Operator: r.Operator, Package: r.Package,
			Needs: paramNames(r.Needs), Takes: paramNames(r.Takes), Does: r.Does,
		})
	}
	return list
}

// paramNames are the names of parameters in Params.
func paramNames(params []chain.Param) []string {
	var names []string
	for _, p := range params {
		if p == chain.ParamTimeout {
			names = append(names, "timeout_seconds")
			continue
		}
		names = append(names, string(p))
	}
	return names
}

// Act gives a command to a VM. Without the option IdempotencyKey it has a key of its own: then a repetition is
// another command.
func (c *Client) Act(ctx context.Context, ref string, a Action, options ...Option) (Operation, error) {
	var op Operation
	err := c.call(ctx, http.MethodPost, "/v1/services/"+url.PathEscape(ref)+"/actions", a, &op, append([]Option{IdempotencyKey(newKey())}, options...)...)
	return op, err
}

// Commands returns the gateway's table of commands.
func (c *Client) Commands(ctx context.Context) ([]Command, error) {
	var l CommandList
	err := c.call(ctx, http.MethodGet, "/v1/commands", nil, &l)
	return l.Items, err
}
