package gateway

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/check"
	"github.com/vmline/vmline/services/gateway/internal/identity"
)

// RefInput names a VM. It is exported because huma does not look into embedded types that are not.
type RefInput struct {
	Ref string `path:"ref" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a ref (letters, digits, _ and -, at most 64)" doc:"<install>-<serviceid>"`
}

type putInput struct {
	RefInput
	Actor
	Prefer
	Body api.Package
}

// Resolve completes the package and checks what its single fields cannot say.
func (in *putInput) Resolve(huma.Context) []error {
	return checkPackage(in.Ref, &in.Body, "body")
}

// checkPackage completes a package and says what is wrong with it, at its place in the request.
func checkPackage(ref string, p *api.Package, at string) []error {
	if p.Name == "" {
		p.Name = hostName(ref)
	}
	var errs []error
	for _, f := range check.Package(p) {
		errs = append(errs, &huma.ErrorDetail{Location: at + strings.TrimPrefix(f.Location, "body"), Message: f.Message})
	}
	return errs
}

var notInLabel = regexp.MustCompile(`[^a-z0-9-]+`)

// maxLabel is the longest DNS label in characters (RFC 1035, section 2.3.4).
const maxLabel = 63

// hostName makes a DNS label of a ref.
func hostName(ref string) string {
	name := notInLabel.ReplaceAllString(strings.ToLower(ref), "-")
	name = strings.Trim(name[:min(len(name), maxLabel)], "-")
	if name == "" {
		return "vm"
	}
	return name
}

type deleteInput struct {
	RefInput
	Actor
	Prefer
}

// operationOutput is an answer that names an operation.
type operationOutput struct {
	Status            int
	Location          string `header:"Location" doc:"Where the operation is."`
	PreferenceApplied string `header:"Preference-Applied" doc:"wait, where the answer waited for the operation."`
	Body              api.Operation
}

// operationAnswer is 202 while something is to happen yet, else 200.
func operationAnswer(op api.Operation) *operationOutput {
	out := &operationOutput{Status: http.StatusOK, Location: "/v1/operations/" + op.ID, Body: op}
	if !op.Ended() {
		out.Status = http.StatusAccepted
	}
	return out
}

func (g *gateway) putService(ctx context.Context, in *putInput) (*operationOutput, error) {
	vm, err := g.lastVM(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	cmd := &vmlinev1.Command{Ref: in.Ref, Kind: chain.Order(vm), RequestedBy: in.requester(ctx)}
	if err := g.pack(cmd, &in.Body); err != nil {
		return nil, err
	}
	return g.order(ctx, vm, cmd, in.Prefer)
}

func (g *gateway) deleteService(ctx context.Context, in *deleteInput) (*operationOutput, error) {
	vm, err := g.lastVM(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	cmd := &vmlinev1.Command{Ref: in.Ref, Kind: vmlinev1.Operation_KIND_TERMINATE, RequestedBy: in.requester(ctx)}
	return g.order(ctx, vm, cmd, in.Prefer)
}

// pack puts a package into a command, its password sealed.
func (g *gateway) pack(cmd *vmlinev1.Command, p *api.Package) (err error) {
	if cmd.PackageDigest, err = g.ids.Digest(p); err != nil {
		return err
	}
	sealed, err := g.seal(p.CloudInit.Password)
	cmd.Package = p.ToProto(sealed)
	return err
}

// seal seals a password for the provisioner, nil for none.
func (g *gateway) seal(password string) ([]byte, error) {
	if password == "" {
		return nil, nil
	}
	return g.sealer.Seal([]byte(password))
}

// order sends a command that is its own idempotency key: what it wants is whole.
func (g *gateway) order(ctx context.Context, vm *vmlinev1.VM, cmd *vmlinev1.Command, p Prefer) (*operationOutput, error) {
	joined, err := g.forecast(vm, cmd)
	if err != nil {
		return nil, err
	}
	if joined != nil {
		return g.waited(ctx, *joined, p)
	}
	cmd.After = vm.GetOperation().GetId()
	if cmd.Id, err = g.operationID(ctx, cmd); err != nil {
		return nil, err
	}
	return g.send(ctx, cmd, p)
}

// forecast says what admission will say, so that the caller hears of a refusal at once; lifecycle
// decides. It returns the operation that the command would join, nil where it is to be sent.
func (g *gateway) forecast(vm *vmlinev1.VM, cmd *vmlinev1.Command) (*api.Operation, error) {
	decision := chain.Admit(vm, cmd)
	switch decision.Verdict {
	case chain.Admitted, chain.Queued:
		return nil, nil
	case chain.Joined:
		if queued := api.QueuedOperation(vm); queued != nil && queued.ID == decision.Operation.GetId() {
			return queued, nil
		}
		op := api.OperationOf(vm)
		return &op, nil
	}
	if vm.GetStatus() == chain.NoVM && cmd.GetKind() != vmlinev1.Operation_KIND_CREATE && cmd.GetKind() != vmlinev1.Operation_KIND_ADOPT {
		return nil, noSuchVM(cmd.GetRef())
	}
	p := problem(http.StatusConflict, decision.Reason, decision.Next)
	p.Type = api.TypeConflict
	if vm.GetOperation().GetState() == vmlinev1.Operation_STATE_RUNNING {
		p.Type = api.TypeOperationInProgress
	}
	return nil, p
}

// send stores a command and answers once JetStream has it.
func (g *gateway) send(ctx context.Context, cmd *vmlinev1.Command, p Prefer) (*operationOutput, error) {
	cmd.CreatedAt = timestamppb.New(g.bus.Now())
	if err := g.bus.SendCommand(ctx, cmd); err != nil {
		return nil, g.busProblem("send command", err)
	}
	g.log.Info("order accepted", "ref", cmd.GetRef(), "operation", cmd.GetId(), "kind", chain.KindName(cmd.GetKind()), "by", cmd.GetRequestedBy())
	op := api.Accepted(cmd.GetId(), cmd.GetRef(), cmd.GetKind())
	op.RequestedBy = cmd.GetRequestedBy()
	return g.waited(ctx, op, p)
}

// retrySpan is how often a command that was refused on the same state of the VM may be tried again.
const retrySpan = 10 * time.Second

// operationID is the same for equal commands on the same state, so that many at once are one. Once
// such a command was refused, a repetition is a new operation: what stood against it may be mended.
func (g *gateway) operationID(ctx context.Context, cmd *vmlinev1.Command) (string, error) {
	c := identity.Command{Ref: cmd.GetRef(), Kind: cmd.GetKind(), After: cmd.GetAfter(), Digest: cmd.GetPackageDigest()}
	id := g.ids.OperationID(c)
	refusal, err := g.refusal(ctx, id)
	if err != nil || refusal == nil {
		return id, err
	}
	c.Attempt = g.bus.Now().Truncate(retrySpan).UTC().Format(time.RFC3339)
	return g.ids.OperationID(c), nil
}

// lastVM returns the newest state of a VM, nil for a ref that was never used.
func (g *gateway) lastVM(ctx context.Context, ref string) (*vmlinev1.VM, error) {
	last, err := g.bus.Last(ctx, ref)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, g.busProblem("read VM", err)
	}
	return last.VM, nil
}

// refusal returns why an operation was not admitted, nil if it was not refused.
func (g *gateway) refusal(ctx context.Context, id string) (*vmlinev1.Refusal, error) {
	bucket, err := g.bus.Bucket(ctx, bus.BucketREFUSAL)
	if err != nil {
		return nil, g.busProblem("open refusals", err)
	}
	r := &vmlinev1.Refusal{}
	switch _, err := bucket.Get(ctx, id, r); {
	case errors.Is(err, bus.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, g.busProblem("read refusal", err)
	}
	return r, nil
}

func noSuchVM(ref string) *api.Problem {
	return problem(http.StatusNotFound, "There is no VM with the ref "+ref+".", "Look at the list of services.")
}
