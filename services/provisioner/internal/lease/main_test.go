package lease

import (
	"context"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // it writes every failed dial to the standard error
	leaktest.Main(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

var quiet = slog.New(slog.DiscardHandler)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
