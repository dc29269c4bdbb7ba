package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/output"
	"github.com/vmline/vmline/services/vmline/internal/watch"
)

// follow prints the operation: as it was taken, or with --wait its steps and how it ended. JSON is the
// operation alone, once; it holds the steps.
func (v *verb) follow(ctx context.Context, client *api.Client, op api.Operation, out io.Writer) error {
	if op.Ended() || !v.wait.given {
		return v.taken(op, out)
	}
	ctx, cancel := within(ctx, v.wait.most)
	defer cancel()
	last, err := watch.Operation(ctx, client, op, func(s api.Step) error {
		if v.format == output.JSON {
			return nil
		}
		return v.format.PrintLine(out, s, stepLine(s))
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return goesOn(last, v.wait.most)
	}
	if err != nil {
		return fmt.Errorf("%w\n  %s is not watched any more and goes on; \"vmline vm watch %s\" shows it", err, name(last), last.ServiceRef)
	}
	return v.ended(last, ended(last), out)
}

// taken prints an operation that is not waited for.
func (v *verb) taken(op api.Operation, out io.Writer) error {
	if op.Ended() {
		return v.ended(op, v.route.Verb()+" of "+op.ServiceRef+": there was nothing to do; its last operation is "+ended(op), out)
	}
	return v.print(op, fmt.Sprintf("%s: %s (%s)\n\"vmline vm watch %s\" shows its steps.", name(op), op.Status, op.ID, op.ServiceRef), out)
}

// ended prints how an operation has ended. For people a failure is told by its error alone.
func (v *verb) ended(op api.Operation, line string, out io.Writer) error {
	failure := outcome(op)
	if failure == nil || v.format == output.JSON {
		if err := v.print(op, line, out); err != nil {
			return err
		}
	}
	return failure
}

func (v *verb) print(op api.Operation, line string, out io.Writer) error {
	return v.format.Print(out, op, func(w io.Writer) { fmt.Fprintln(w, line) })
}

// goesOn says that an operation was not waited for any longer.
func goesOn(op api.Operation, waited time.Duration) error {
	return exit.Late("%s has not ended within %s and goes on\n  \"vmline vm watch %s\" shows it", name(op), waited, op.ServiceRef)
}

// name is what an operation is called in a sentence.
func name(op api.Operation) string { return hyphens(op.Type) + " of " + op.ServiceRef }

// hyphens makes of a name of the API one of the command line, and underscores the other way round.
func hyphens(s string) string     { return strings.ReplaceAll(s, "_", "-") }
func underscores(s string) string { return strings.ReplaceAll(s, "-", "_") }

// ended is how an operation has ended, in one line.
func ended(op api.Operation) string {
	line := name(op) + ": " + op.Status
	if !op.FinishedAt.IsZero() && !op.CreatedAt.IsZero() {
		line += " after " + op.FinishedAt.Sub(op.CreatedAt).Round(time.Millisecond).String()
	}
	return line
}

// patience is how long an operation is waited for: --wait until its end, --wait=10m for at most that long.
type patience struct {
	given bool
	// most is 0 for ever.
	most time.Duration
}

// untilEnd is the value of --wait without one.
const untilEnd = "end"

func (p *patience) String() string {
	switch {
	case !p.given:
		return ""
	case p.most == 0:
		return untilEnd
	}
	return p.most.String()
}

// Set takes the flag's value.
func (p *patience) Set(s string) error {
	*p = patience{given: true}
	if s == untilEnd {
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("want a time such as 90s or 10m")
	}
	p.most = d
	return nil
}

// Type is what the help calls the value.
func (p *patience) Type() string { return "time" }
