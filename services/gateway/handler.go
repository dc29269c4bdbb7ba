package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/secrets"
)

// handler is the whole HTTP surface.
func (g *gateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", g.ready)
	mux.Handle("/", g.authenticated(g.api()))
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
				Description: "Orders KVM machines on Proxmox VE and watches them. Errors are application/problem+json (RFC 9457).",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		OpenAPIPath:                  "/openapi",
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// register is the table of routes.
func (g *gateway) register(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "put-service", Method: http.MethodPut, Path: "/v1/services/{ref}", DefaultStatus: http.StatusAccepted,
		Summary:     "Order a VM",
		Description: "The package is whole, so repeating the request is harmless: it answers with the same operation, 202 while it runs and 200 once it has ended.",
		Errors:      []int{400, 401, 409, 413, 422, 503},
	}, g.putService)
	huma.Register(a, huma.Operation{
		OperationID: "delete-service", Method: http.MethodDelete, Path: "/v1/services/{ref}", DefaultStatus: http.StatusAccepted,
		Summary: "Terminate a VM", Errors: []int{401, 404, 409, 422, 503},
	}, g.deleteService)
	huma.Register(a, huma.Operation{
		OperationID: "get-service", Method: http.MethodGet, Path: "/v1/services/{ref}",
		Summary: "Show a VM", Errors: []int{401, 404, 422, 503},
	}, g.getService)
	huma.Register(a, huma.Operation{
		OperationID: "list-services", Method: http.MethodGet, Path: "/v1/services",
		Summary: "List VMs in the order of their refs", Errors: []int{401, 422, 503},
	}, g.listServices)
	huma.Register(a, huma.Operation{
		OperationID: "get-operation", Method: http.MethodGet, Path: "/v1/operations/{id}",
		Summary:     "Show an operation",
		Description: "With wait it answers as soon as the operation has ended or waits for a person, at the latest after that time.",
		Errors:      []int{401, 404, 422, 503},
	}, g.getOperation)
	huma.Register(a, g.eventsOperation(a), g.getEvents)
}

func live(w http.ResponseWriter, _ *http.Request) { writeStatus(w, "alive") }

// readyTimeout is shorter than a load balancer's patience.
const readyTimeout = 2 * time.Second

func (g *gateway) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := g.bus.Ready(ctx); err != nil {
		g.log.Warn("not ready", "error", err)
		p := problem(http.StatusServiceUnavailable, "NATS cannot be reached, or its streams were not made yet.", "Look at the gateway's log.")
		p.Type = api.TypeBrokerUnavailable
		w.Header().Set("Retry-After", retryAfter)
		writeProblem(w, p)
		return
	}
	writeStatus(w, "ready")
}

func writeStatus(w http.ResponseWriter, status string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status}) // the client may have gone
}

// authenticated lets nobody in without the bearer token (RFC 6750).
func (g *gateway) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !secrets.Equal(strings.TrimSpace(token), g.token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="vmline"`)
			writeProblem(w, problem(http.StatusUnauthorized, "The bearer token is missing or wrong.", ""))
			return
		}
		next.ServeHTTP(w, r)
	})
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
