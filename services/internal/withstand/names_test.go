package withstand

import (
	"context"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/nameserver/bindtest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns"
	"github.com/vmline/vmline/services/internal/rig"
)

// authority is a DNS server with a forward and a reverse zone. What it held is gone when it starts again.
type authority struct {
	t      *testing.T
	addr   string
	server *nameserver.Server
}

const (
	tsigName   = "vmline-test."
	tsigSecret = "YSBzZWNyZXQgZm9yIHRlc3RzIG9ubHkgMDEyMzQ1Ng=="
	forward    = "vps.example."
	reverse    = "64.10.in-addr.arpa."
)

func (a *authority) start() {
	a.t.Helper()
	var err error
	a.server, err = nameserver.Start(nameserver.Config{
		Addrs: []string{a.addr}, Zones: []string{forward, reverse}, Keys: []nameserver.Key{{Name: tsigName, Secret: tsigSecret}},
	})
	must(a.t, err)
	a.addr = a.server.Addrs()[0]
}

func (a *authority) stop() { must(a.t, a.server.Close(context.Background())) }

func (a *authority) zones() []dns.Zone {
	key := dns.TSIG{Name: tsigName, Secret: tsigSecret}
	return []dns.Zone{{Name: forward, Server: a.addr, TSIG: key}, {Name: reverse, Server: a.addr, TSIG: key}}
}

// says is what the server answers, values alone.
func (a *authority) says(name string, qtype uint16) string {
	answer, _, err := (&miekg.Client{Net: "tcp", Timeout: time.Minute}).Exchange(new(miekg.Msg).SetQuestion(name, qtype), a.addr)
	if err != nil {
		return err.Error()
	}
	var values []string
	for _, rr := range answer.Answer {
		values = append(values, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(values, " ")
}

// TestRecordsThroughAMachinesLife: DNS holds no step up but the button that asks for it, which ends when the
// records stand; they stay while a machine is suspended, move with its name, and are gone with it.
func TestRecordsThroughAMachinesLife(t *testing.T) {
	t.Parallel()
	a := &authority{t: t, addr: bindtest.FreePort(t)}
	a.start()
	defer func() { a.stop() }()
	r := rig.New(t, rig.Options{Zones: a.zones()})
	startAll(r, 1, rig.Edge{})
	r.Start(chain.DNS, rig.Edge{})
	const ref, address, ptr = "named-5921", "10.64.0.2", "2.0.64.10.in-addr.arpa."
	a.stop()
	pkg := rig.Small("web")
	pkg.Dns = &vmlinev1.Dns{Domain: forward, Ptr: true}
	r.Order(ref, pkg)
	r.Await(ref, rig.Ended(create)) // whatever the DNS server does
	const button = vmlinev1.Operation_KIND_SET_DNS_RECORDS
	id := r.Send(ref, button, nil)
	waits := r.Await(ref, troubled)
	if p := waits.GetProblem(); !strings.Contains(p.GetCause(), "the server cannot be reached") || waits.GetOperation().GetId() != id {
		t.Errorf("with the server down the button says %v", p)
	}
	a.start()
	vm := r.Await(ref, rig.Ended(button))
	stands := func(when, name, forwardTo, reverseTo string) {
		t.Helper()
		if f, p := a.says(name, miekg.TypeA), a.says(ptr, miekg.TypePTR); f != forwardTo || p != reverseTo {
			t.Errorf("%s: %s is %q and %s is %q, want %q and %q", when, name, f, ptr, p, forwardTo, reverseTo)
		}
	}
	stands("when the button has ended", "web.vps.example.", address, "web.vps.example.")
	if vm.GetStatus() != vmlinev1.Status_STATUS_READY || !strings.Contains(vm.GetOperation().GetResult().GetNote(), "web.vps.example. A 10.64.0.2") {
		t.Errorf("status %v, result %v", vm.GetStatus(), vm.GetOperation().GetResult())
	}
	r.Send(ref, vmlinev1.Operation_KIND_SUSPEND, nil)
	r.Await(ref, rig.Ended(vmlinev1.Operation_KIND_SUSPEND))
	a.stop()
	a.start() // empty
	r.Send(ref, button, nil)
	vm = r.Await(ref, rig.Ended(button))
	stands("suspended", "web.vps.example.", address, "web.vps.example.")
	if vm.GetStatus() != vmlinev1.Status_STATUS_SUSPENDED {
		t.Errorf("the button left the status %s", chain.Name(vm.GetStatus()))
	}
	r.Send(ref, vmlinev1.Operation_KIND_UNSUSPEND, nil)
	vm = r.Await(ref, rig.Ended(vmlinev1.Operation_KIND_UNSUSPEND))
	renamed := proto.CloneOf(vm.GetPackage())
	renamed.Name = "shop"
	if vm = again(r, ref, changePackage, renamed); rig.Parked(vm) {
		t.Fatal(vm.GetProblem())
	}
	eventually(t, "the name moves", func() bool {
		return a.says(ptr, miekg.TypePTR) == "shop.vps.example." && a.says("web.vps.example.", miekg.TypeA) == ""
	})
	stands("under another name", "shop.vps.example.", address, "shop.vps.example.")
	r.Terminate(ref)
	r.Await(ref, rig.Ended(terminate))
	for _, name := range []string{ptr, "shop.vps.example.", "_vmline." + ptr, "_vmline.shop.vps.example."} {
		eventually(t, name+" goes with the machine", func() bool { return a.says(name, miekg.TypeANY) == "" })
	}
}
