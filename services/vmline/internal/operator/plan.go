package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// plan prints what the command would do. It fails where the command would.
func (v *verb) plan(ctx context.Context, client *api.Client, ref string, action api.Action, out io.Writer) error {
	p, err := client.Validate(ctx, ref, action)
	if err != nil {
		return err
	}
	if p.Verdict == "refused" {
		if _, err := client.GetService(ctx, ref); exit.Code(err) == exit.NotFound {
			return err
		}
	}
	what := v.route.Verb() + " of " + ref
	if err := v.format.Print(out, p, func(w io.Writer) { planText(w, what, p) }); err != nil {
		return err
	}
	if !p.OK {
		return exit.ErrSaid
	}
	return nil
}

// planText is a plan for people. It has no columns: values may be long.
func planText(w io.Writer, what string, p api.Validation) {
	fmt.Fprintln(w, what+" "+verdictText(p.Verdict))
	for _, c := range p.Changes {
		fmt.Fprintf(w, "  %s: %s -> %s\n", c.Field, valueText(c.From), valueText(c.To))
	}
	for _, step := range p.Steps {
		planStep(w, step)
	}
	for _, problem := range p.Problems {
		where := ""
		if problem.Step != "" {
			where = " at " + problem.Step
		}
		fmt.Fprintf(w, "problem%s%s\n", where, problemText(&problem))
	}
}

// planStep is one step with its calls to Proxmox, or what it would find done.
func planStep(w io.Writer, step api.PlannedStep) {
	fmt.Fprintf(w, "%s (%s)", step.Name, step.Owner)
	if len(step.Calls) == 0 && len(step.Notes) == 0 {
		fmt.Fprint(w, ": nothing to do")
	}
	fmt.Fprintln(w)
	for _, note := range step.Notes {
		fmt.Fprintln(w, "  "+note)
	}
	for _, call := range step.Calls {
		fmt.Fprintf(w, "  %s %s\n", call.Method, call.Path)
		for _, name := range slices.Sorted(maps.Keys(call.Params)) {
			fmt.Fprintf(w, "    %s: %s\n", name, strings.ReplaceAll(call.Params[name], "\n", "\n      "))
		}
	}
}

// verdictText is what admission would say.
func verdictText(verdict string) string {
	switch verdict {
	case "joined":
		return "would do nothing: it is so already, or under way"
	case "queued":
		return "would wait for the end of the present operation"
	}
	return "would be " + verdict
}

func valueText(v any) string {
	switch v.(type) {
	case nil:
		return "-"
	case []any, map[string]any:
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v)
}
