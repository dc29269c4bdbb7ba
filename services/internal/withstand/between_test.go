package withstand

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/services/internal/rig"
)

// between stands between the services and the world and counts their calls. before is run ahead of
// each, one at a time.
type between struct {
	mu     sync.Mutex
	calls  int
	before func(n int, c call)
}

// call is one call to the world. req is nil unless it goes to Proxmox.
type call struct {
	name string
	req  *http.Request
}

// is says that the call is one to Proxmox with that method and an end of that path.
func (c call) is(method, end string) bool {
	return c.req != nil && c.req.Method == method && strings.HasSuffix(c.req.URL.Path, end)
}

// observe counts from 1 again, for another observer.
func (b *between) observe(before func(n int, c call)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls, b.before = 0, before
}

// seen is how many calls there were since the last observe.
func (b *between) seen() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func (b *between) count(c call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.before != nil {
		b.before(b.calls, c)
	}
}

// edge puts it in front of everything.
func (b *between) edge() rig.Edge {
	return rig.Edge{
		Bus: func(ctx context.Context, name string, do func(context.Context) error) error {
			b.count(call{name: name})
			return do(ctx)
		},
		Proxmox: b.proxmox,
		Redis:   redisHook{b},
	}
}

// proxmoxEdge puts it in front of Proxmox only.
func (b *between) proxmoxEdge() rig.Edge { return rig.Edge{Proxmox: b.proxmox} }

func (b *between) proxmox(next http.RoundTripper) http.RoundTripper {
	return tripper(func(req *http.Request) (*http.Response, error) {
		b.count(call{req.Method + " " + req.URL.Path, req})
		return next.RoundTrip(req)
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

type redisHook struct{ *between }

func (h redisHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.count(call{name: "redis " + cmd.Name()})
		return next(ctx, cmd)
	}
}

func (h redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.count(call{name: "redis pipeline"})
		return next(ctx, cmds)
	}
}

// bodyOf reads the parameters of a request, which stays whole.
func bodyOf(req *http.Request) map[string]string {
	params := map[string]string{}
	if req.GetBody == nil {
		return params
	}
	body, err := req.GetBody()
	if err != nil {
		return params
	}
	defer body.Close()
	_ = json.NewDecoder(body).Decode(&params) // a request without parameters has none
	return params
}
