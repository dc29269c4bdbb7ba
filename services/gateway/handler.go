package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/vmline/vmline/pkg/api"
)

// handler is the whole HTTP surface.
func (g *gateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", g.ready)
	mux.Handle("/", g.auth.Handler(g.limiter.Handler(keyID, g.slots.handler(g.api()))))
	return g.recovered(mux)
}

// api serves what the OpenAPI document describes, and the document itself.
func (g *gateway) api() http.Handler {
	mux := http.NewServeMux()
	g.register(humago.New(mux, apiConfig()))
	return traced(known(mux))
}

func apiConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "vmline", Version: "1",
				Description: "Orders KVM machines on Proxmox VE and watches them. Errors are application/problem+json (RFC 9457). " +
					"Each route names the scope that a key needs (x-scope): read, operate or admin.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":     {Type: "http", Scheme: "bearer", Description: "A bearer key (RFC 6750)."},
					"signature": {Type: "apiKey", In: "header", Name: "Signature", Description: signatureDescription},
				},
			},
			Security:       []map[string][]string{{"token": {}}, {"signature": {}}},
			OnAddOperation: []huma.AddOpFunc{describeHeaders},
		},
		OpenAPIPath:                  "/openapi",
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// answerHeaders are the headers that an answer of a status has on every route.
var answerHeaders = map[int]map[string]string{
	http.StatusTooManyRequests: {
		"Retry-After":      "After how many seconds to ask again (RFC 9110).",
		"RateLimit":        "What is left of the key's limit, and in how many seconds it is whole again (draft-ietf-httpapi-ratelimit-headers).",
		"RateLimit-Policy": "The key's limit: requests (q) in a window of seconds (w). Every answer has it where there is one.",
	},
	http.StatusServiceUnavailable: {"Retry-After": "After how many seconds to ask again (RFC 9110)."},
}

func describeHeaders(_ *huma.OpenAPI, op *huma.Operation) {
	for status, headers := range answerHeaders {
		answer := op.Responses[strconv.Itoa(status)]
		if answer == nil {
			continue
		}
		if answer.Headers == nil {
			answer.Headers = map[string]*huma.Param{}
		}
		for name, description := range headers {
			answer.Headers[name] = &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
		}
	}
}

const signatureDescription = "A signature with a signing key (RFC 9421, hmac-sha256). It covers, in this order, \"@method\" \"@authority\" \"@path\" \"@query\", " +
	"and where there is a body \"content-digest\" \"content-type\" \"idempotency-key\", where there is only an Idempotency-Key that. " +
	"Its parameters are created (at most 300 s old), keyid, alg and nonce (24 hexadecimal digits, never used before)."

func live(w http.ResponseWriter, _ *http.Request) { writeStatus(w, "alive") }

// readyTimeout is shorter than a load balancer's patience.
const readyTimeout = 2 * time.Second

func (g *gateway) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := g.isReady(ctx); err != nil {
		g.log.Warn("not ready", "error", err)
		p := problem(http.StatusServiceUnavailable, "NATS cannot be reached, or its streams were not made yet, or the API keys were not read yet.", "Look at the gateway's log.")
		p.Type = api.TypeBrokerUnavailable
		w.Header().Set("Retry-After", retryAfter)
		writeProblem(w, p)
		return
	}
	writeStatus(w, "ready")
}

// isReady never looks at Proxmox: orders are taken while it is down.
func (g *gateway) isReady(ctx context.Context) error {
	if err := g.bus.Ready(ctx); err != nil {
		return err
	}
	for what, ready := range map[string]<-chan struct{}{"the API keys": g.ring.Ready(), "the feed of events": g.feed.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

func writeStatus(w http.ResponseWriter, status string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status}) // the client may have gone
}

// known answers for the mux where it has no route, because it would do so in plain text.
func known(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := dropped{header: http.Header{}}
		h.ServeHTTP(&answer, r)
		if allow := answer.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			writeProblem(w, problem(http.StatusMethodNotAllowed, r.Method+" is not allowed here.", "Use "+allow+"."))
			return
		}
		writeProblem(w, problem(http.StatusNotFound, "There is nothing at this path.", "The paths are in /openapi.json."))
	})
}

// dropped keeps the header of an answer that is not sent.
type dropped struct{ header http.Header }

func (d *dropped) Header() http.Header         { return d.header }
func (d *dropped) Write(b []byte) (int, error) { return len(b), nil }
func (d *dropped) WriteHeader(int)             {}

// traced continues the caller's trace (W3C trace context) up to the command on the bus.
func traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := otel.Tracer("github.com/vmline/vmline/services/gateway").Start(ctx, "HTTP "+r.Method)
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recovered turns a panic into a problem. Of a request only its path is logged.
func (g *gateway) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			err, _ := p.(error)
			switch {
			case p == nil:
			case errors.Is(err, http.ErrAbortHandler) || r.Context().Err() != nil:
				panic(http.ErrAbortHandler) // the client has gone; net/http closes the connection in silence
			default:
				g.log.Error("handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				writeProblem(w, problem(http.StatusInternalServerError, "The gateway made a mistake; its log has the details.", ""))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
