package app

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLog has what the client library of Redis would write to the standard error stand in the log, as any other
// line. It says no level: what a service misses through Redis, the service says itself.
type redisLog struct{ log *slog.Logger }

// Printf logs one line of the library.
func (l redisLog) Printf(ctx context.Context, format string, values ...any) {
	l.log.InfoContext(ctx, "the client of Redis reports", "text", fmt.Sprintf(format, values...))
}
