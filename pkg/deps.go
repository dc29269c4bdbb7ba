//go:build deps

package pkg

import (
	_ "github.com/goccy/go-yaml"
	_ "github.com/luthermonson/go-proxmox"
	_ "github.com/miekg/dns"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go"
	_ "github.com/nats-io/nuid"
	_ "github.com/redis/go-redis/v9"
	_ "github.com/vmline/vmline/proto/vmline/v1"
	_ "go.opentelemetry.io/otel"
	_ "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	_ "go.opentelemetry.io/otel/sdk/trace"
	_ "go.uber.org/goleak"
	_ "golang.org/x/crypto/nacl/box"
	_ "golang.org/x/sync/errgroup"
	_ "pgregory.net/rapid"
)
