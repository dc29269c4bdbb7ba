package bus

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// propagator carries W3C trace context in message headers, so that one trace shows a machine's
// whole chain across services.
var propagator = propagation.TraceContext{}

func tracer() trace.Tracer { return otel.Tracer("github.com/vmline/vmline/pkg/bus") }

func inject(ctx context.Context, h nats.Header) { propagator.Inject(ctx, propagation.HeaderCarrier(h)) }

func extract(ctx context.Context, h nats.Header) context.Context {
	return propagator.Extract(ctx, propagation.HeaderCarrier(h))
}
