package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/internal/app"
)

// printer shows what happens, to people or to programs. Machines are followed at the same time, so
// it is safe for concurrent use.
type printer struct {
	mu      sync.Mutex
	out     io.Writer
	json    bool
	colour  bool
	started time.Time
}

func newPrinter(o Options) *printer {
	return &printer{out: o.Out, json: o.JSON, colour: o.Colour, started: time.Now()}
}

// event is one line of JSON. Fields that do not belong to an event are left out.
type event struct {
	Event string `json:"event"`
	// At is in seconds since the start.
	At      float64 `json:"at"`
	Ref     string  `json:"ref,omitempty"`
	Product string  `json:"product,omitempty"`
	Status  string  `json:"status,omitempty"`
	Owner   string  `json:"owner,omitempty"`
	// Took is in seconds.
	Took  float64 `json:"took,omitempty"`
	Node  string  `json:"node,omitempty"`
	VMID  int     `json:"vmid,omitempty"`
	Name  string  `json:"name,omitempty"`
	Type  string  `json:"type,omitempty"`
	Value string  `json:"value,omitempty"`
	URL   string  `json:"url,omitempty"`
	Token string  `json:"token_file,omitempty"`
}

// show writes the event to programs or the text to people. A reader that has gone is its own loss.
func (p *printer) show(e event, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.json {
		fmt.Fprintf(p.out, format+"\n", args...)
		return
	}
	e.At = time.Since(p.started).Round(time.Millisecond).Seconds()
	_ = json.NewEncoder(p.out).Encode(e)
}

// The colours of a terminal (ECMA-48, SGR).
const (
	bold  = "1"
	faint = "2"
	green = "32"
)

func (p *printer) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *printer) title(text string) {
	if !p.json {
		p.show(event{}, "\n%s", p.paint(bold, text))
	}
}

func (p *printer) world(w *world) {
	p.show(event{Event: "started", URL: w.client.BaseURL, Token: app.TokenFile(w.cfg)},
		"%s\n  Proxmox VE   %s (simulated: 3 nodes, template %s)\n  DNS server   %s (%s and its reverse zones)\n  vmline API   %s",
		p.paint(bold, "Running in this process"), w.proxmox.URL, templateName, w.names.Addrs()[0], domain, w.client.BaseURL)
}

func (p *printer) accepted(o *order, took time.Duration) {
	p.show(event{Event: "accepted", Ref: o.ref, Product: o.product, Name: o.pkg.Name, Took: took.Seconds()},
		"  %s  %-8s  %-46s  %s", o.ref, o.product, summary(o.pkg), p.paint(faint, "accepted in "+milliseconds(took)))
}

func (p *printer) step(ref string, s api.Step) {
	took := s.FinishedAt.Sub(s.StartedAt)
	at := s.FinishedAt.Sub(p.started)
	name := fmt.Sprintf("%-29s", s.Name)
	if s.Name == "ready" || s.Name == "terminated" {
		name = p.paint(green, name)
	}
	p.show(event{Event: "status", Ref: ref, Status: s.Name, Owner: s.Owner, Took: took.Seconds()},
		"  %7.3f s  %s  %s  %-11s  %s", at.Seconds(), ref, name, s.Owner, p.paint(faint, fmt.Sprintf("%8s", milliseconds(took))))
}

func (p *printer) ready(machines int, took time.Duration) {
	p.show(event{Event: "all_ready", Took: took.Seconds()}, "  %d machines ready %.1f s after the first order", machines, took.Seconds())
}

func (p *printer) machine(o *order, vm pvesim.VMState) {
	p.show(event{Event: "machine", Ref: o.ref, Node: vm.Node, VMID: vm.VMID, Name: vm.Name, Status: vm.Status},
		"  %s  VM %d on %s  %s  %s\n             %s", o.ref, vm.VMID, vm.Node, p.paint(green, vm.Status), vm.Name, p.paint(faint, hardware(vm)))
}

// hardware lists what was ordered, under Proxmox's own names.
func hardware(vm pvesim.VMState) string {
	var parts []string
	for _, key := range []string{"cores", "memory", "scsi0", "scsi1", "net0", "ipconfig0"} {
		if value := vm.Config[key]; value != "" {
			parts = append(parts, key+": "+value)
		}
	}
	return strings.Join(parts, "\n             ")
}

func (p *printer) name(ref string, q question) {
	qtype := dns.TypeToString[q.qtype]
	p.show(event{Event: "dns", Ref: ref, Name: q.name, Type: qtype, Value: q.want},
		"  %-4s  %s  %s", qtype, q.want, p.paint(faint, "for "+q.name))
}

func (p *printer) free(ref, what, value string) {
	p.show(event{Event: "free", Ref: ref, Type: what, Value: value}, "  %s  %-7s  %s", p.paint(green, "free"), what, value)
}

func (p *printer) done(took time.Duration) {
	p.show(event{Event: "done", Took: took.Seconds()}, "\n%s", p.paint(green, "Everything above was looked up and is true."))
}

func (p *printer) kept(w *world) {
	p.show(event{Event: "kept", URL: w.client.BaseURL, Token: app.TokenFile(w.cfg)},
		"\n%s\n  export VMLINE_URL=%s VMLINE_TOKEN_FILE=%s\n  token: %s\n  try:   vmline vm list; vmline tail",
		p.paint(bold, "Still running; stop it with Ctrl-C"), w.client.BaseURL, app.TokenFile(w.cfg), w.client.Token)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
