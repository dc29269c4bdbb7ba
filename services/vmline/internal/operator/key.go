package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
)

const aboutKeys = `Make, list, rotate and revoke the keys of the API. Each needs a key with the scope admin, as the token is
that "vmline up" makes.

  read     look at everything
  operate  order, change and terminate machines
  admin    keys, webhooks, dead letters, and the commands that mend`

func newKey() *cobra.Command {
	return group("key", "Manage the keys of the API", aboutKeys, newKeyCreate, newKeyList, newKeyRotate, newKeyRevoke)
}

func newKeyCreate(r *remote) *cobra.Command {
	var (
		kind, scope string
		key         api.NewKey
		lasts       time.Duration
	)
	return question[api.KeySecret]{
		use: "create [NAME]", short: "Make a key and show its secret, this once", args: cobra.MaximumNArgs(1),
		long: `Make a key and show its secret, this once. If the answer is lost, revoke the key and make another.`,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&kind, "kind", string(api.KeyBearer), "bearer: sent as a token; signing: signs requests and is never sent")
			f.StringVar(&scope, "scope", string(api.ScopeRead), "read, operate or admin")
			f.StringVar(&key.ID, "id", "", "what a signature names; default one is made")
			f.DurationVar(&lasts, "lasts", 0, "how long it is valid, for example 720h; default for ever")
		},
		ask: func(ctx context.Context, client *api.Client, args []string) (api.KeySecret, error) {
			key.Kind, key.Scope = api.KeyKind(kind), api.Scope(scope)
			if len(args) == 1 {
				key.Name = args[0]
			}
			if lasts > 0 {
				key.ExpiresAt = time.Now().Add(lasts).UTC()
			}
			made, err := client.CreateKey(ctx, key)
			return made, maybeMade(err, "vmline key list")
		},
		table: secretTable,
	}.command(r)
}

// maybeMade adds to an error without an answer what may have happened, and where to look.
func maybeMade(err error, list string) error {
	if err == nil || !unknown(err) || errors.As(err, new(*api.Problem)) {
		return err
	}
	return fmt.Errorf("%w\n  It is not known whether this was done, and a secret that was lost cannot be shown again; look at %q", err, list)
}

func newKeyList(r *remote) *cobra.Command {
	return question[[]api.Key]{
		use: "list", short: "List the keys, without their secrets", args: cobra.NoArgs,
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.Key, error) {
			return client.ListKeys(ctx)
		},
		table: func(w io.Writer, keys []api.Key) {
			fmt.Fprintln(w, "ID\tNAME\tKIND\tSCOPE\tCREATED\tLAST USED\tENDS")
			for _, k := range keys {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, dash(k.Name), k.Kind, k.Scope, moment(k.CreatedAt), moment(k.LastUsedAt), moment(k.ExpiresAt))
			}
		},
	}.command(r)
}

func newKeyRotate(r *remote) *cobra.Command {
	var overlap time.Duration
	return question[api.KeySecret]{
		use: "rotate ID", short: "Give a key a new secret and show it, this once", args: cobra.ExactArgs(1),
		long: `Give a key a new secret and show it, this once. The present secret stays valid for the overlap, so that
programs can be given the new one meanwhile; one from an earlier rotation ends at once.`,
		flags: func(f *pflag.FlagSet) {
			const day = 24 * time.Hour
			f.DurationVar(&overlap, "overlap", day, "how long the present secret stays valid")
		},
		ask: func(ctx context.Context, client *api.Client, args []string) (api.KeySecret, error) {
			made, err := client.RotateKey(ctx, args[0], overlap)
			return made, maybeMade(err, "vmline key list")
		},
		table: secretTable,
	}.command(r)
}

func newKeyRevoke(r *remote) *cobra.Command {
	return question[done]{
		use: "revoke ID", short: "End a key for good", args: cobra.ExactArgs(1),
		destroys: func(args []string) string {
			return "revoke the key " + args[0] + ": whoever uses it is refused from now on, and it cannot be taken back."
		},
		ask: func(ctx context.Context, client *api.Client, args []string) (done, error) {
			return done{args[0], "revoked"}, client.RevokeKey(ctx, args[0])
		},
		table: doneTable,
	}.command(r)
}

func secretTable(w io.Writer, k api.KeySecret) {
	fmt.Fprintf(w, "id\t%s\nkind\t%s\nscope\t%s\nsecret\t%s\n", k.Key.ID, k.Key.Kind, k.Key.Scope, k.Secret)
	if !k.Key.OldSecretUntil.IsZero() {
		fmt.Fprintf(w, "old secret until\t%s\n", moment(k.Key.OldSecretUntil))
	}
}

// done is the answer of what only has an end.
type done struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func doneTable(w io.Writer, d done) { fmt.Fprintln(w, d.ID+"\t"+d.Status) }

// moment is a time in the zone of whoever reads it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
