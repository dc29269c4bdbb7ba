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
	Body api.Package
}

// Resolve completes the package and checks what its single fields cannot say.
func (in *putInput) Resolve(huma.Context) []error {
	if in.Body.Name == "" {
		in.Body.Name = hostName(in.Ref)
	}
	var errs []error
	for _, f := range check.Package(&in.Body) {
		errs = append(errs, &huma.ErrorDetail{Location: f.Location, Message: f.Message})
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

// operationOutput is an answer that names an operation.
type operationOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the operation is."`
	Body     api.Operation
}

func operationAnswer(status int, op api.Operation) *operationOutput {
	return &operationOutput{Status: status, Location: "/v1/operations/" + op.ID, Body: op}
}

func (g *gateway) putService(ctx context.Context, in *putInput) (*operationOutput, error) {
	digest, err := g.ids.Digest(&in.Body)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	if password := in.Body.CloudInit.Password; password != "" {
		if sealed, err = g.sealer.Seal([]byte(password)); err != nil {
			return nil, err
		}
	}
	return g.order(ctx, &vmlinev1.Command{
		Ref: in.Ref, Kind: vmlinev1.Operation_KIND_CREATE, Package: in.Body.ToProto(sealed), PackageDigest: digest,
	})
}

func (g *gateway) deleteService(ctx context.Context, in *RefInput) (*operationOutput, error) {
	return g.order(ctx, &vmlinev1.Command{Ref: in.Ref, Kind: vmlinev1.Operation_KIND_TERMINATE})
}

// order sends the command unless what it asks for is already so or already under way. What
// admission will say is only forecast here, so that the caller hears of a refusal at once; lifecycle
// decides.
func (g *gateway) order(ctx context.Context, cmd *vmlinev1.Command) (*operationOutput, error) {
	vm, err := g.lastVM(ctx, cmd.GetRef())
	if err != nil {
		return nil, err
	}
	if vm == nil && cmd.GetKind() == vmlinev1.Operation_KIND_TERMINATE {
		return nil, noSuchVM(cmd.GetRef())
	}
	decision := chain.Admit(vm, cmd)
	switch decision.Verdict {
	case chain.Admitted, chain.Queued:
		return g.send(ctx, cmd, vm)
	case chain.Joined:
		op := api.OperationOf(vm)
		if op.Ended() {
			return operationAnswer(http.StatusOK, op), nil
		}
		return operationAnswer(http.StatusAccepted, op), nil
	default:
		p := problem(http.StatusConflict, decision.Reason, decision.Next)
		p.Type = api.TypeConflict
		if vm.GetOperation().GetState() == vmlinev1.Operation_STATE_RUNNING {
			p.Type = api.TypeOperationInProgress
		}
		return nil, p
	}
}

func (g *gateway) send(ctx context.Context, cmd *vmlinev1.Command, vm *vmlinev1.VM) (*operationOutput, error) {
	cmd.After = vm.GetOperation().GetId()
	var err error
	if cmd.Id, err = g.operationID(ctx, cmd); err != nil {
		return nil, err
	}
	cmd.CreatedAt, cmd.RequestedBy = timestamppb.New(g.bus.Now()), "api"
	if err := g.bus.SendCommand(ctx, cmd); err != nil {
		return nil, g.busProblem("send command", err)
	}
	g.log.Info("order accepted", "ref", cmd.GetRef(), "operation", cmd.GetId(), "kind", chain.KindName(cmd.GetKind()))
	return operationAnswer(http.StatusAccepted, api.Accepted(cmd.GetId(), cmd.GetRef(), cmd.GetKind())), nil
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
