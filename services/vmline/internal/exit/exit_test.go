package exit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/config"
)

func TestCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
	}{
		{nil, Done}, {errors.New("x"), Failed}, {ErrSaid, Failed},
		{&api.Problem{Status: 404}, NotFound}, {&api.Problem{Status: 409}, Failed},
		{&api.Problem{Status: 422, Type: api.TypeValidation}, Usage}, {&api.Problem{Status: 422, Type: api.TypeConflict}, Failed},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), TimedOut}, {BadUsage(errors.New("x")), Usage},
		{fmt.Errorf("x: %w", BadUsagef("y")), Usage}, {Late("x"), TimedOut},
		{fmt.Errorf("x: %w", &config.NoFile{Path: "y"}), Usage},
	} {
		if got := Code(tt.err); got != tt.code {
			t.Errorf("%v: code %d, want %d", tt.err, got, tt.code)
		}
	}
}

func TestCheckArgsReachesEveryCommand(t *testing.T) {
	root := &cobra.Command{Use: "root", SilenceErrors: true, SilenceUsage: true}
	group := &cobra.Command{Use: "group", Args: cobra.NoArgs}
	nothing := func(*cobra.Command, []string) error { return nil }
	needy := &cobra.Command{Use: "needy", Args: cobra.NoArgs, RunE: nothing}
	needy.Flags().String("reason", "", "")
	if err := needy.MarkFlagRequired("reason"); err != nil {
		t.Fatal(err)
	}
	group.AddCommand(&cobra.Command{Use: "leaf X", Args: cobra.ExactArgs(1), RunE: nothing}, needy)
	root.AddCommand(group)
	CheckArgs(root)
	root.SetErr(&bytes.Buffer{})
	for _, args := range [][]string{{"group", "leaf"}, {"group", "leaf", "x", "y"}, {"group", "leaf", "x", "--none"}, {"group", "needy"}} {
		root.SetArgs(args)
		if err := root.Execute(); Code(err) != Usage {
			t.Errorf("%v: %v", args, err)
		}
	}
	root.SetArgs([]string{"group", "leaf", "x"})
	if err := root.Execute(); err != nil {
		t.Error(err)
	}
}
