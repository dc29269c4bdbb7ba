//go:build deps

package services

import (
	_ "github.com/alicebob/miniredis/v2"
	_ "github.com/danielgtaylor/huma/v2"
	_ "github.com/goccy/go-yaml"
	_ "github.com/miekg/dns"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go"
	_ "github.com/redis/go-redis/v9"
	_ "github.com/spf13/cobra"
	_ "github.com/vmline/vmline/pkg/chain"
	_ "github.com/vmline/vmline/proto/vmline/v1"
	_ "go.opentelemetry.io/otel"
	_ "go.uber.org/goleak"
	_ "golang.org/x/crypto/nacl/box"
	_ "golang.org/x/sync/errgroup"
	_ "pgregory.net/rapid"
)
