package app

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/vmline/vmline/pkg/telemetry"
)

// locked is a log that the goroutines of a client may write to.
type locked struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestTheClientOfRedisWritesToTheLog(t *testing.T) {
	cfg := local(t)
	cfg.Redis.URL = "redis://:hunter2@127.0.0.1:1?max_retries=-1" // nobody is there
	var out locked
	a, err := Open(cfg, "test", telemetry.NewLogger(&out, slog.LevelInfo, "text"), IPAM)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.redis.Ping(t.Context()).Err(); err == nil {
		t.Error("somebody answers")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if log := out.String(); !strings.Contains(log, "failed to dial") || strings.Contains(log, "hunter2") {
		t.Errorf("logged:\n%s", log)
	}
}
