package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func (g *gateway) registerServices(a huma.API) {
	route(a, api.ScopeOperate, huma.Operation{
		OperationID: "put-service", Method: http.MethodPut, Path: "/v1/services/{ref}", DefaultStatus: http.StatusAccepted,
		Summary:     "Order a VM",
		Description: "The package is whole, so repeating the request is harmless: it answers with the same operation, 202 while it runs and 200 once it has ended.",
		Errors:      []int{400, 409, 413, 422},
	}, g.putService)
	route(a, api.ScopeOperate, huma.Operation{
		OperationID: "delete-service", Method: http.MethodDelete, Path: "/v1/services/{ref}", DefaultStatus: http.StatusAccepted,
		Summary: "Terminate a VM", Errors: []int{404, 409, 422},
	}, g.deleteService)
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "get-service", Method: http.MethodGet, Path: "/v1/services/{ref}",
		Summary: "Show a VM", Errors: []int{404, 422},
	}, g.getService)
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "list-services", Method: http.MethodGet, Path: "/v1/services",
		Summary: "List VMs in the order of their refs", Errors: []int{422},
	}, g.listServices)
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "get-operation", Method: http.MethodGet, Path: "/v1/operations/{id}",
		Summary:     "Show an operation",
		Description: "With wait it answers as soon as the operation has ended or waits for a person, at the latest after that time.",
		Errors:      []int{404, 422},
	}, g.getOperation)
}

func (g *gateway) getService(ctx context.Context, in *RefInput) (*struct{ Body api.Service }, error) {
	vm, err := g.lastVM(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	pending, err := g.bus.PendingCommands(ctx, in.Ref)
	if err != nil {
		return nil, g.busProblem("read commands", err)
	}
	if vm == nil && len(pending) == 0 {
		return nil, noSuchVM(in.Ref)
	}
	return &struct{ Body api.Service }{service(vm, pending)}, nil
}

// service is one VM with all that is known of it. A VM that is ordered and not admitted yet has its order
// only.
func service(vm *vmlinev1.VM, pending []*vmlinev1.Command) api.Service {
	s := api.FromVM(vm)
	s.Actions = api.Offers(vm)
	for _, cmd := range pending {
		if cmd.GetId() != vm.GetOperation().GetId() { // else it was admitted between the two looks
			s.Pending = append(s.Pending, api.PendingOperation(cmd))
		}
	}
	if vm == nil {
		s.Ref, s.Status, s.Operation = pending[0].GetRef(), "", s.Pending[0]
	}
	return s
}

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"the next_cursor of the page before"`
}

func (g *gateway) listServices(ctx context.Context, in *listInput) (*struct{ Body api.ServiceList }, error) {
	var p page
	p.limit, p.after = in.Limit, in.Cursor
	if err := g.bus.Each(ctx, func(e bus.Entry) error { p.add(e); return nil }); err != nil {
		return nil, g.busProblem("list VMs", err)
	}
	return &struct{ Body api.ServiceList }{p.list()}, nil
}

// page collects the VMs that follow a ref, and holds little more than it will show.
type page struct {
	limit   int
	after   string
	entries []bus.Entry
}

func (p *page) add(e bus.Entry) {
	if e.VM.GetRef() <= p.after {
		return
	}
	p.entries = append(p.entries, e)
	if len(p.entries) > 2*(p.limit+1) {
		p.cut()
	}
}

// cut leaves the entries of the page and one more, which shows that there is another page.
func (p *page) cut() {
	slices.SortFunc(p.entries, func(a, b bus.Entry) int { return strings.Compare(a.VM.GetRef(), b.VM.GetRef()) })
	p.entries = p.entries[:min(len(p.entries), p.limit+1)]
}

func (p *page) list() api.ServiceList {
	p.cut()
	shown := p.entries[:min(len(p.entries), p.limit)]
	l := api.ServiceList{Items: make([]api.Service, 0, len(shown))}
	for _, e := range shown {
		l.Items = append(l.Items, api.FromVM(e.VM))
	}
	if len(p.entries) > p.limit {
		l.NextCursor = l.Items[p.limit-1].Ref
	}
	return l
}
