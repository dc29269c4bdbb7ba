package bus

import (
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// ProblemOf is what an error of the step to a status shows a person; nil for one that passes by itself.
func ProblemOf(err error, step vmlinev1.Status, at time.Time) *vmlinev1.Problem {
	if refused, ok := errors.AsType[*Refused](err); ok {
		return problem(step, refused.Cause, "Nothing was changed.", refused.Next, at)
	}
	if person, ok := errors.AsType[*NeedsPerson](err); ok {
		return problem(step, person.Cause, person.Kept, person.Next, at)
	}
	return nil
}

func problem(step vmlinev1.Status, cause, kept, next string, at time.Time) *vmlinev1.Problem {
	return &vmlinev1.Problem{Step: step, Cause: plain(cause), Kept: plain(kept), Next: plain(next), Since: timestamppb.New(at)}
}
