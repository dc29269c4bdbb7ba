package operator

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

// completeRef offers a shell the refs of machines, as far as the gateway gives them soon.
func (r *remote) completeRef(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const soon = 2 * time.Second
	client, err := r.client()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), soon)
	defer cancel()
	all, err := services(ctx, client, api.ServiceFilter{Query: begun})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var refs []cobra.Completion
	for _, s := range all {
		refs = append(refs, cobra.CompletionWithDesc(s.Ref, s.Status))
	}
	return refs, cobra.ShellCompDirectiveNoFileComp
}
