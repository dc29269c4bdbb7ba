package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/model"
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
		Summary: "List VMs, and search for them, in the order of their refs", Errors: []int{422},
		Description: "It shows every change that was stored when it was asked.",
	}, g.listServices)
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "list-operations", Method: http.MethodGet, Path: "/v1/operations",
		Summary: "List operations, with their steps and times", Errors: []int{422},
	}, g.listOperations)
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
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor   string `query:"cursor" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"the next_cursor of the page before"`
	Query    string `query:"q" maxLength:"253" doc:"Beginning of a ref, a name with or without its domain, an address, a MAC or a VMID."`
	Status   string `query:"status" maxLength:"64" doc:"Local status."`
	Cluster  string `query:"cluster" maxLength:"64"`
	Node     string `query:"node" maxLength:"64"`
	Customer string `query:"customer" maxLength:"128"`
	Name     string `query:"name" maxLength:"64"`
	Address  string `query:"address" maxLength:"45"`
	Parked   bool   `query:"parked" doc:"Only VMs that wait for a person."`
	Drift    bool   `query:"drift" doc:"Only VMs whose machine is not what their state says."`
}

func (in *listInput) filter() model.Filter {
	f := model.Filter{
		Query: in.Query, Status: in.Status, Cluster: in.Cluster, Node: in.Node, Customer: in.Customer, Name: in.Name, Address: in.Address, Drifted: in.Drift,
	}
	if in.Parked {
		f.OperationStatus = api.StatusParked
	}
	return f
}

// listOutput has the next page as a link, too (RFC 8288).
type listOutput struct {
	Link string `header:"Link" doc:"The next page, where there is one."`
	Body api.ServiceList
}

func (g *gateway) listServices(ctx context.Context, in *listInput) (*listOutput, error) {
	if _, ok := chain.StatusNamed(in.Status); !ok && in.Status != "" {
		return nil, noSuchStatus("query.status") // an empty list would say that no machine is in it
	}
	vms, more, err := g.model.Page(ctx, in.filter(), in.Cursor, in.Limit)
	if err != nil {
		return nil, g.busProblem("list VMs", err)
	}
	out := &listOutput{Body: api.ServiceList{Items: make([]api.Service, 0, len(vms))}}
	for _, vm := range vms {
		out.Body.Items = append(out.Body.Items, api.FromVM(vm))
	}
	if more {
		out.Body.NextCursor = vms[len(vms)-1].GetRef()
		out.Link = in.next(out.Body.NextCursor)
	}
	return out, nil
}

// next is the link to the page that follows.
func (in *listInput) next(cursor string) string {
	q := url.Values{"cursor": {cursor}, "limit": {strconv.Itoa(in.Limit)}}
	for name, value := range map[string]string{
		"q": in.Query, "status": in.Status, "cluster": in.Cluster, "node": in.Node, "customer": in.Customer, "name": in.Name, "address": in.Address,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, wanted := range map[string]bool{"parked": in.Parked, "drift": in.Drift} {
		if wanted {
			q.Set(name, "true")
		}
	}
	return "</v1/services?" + q.Encode() + `>; rel="next"`
}

type operationsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"The next_cursor of the page before."`
	Ref    string `query:"service_ref" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a ref" doc:"All operations of this VM that are kept, newest first. Left out: the last operation of every VM, in the order of refs."`
	Status string `query:"status" enum:"running,parked,succeeded,interrupted,refused"`
	Type   string `query:"type" maxLength:"64"`
}

func (g *gateway) listOperations(ctx context.Context, in *operationsInput) (*struct{ Body api.OperationList }, error) {
	list := api.OperationList{Items: []api.Operation{}}
	if in.Ref != "" {
		return g.operationsOf(ctx, in)
	}
	vms, more, err := g.model.Page(ctx, model.Filter{OperationStatus: in.Status, OperationType: in.Type}, in.Cursor, in.Limit)
	if err != nil {
		return nil, g.busProblem("list operations", err)
	}
	for _, vm := range vms {
		list.Items = append(list.Items, api.OperationOf(vm))
	}
	if more {
		list.NextCursor = vms[len(vms)-1].GetRef()
	}
	return &struct{ Body api.OperationList }{list}, nil
}

// operationsOf reads one VM's log backwards: the last state of each operation says how it stands.
func (g *gateway) operationsOf(ctx context.Context, in *operationsInput) (*struct{ Body api.OperationList }, error) {
	history, err := g.bus.History(ctx, in.Ref)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return nil, g.busProblem("list operations", err)
	}
	list, begun, seen := api.OperationList{Items: []api.Operation{}}, in.Cursor == "", map[string]bool{}
	for i, e := range slices.Backward(history) {
		id := e.VM.GetOperation().GetId()
		if id == "" || seen[id] {
			continue
		}
		seen[id] = true
		op := api.OperationOf(e.VM)
		if i < len(history)-1 {
			op = api.InterruptedAt(e.VM, history[i+1].Time)
		}
		switch {
		case !begun:
			begun = id == in.Cursor
		case in.Status != "" && op.Status != in.Status, in.Type != "" && op.Type != in.Type:
		case len(list.Items) == in.Limit:
			list.NextCursor = list.Items[in.Limit-1].ID
			return &struct{ Body api.OperationList }{list}, nil
		default:
			list.Items = append(list.Items, op)
		}
	}
	return &struct{ Body api.OperationList }{list}, nil
}
