package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/nameserver/bindtest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns"
	"github.com/vmline/vmline/services/internal/rig"
)

const (
	forward   = "vps.example."
	reverseV4 = "64.10.in-addr.arpa."
	reverseV6 = "0.0.0.0.4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
)

// foreign are the names of others in our zones. Two look like ours: below a name of ours, and with the mark
// of another installation.
var foreign = []string{
	"mail." + forward + " 300 A 192.0.2.25",
	"mail." + forward + " 300 TXT \"v=spf1 -all\"",
	"sub.shop." + forward + " 300 A 192.0.2.26",
	"rack." + forward + " 300 A 192.0.2.27",
	"_vmline.rack." + forward + " 300 TXT \"vmline ref=elsewhere-1 uid=theirs\"",
	"9.200." + reverseV4 + " 300 PTR mail.other.test.",
	"9.0.0.0.0.0.0.0.0.0.0.0.0.0.f.f." + reverseV6 + " 300 PTR mail.other.test.",
}

// names is a name server with the names of others.
type names struct {
	*bindtest.Server
	// others are the records that are not ours.
	others []string
}

func newNames(t *testing.T) *names {
	t.Helper()
	n := &names{Server: bindtest.Start(t, forward, reverseV4, reverseV6)}
	n.Change(t, nil, foreign...)
	n.others = n.Records(t)
	return n
}

func (n *names) zones() (all []dns.Zone) {
	for _, name := range []string{forward, reverseV4, reverseV6} {
		all = append(all, dns.Zone{Name: name, Server: n.Addr, TSIG: dns.TSIG{Name: bindtest.KeyName, Secret: bindtest.KeySecret}})
	}
	return all
}

// check fails the test unless the zones hold exactly the records of others and those that the VM should have.
func (n *names) check(t testing.TB, vm *vmlinev1.VM) {
	t.Helper()
	if n == nil {
		return
	}
	want := slices.Clone(n.others)
	if vm.GetStatus() != terminated {
		want = append(want, recordsOf(t, vm)...)
	}
	slices.Sort(want)
	if stands := n.Records(t); !slices.Equal(stands, want) {
		t.Errorf("%s in %s: DNS holds\n%s\nnot\n%s", vm.GetRef(), chain.Name(vm.GetStatus()), strings.Join(stands, "\n"), strings.Join(want, "\n"))
	}
}

// recordsOf are the records of a VM, each name with its mark.
func recordsOf(t testing.TB, vm *vmlinev1.VM) (all []string) {
	t.Helper()
	host := vm.GetPackage().GetName() + "." + forward
	owned := func(name string) {
		all = append(all, fmt.Sprintf(`_vmline.%s 3600 IN TXT "vmline ref=%s uid=%s"`, name, vm.GetRef(), vm.GetUid()))
	}
	owned(host)
	for _, a := range vm.GetAddresses() {
		address, kind := a.GetAddress(), "A"
		if strings.Contains(address, ":") {
			kind = "AAAA"
		}
		reverse := reverseOf(t, address)
		owned(reverse)
		all = append(all, fmt.Sprintf("%s 3600 IN %s %s", host, kind, address), fmt.Sprintf("%s 3600 IN PTR %s", reverse, host))
	}
	return all
}

func reverseOf(t testing.TB, address string) string {
	t.Helper()
	name, err := miekg.ReverseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// theirs is a record of somebody else's at the VM's own name.
const theirs = "shop." + forward + ` 300 IN TXT "theirs"`

// clear takes it away.
func (n *names) clear(t testing.TB) {
	t.Helper()
	if n == nil {
		return
	}
	n.Change(t, []string{"shop." + forward})
	n.others = slices.DeleteFunc(n.others, func(line string) bool { return line == theirs })
}

// called is a package whose machine has this name, in all zones.
func called(name string) func() *vmlinev1.Package {
	return func() *vmlinev1.Package {
		p := rig.Small(name)
		p.Network.Ipv6Count, p.Dns = 1, &vmlinev1.Dns{Domain: forward, Ptr: true}
		return p
	}
}

// tamper has everything there that set_dns_records mends: a name that the VM had comes back, the present one
// has lost an address and got a record of somebody else's, one reverse name leads astray, one is lost.
func tamper(s *stage, ref string) {
	s.t.Helper()
	vm := s.now(ref)
	v4, v6 := vm.GetAddresses()[0].GetAddress(), vm.GetAddresses()[1].GetAddress()
	astray, lost := reverseOf(s.t, v4), reverseOf(s.t, v6)
	s.names.clear(s.t)
	s.names.others = append(s.names.others, theirs)
	s.names.Change(s.t, []string{astray, lost, "_vmline." + lost},
		"web."+forward+" 300 A "+v4,
		fmt.Sprintf(`_vmline.web.%s 300 TXT "vmline ref=%s uid=%s"`, forward, ref, vm.GetUid()),
		"shop."+forward+" 300 AAAA "+v6, theirs,
		astray+" 300 PTR astray.test.",
	)
}

func suspendAndTamper(s *stage, ref string) {
	s.t.Helper()
	s.Send(ref, vmlinev1.Operation_KIND_SUSPEND, nil)
	s.Await(ref, rig.Ended(vmlinev1.Operation_KIND_SUSPEND))
	s.settle()
	tamper(s, ref)
}

// TestKilledWhileTheNameServerIsDown has the dns service die while it says why set_dns_records has to wait.
func TestKilledWhileTheNameServerIsDown(t *testing.T) {
	button := act{
		kind: setDNS,
		stage: func(s *stage, ref string) {
			act{kind: changePackage, pkg: called("shop"), follows: true}.perform(s, ref)
			tamper(s, ref)
			s.names.Stop()
		},
		meanwhile: func(s *stage, ref string) {
			s.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetRetry().GetAttempts() > 1 })
			s.names.Start()
		},
	}
	p := play{named: true, order: called("web")(), acts: []act{button}}
	calls := strikes(map[strike]int{
		{service: chain.DNS, call: "vm.next"}: 1, {service: chain.DNS, call: "vm.append"}: 1, {service: chain.DNS, call: "msg.ack"}: 1,
	})
	var tally tally
	p.stage(t, len(calls), func(s *stage, n int) {
		p.run(s, fmt.Sprintf("dark-%d", n), func(s *stage, _ int, ref string) { button.struck(s, ref, calls[n], &tally) })
	})
	tally.check(t)
}

// settle waits until the dns service, if there is one, has nothing more to do.
func (s *stage) settle() {
	s.t.Helper()
	if s.names == nil {
		return
	}
	// Ticks are taken only when what a service does first has ended.
	if err := s.Bus.Tick(s.t.Context(), bus.TickDNSSync); err != nil {
		s.t.Fatal(err)
	}
	s.AwaitRest(bus.StreamTICK, "dns-tick")
	s.AwaitRest(bus.StreamVM, "dns", "dns-follow")
}
