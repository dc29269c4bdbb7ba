// Package update carries planned changes to the authoritative servers by dynamic updates (RFC 2136) signed
// with TSIG (RFC 8945), and reads from the same servers what stands.
//
// Ownership is decided by the server, not by a look beforehand: every update carries prerequisites. A name
// is created only if nothing stands there, and replaced or deleted only if the mark of this very VM does.
// So two workers, a repeated message or a delete that comes late can never take a name from its owner.
package update

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/zone"
)

const (
	// DefaultTimeout is for one message and its answer.
	DefaultTimeout = 10 * time.Second
	// namesPerMessage keeps the longest message (IPv6 reverse names) far below DNS's 64 KiB.
	namesPerMessage = 32
)

// Options of a Client. The zero value works.
type Options struct {
	// Timeout is for one message and its answer; 0 means DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil means time.Now. Signatures always carry the real time.
	Now func() time.Time
	// Dial connects to a server; nil means a net.Dialer.
	Dial Dial
}

// Dial connects to an address of a network, as a net.Dialer does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Client updates and reads the configured zones. It is safe for concurrent use.
type Client struct {
	zones   *zone.Set
	servers map[string]*server
}

// New makes a client for the zones.
func New(zones *zone.Set, o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	c := &Client{zones: zones, servers: map[string]*server{}}
	for _, z := range zones.All() {
		if c.servers[z.Server] == nil {
			c.servers[z.Server] = newServer(z.Server, o)
		}
	}
	return c
}

// Close closes the idle connections.
func (c *Client) Close() {
	for _, s := range c.servers {
		s.close()
	}
}

// Apply carries out the changes for the VM of the mark. In the normal case that is one message a zone. A
// name that cannot be changed does not keep the others from it. It may be repeated after any error, which
// is an *Error, a *ConflictError or several of them joined.
func (c *Client) Apply(ctx context.Context, mark record.Mark, changes []plan.Change) error {
	byZone := map[string][]plan.Change{}
	zones := map[string]zone.Zone{}
	for _, change := range changes {
		z, ok := c.zones.Find(change.Name)
		if !ok {
			return fmt.Errorf("DNS update of VM %s: no zone is configured that holds %s", mark.Ref, change.Name)
		}
		zones[z.Name] = z
		byZone[z.Name] = append(byZone[z.Name], change)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for name, list := range byZone {
		wg.Go(func() {
			err := c.applyZone(ctx, zones[name], mark, list)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Client) applyZone(ctx context.Context, z zone.Zone, mark record.Mark, changes []plan.Change) error {
	var errs []error
	for _, change := range changes {
		if change.Action == plan.Conflict {
			errs = append(errs, c.explain(ctx, z, mark, change.Name))
		}
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(ch plan.Change) bool { return ch.Action == plan.Conflict })
	for chunk := range slices.Chunk(changes, namesPerMessage) {
		err := c.send(ctx, z, mark, chunk)
		if isPrerequisite(err) {
			err = c.oneByOne(ctx, z, mark, chunk)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// otherwise is what to try when the server says that a name is not as the plan had it.
var otherwise = map[plan.Action][]plan.Action{
	plan.Create:  {plan.Create, plan.Replace}, // ours already: an answer was lost, or another worker was faster
	plan.Replace: {plan.Replace, plan.Create}, // somebody has removed it
	plan.Delete:  {plan.Delete},
}

// oneByOne finds out which names of a message were not as the plan had them.
func (c *Client) oneByOne(ctx context.Context, z zone.Zone, mark record.Mark, changes []plan.Change) error {
	var errs []error
	for _, change := range changes {
		attempts := otherwise[change.Action]
		if len(changes) == 1 {
			attempts = attempts[1:] // the first was the message that failed
		}
		errs = append(errs, c.one(ctx, z, mark, change, attempts))
	}
	return errors.Join(errs...)
}

func (c *Client) one(ctx context.Context, z zone.Zone, mark record.Mark, change plan.Change, attempts []plan.Action) error {
	for _, action := range attempts {
		try := plan.Change{Name: change.Name, Action: action, RRsets: change.RRsets}
		if err := c.send(ctx, z, mark, []plan.Change{try}); !isPrerequisite(err) {
			return err
		}
	}
	if change.Action == plan.Delete {
		return nil // the VM's mark does not stand there: nothing there is its own
	}
	return c.explain(ctx, z, mark, change.Name)
}

// send makes one message of the changes. All of them are done or none.
func (c *Client) send(ctx context.Context, z zone.Zone, mark record.Mark, changes []plan.Change) error {
	m, err := message(z, mark, changes)
	if err != nil {
		return err
	}
	_, err = c.exchange(ctx, z, "update for VM "+mark.Ref, m)
	return err
}
