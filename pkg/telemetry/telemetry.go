// Package telemetry sets up what a program tells its operator: logs by slog, traces by OpenTelemetry.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// exportTimeout bounds one attempt to deliver traces, and the last one before the program ends. A
// collector that is down must not hold anything up.
const exportTimeout = 5 * time.Second

// tracesPath is where a collector takes traces (OTLP/HTTP 1.0, section "OTLP/HTTP Request").
const tracesPath = "/v1/traces"

// Tracing sends this process's spans to an OpenTelemetry collector at the endpoint, a URL like
// http://host:4318, until stop, which delivers what is left. Without an endpoint nothing is
// recorded, but trace context that arrives is still passed on. Traces that cannot be delivered are
// dropped, which log says.
func Tracing(ctx context.Context, endpoint, service string, log *slog.Logger) (stop func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	if endpoint == "" {
		return func(context.Context) error { return nil }, nil
	}
	target, err := url.JoinPath(strings.TrimSuffix(endpoint, tracesPath), tracesPath)
	if err != nil {
		return nil, fmt.Errorf("set up traces: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, fmt.Errorf("set up traces to %s: %w", endpoint, err)
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter, trace.WithExportTimeout(exportTimeout)),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "vmline-"+service))),
	)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", "error", err) }))
	otel.SetTracerProvider(provider)
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, exportTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			return fmt.Errorf("deliver the last traces to %s: %w", endpoint, err)
		}
		return nil
	}, nil
}

// NewLogger returns a logger that writes lines of text, or of JSON where the format is json. It
// blanks attributes whose name says that they hold a secret: the last line of defence, because no
// code is to log one.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: hideSecrets}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
