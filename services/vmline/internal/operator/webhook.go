package operator

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
)

const aboutWebhooks = `A webhook tells a receiver of every change, signed as Standard Webhooks has it. What cannot be delivered is
tried again, in order. All of it needs a key with the scope admin.`

func newWebhook() *cobra.Command {
	return group("webhook", "Manage the receivers of webhooks", aboutWebhooks,
		newWebhookList, newWebhookAdd, newWebhookRemove, newWebhookDeliveries, newWebhookEnable, newWebhookRotate)
}

func newWebhookList(r *remote) *cobra.Command {
	return question[[]api.WebhookEndpoint]{
		use: "list", short: "List the receivers", args: cobra.NoArgs,
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.WebhookEndpoint, error) {
			return client.WebhookEndpoints(ctx)
		},
		table: webhookTable,
	}.command(r)
}

func webhookTable(w io.Writer, endpoints []api.WebhookEndpoint) {
	fmt.Fprintln(w, "ID\tURL\tDELIVERED\tFAILED ATTEMPTS\tLAST ERROR")
	for _, e := range endpoints {
		trouble := e.LastError
		if e.Disabled != "" {
			trouble = "disabled: " + e.Disabled
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", e.ID, e.URL, moment(e.LastDeliveredAt), e.Attempts, dash(trouble))
	}
}

func newWebhookAdd(r *remote) *cobra.Command {
	return question[api.WebhookEndpointSecret]{
		use: "add URL", short: "Add a receiver and show its secret, this once", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) (api.WebhookEndpointSecret, error) {
			e, err := client.CreateWebhookEndpoint(ctx, args[0])
			return e, maybeMade(err, "vmline webhook list")
		},
		table: webhookSecretTable,
	}.command(r)
}

func webhookSecretTable(w io.Writer, e api.WebhookEndpointSecret) {
	fmt.Fprintf(w, "id\t%s\nurl\t%s\nsecret\t%s\n", e.ID, e.URL, e.Secret)
}

func newWebhookRemove(r *remote) *cobra.Command {
	return question[done]{
		use: "remove ID", short: "End a receiver", args: cobra.ExactArgs(1),
		destroys: func(args []string) string {
			return "remove the receiver " + args[0] + ": it is told nothing from now on, and its secret is gone."
		},
		ask: func(ctx context.Context, client *api.Client, args []string) (done, error) {
			return done{args[0], "removed"}, client.DeleteWebhookEndpoint(ctx, args[0])
		},
		table: doneTable,
	}.command(r)
}

func newWebhookDeliveries(r *remote) *cobra.Command {
	return question[[]api.WebhookDelivery]{
		use: "deliveries ID", short: "List the last attempts to a receiver, newest first", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) ([]api.WebhookDelivery, error) {
			return client.WebhookDeliveries(ctx, args[0])
		},
		table: func(w io.Writer, attempts []api.WebhookDelivery) {
			fmt.Fprintln(w, "AT\tEVENT\tATTEMPT\tRESULT")
			for _, a := range attempts {
				result := a.Error
				if result == "" {
					result = "delivered"
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", moment(a.At), a.Seq, a.Attempt, result)
			}
		},
	}.command(r)
}

func newWebhookEnable(r *remote) *cobra.Command {
	return question[api.WebhookEndpoint]{
		use: "enable ID", short: "Let a receiver go on where it was, at once", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) (api.WebhookEndpoint, error) {
			return client.EnableWebhookEndpoint(ctx, args[0])
		},
		table: func(w io.Writer, e api.WebhookEndpoint) { webhookTable(w, []api.WebhookEndpoint{e}) },
	}.command(r)
}

func newWebhookRotate(r *remote) *cobra.Command {
	var overlap time.Duration
	return question[api.WebhookEndpointSecret]{
		use: "rotate ID", short: "Give a receiver a new secret and show it, this once", args: cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			const day = 24 * time.Hour
			f.DurationVar(&overlap, "overlap", day, "how long the present secret signs beside the new one")
		},
		ask: func(ctx context.Context, client *api.Client, args []string) (api.WebhookEndpointSecret, error) {
			e, err := client.RotateWebhookSecret(ctx, args[0], overlap)
			return e, maybeMade(err, "vmline webhook list")
		},
		table: webhookSecretTable,
	}.command(r)
}
