package telemetry

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestTracesArriveAtTheCollector(t *testing.T) {
	bodies := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	stop, err := Tracing(t.Context(), collector.URL, "ipam", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	_, span := otel.Tracer("test").Start(t.Context(), "set_ip")
	span.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := <-bodies
	for _, want := range []string{"/v1/traces ", "vmline-ipam", "set_ip"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in what the collector got", want)
		}
	}
}

func TestLostTracesAreLogged(t *testing.T) {
	collector := httptest.NewServer(http.NotFoundHandler())
	defer collector.Close()
	var out strings.Builder
	stop, err := Tracing(t.Context(), collector.URL, "ipam", NewLogger(&out, slog.LevelInfo, "text"))
	if err != nil {
		t.Fatal(err)
	}
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	_, span := otel.Tracer("test").Start(t.Context(), "set_ip")
	span.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "traces are lost") {
		t.Errorf("logged: %q", out.String())
	}
}

func TestWithoutAnEndpointNothingIsRecorded(t *testing.T) {
	stop, err := Tracing(t.Context(), "", "ipam", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(t.Context(), "x")
	if span.IsRecording() {
		t.Error("a span is recorded")
	}
	if err := stop(t.Context()); err != nil {
		t.Error(err)
	}
	if fields := otel.GetTextMapPropagator().Fields(); !strings.Contains(strings.Join(fields, " "), "traceparent") {
		t.Errorf("trace context is not passed on: %v", fields)
	}
}

func TestLogsHideSecrets(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out strings.Builder
		log := NewLogger(&out, slog.LevelInfo, format)
		log.Debug("invisible")
		log.With("api_token", "hunter2").WithGroup("g").Info("started",
			"token_secret", "hunter2", "Authorization", "Bearer hunter2", "cipassword", []byte("hunter2"),
			"url", "nats://ipam:hunter2@nats:4222,nats://ipam:hunter2@b:4222", "error", errors.New("dial redis://:hunter2@cache?password=hunter2&db=1: refused"),
			"vmid", 101)
		got := out.String()
		if strings.Contains(got, "hunter2") || strings.Contains(got, "invisible") {
			t.Errorf("%s: %s", format, got)
		}
		for _, want := range []string{"101", "nats://ipam:(secret)@nats:4222", "redis://:(secret)@cache?password=(secret)&db=1: refused"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in %s", format, want, got)
			}
		}
		if format == "json" && !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %s", got)
		}
	}
}
