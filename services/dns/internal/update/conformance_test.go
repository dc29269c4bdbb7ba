package update

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/zone"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// conformance are the cases that every server must pass. Each has zones of its own.
var conformance = []struct {
	name string
	run  func(*suite)
}{
	{"create", createCase},
	{"repeat", repeatCase},
	{"change", changeCase},
	{"delete", deleteCase},
	{"foreign name", foreignNameCase},
	{"foreign records beside", foreignBesideCase},
	{"foreign PTR", foreignPTRCase},
	{"alias", aliasCase},
	{"wildcard", wildcardCase},
	{"handed over", handedOverCase},
	{"same ref, other uid", sameRefCase},
	{"removed by hand", removedByHandCase},
	{"wrong key", wrongKeyCase},
	{"zone not served", zoneNotServedCase},
	{"many at once", manyCase},
	{"one VM at once", racingCase},
	{"many addresses", manyAddressesCase},
	{"serial", serialCase},
}

func TestConformance(t *testing.T) {
	var zones []string
	for i := range conformance {
		zones = append(zones, newSuite(nil, "", i).zoneNames()...)
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			addr := start(t, zones)
			for i, c := range conformance {
				t.Run(c.name, func(t *testing.T) {
					s := newSuite(t, addr, i)
					s.client = s.newClient(keySecret, s.zoneNames()...)
					c.run(s)
				})
			}
		})
	}
}

// patience is how long a server may take to answer. Only a test that fails uses it up.
const patience = time.Minute

// suite is one case on one server: its zones, its client and checks.
type suite struct {
	*testing.T
	addr   string
	n      int
	client *Client
}

func newSuite(t *testing.T, addr string, n int) *suite {
	return &suite{T: t, addr: addr, n: n + 1}
}

func (s *suite) domain() string { return fmt.Sprintf("c%d.test.", s.n) }

func (s *suite) v4(host int) string { return fmt.Sprintf("10.0.%d.%d", s.n, host) }

func (s *suite) v6(host int) string { return fmt.Sprintf("2001:db8:%x::%x", s.n, host) }

func (s *suite) zoneNames() []string {
	v6, _ := dns.ReverseAddr(s.v6(1))
	return []string{s.domain(), fmt.Sprintf("%d.0.10.in-addr.arpa.", s.n), v6[len(v6)-len("1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."):]}
}

func (s *suite) zones(secret string, names ...string) *zone.Set {
	s.Helper()
	var list []zone.Zone
	for _, name := range names {
		list = append(list, zone.Zone{Name: name, Server: s.addr, TTL: 300, TSIG: zone.TSIG{Name: keyName, Secret: secret}})
	}
	set, err := zone.NewSet(list)
	if err != nil {
		s.Fatal(err)
	}
	return set
}

func (s *suite) newClient(secret string, names ...string) *Client {
	s.Helper()
	c := New(s.zones(secret, names...), Options{Timeout: patience})
	s.Cleanup(c.Close)
	return c
}

// vm is a machine named vm<host> with the addresses of that host.
func (s *suite) vm(host int) *vmlinev1.VM {
	return &vmlinev1.VM{
		Ref: fmt.Sprintf("shop-%d", host), Uid: fmt.Sprintf("uid-%d", host), Status: vmlinev1.Status_STATUS_READY,
		Package:   &vmlinev1.Package{Name: fmt.Sprintf("vm%d", host), Dns: &vmlinev1.Dns{Domain: s.domain(), Ptr: true, Ttl: 60}},
		Addresses: []*vmlinev1.Address{{Address: s.v4(host)}, {Address: s.v6(host)}},
	}
}

func gone(vm *vmlinev1.VM) *vmlinev1.VM {
	vm = proto.CloneOf(vm)
	vm.Status = vmlinev1.Status_STATUS_TERMINATED
	return vm
}

func markOf(vm *vmlinev1.VM) record.Mark { return record.Mark{Ref: vm.GetRef(), UID: vm.GetUid()} }

// blind applies without a look, as for a VM that is new.
func (s *suite) blind(vm *vmlinev1.VM) error {
	return s.client.Apply(s.Context(), markOf(vm), plan.Calculate(record.Compute(vm, s.client.zones), nil))
}

// look asks the server first.
func (s *suite) look(vm *vmlinev1.VM) ([]plan.Change, error) {
	records := record.Compute(vm, s.client.zones)
	states, err := s.client.Lookup(s.Context(), records.Mark, records.Names())
	if err != nil {
		return nil, err
	}
	changes := plan.Calculate(records, states)
	return changes, s.client.Apply(s.Context(), records.Mark, changes)
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// settled checks that nothing is left to do for the VM.
func (s *suite) settled(vm *vmlinev1.VM) {
	s.Helper()
	if changes, err := s.look(vm); err != nil || len(changes) > 0 {
		s.Errorf("%s: still to do: %v, %v", vm.GetRef(), changes, err)
	}
}

// dig asks the server like anybody would: "TTL value, TTL value", sorted.
func (s *suite) dig(name, rrtype string) string {
	s.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.StringToType[rrtype])
	r, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(m, s.addr)
	s.must(err)
	var all []string
	for _, rr := range r.Answer {
		all = append(all, fmt.Sprintf("%d %s", rr.Header().Ttl, value(rr)))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// stands checks what the server answers for name and type.
func (s *suite) stands(name, rrtype, want string) {
	s.Helper()
	if got := s.dig(name, rrtype); got != want {
		s.Errorf("%s %s: %q, want %q", name, rrtype, got, want)
	}
}

// complete checks all records of the VM of a host.
func (s *suite) complete(host int) {
	s.Helper()
	name := fmt.Sprintf("vm%d.%s", host, s.domain())
	mark := fmt.Sprintf(`60 "vmline ref=shop-%d uid=uid-%d"`, host, host)
	s.stands(name, "A", "60 "+s.v4(host))
	s.stands(name, "AAAA", "60 "+s.v6(host))
	s.stands(reverse(s.v4(host)), "PTR", "60 "+name)
	s.stands(reverse(s.v6(host)), "PTR", "60 "+name)
	for _, owner := range []string{name, reverse(s.v4(host)), reverse(s.v6(host))} {
		s.stands(record.MarkName(owner), "TXT", mark)
	}
}

// absent checks that nothing of the VM of a host is left.
func (s *suite) absent(host int) {
	s.Helper()
	for _, owner := range []string{fmt.Sprintf("vm%d.%s", host, s.domain()), reverse(s.v4(host)), reverse(s.v6(host))} {
		s.stands(owner, "ANY", "")
		s.stands(record.MarkName(owner), "ANY", "")
	}
}

func reverse(address string) string {
	name, err := dns.ReverseAddr(address)
	if err != nil {
		panic(err)
	}
	return name
}

// foreign is somebody else's update: it removes what stands at the name and adds the records.
func (s *suite) foreign(zoneName, name string, lines ...string) {
	s.Helper()
	m := new(dns.Msg).SetUpdate(zoneName)
	m.RemoveName([]dns.RR{empty(name, dns.TypeANY)})
	for _, line := range lines {
		rr, err := dns.NewRR(name + " " + line)
		s.must(err)
		m.Insert([]dns.RR{rr})
	}
	m.SetTsig(keyName, dns.HmacSHA256, 300, time.Now().Unix())
	c := dns.Client{Net: "tcp", Timeout: patience, TsigSecret: map[string]string{keyName: keySecret}}
	r, _, err := c.Exchange(m, s.addr)
	s.must(err)
	if r.Rcode != dns.RcodeSuccess {
		s.Fatal(dns.RcodeToString[r.Rcode])
	}
}

// conflict checks that err holds exactly one conflict, at the name.
func (s *suite) conflict(err error, name, holder, standing string) {
	s.Helper()
	all := Conflicts(err)
	if len(all) != 1 || all[0].Name != name || all[0].Holder.Ref != holder || !strings.Contains(strings.Join(all[0].Standing, ", "), standing) {
		s.Errorf("conflicts %v of error %v; want %s held by %q with %s", all, err, name, holder, standing)
	}
}

func (s *suite) kind(err error, want Kind) {
	s.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		s.Errorf("error %v, want %q", err, want)
	}
	if err != nil && strings.Contains(err.Error(), keySecret) {
		s.Errorf("the error holds the secret: %v", err)
	}
}

func createCase(s *suite) {
	s.must(s.blind(s.vm(1)))
	s.complete(1)
	s.settled(s.vm(1))
}

func repeatCase(s *suite) {
	for range 3 {
		s.must(s.blind(s.vm(1)))
		s.complete(1)
	}
	if changes, err := s.look(s.vm(1)); err != nil || len(changes) > 0 {
		s.Errorf("changes %v, %v", changes, err)
	}
}

func changeCase(s *suite) {
	s.must(s.blind(s.vm(1)))
	before := record.Compute(s.vm(1), s.client.zones)
	vm := s.vm(1)
	vm.Package.Dns.Ttl = 90
	vm.Addresses = []*vmlinev1.Address{{Address: s.v4(7)}, {Address: s.v4(8)}}
	s.must(s.client.Apply(s.Context(), markOf(vm), plan.Calculate(record.Compute(vm, s.client.zones), plan.Standing(before.Wanted))))
	s.settled(vm)
	name := "vm1." + s.domain()
	s.stands(name, "A", "90 "+s.v4(7)+", 90 "+s.v4(8))
	s.stands(name, "AAAA", "")
	s.stands(reverse(s.v4(8)), "PTR", "90 "+name)
	s.stands(reverse(s.v4(1)), "ANY", "")
	s.stands(record.MarkName(reverse(s.v6(1))), "ANY", "")
	s.stands(record.MarkName(name), "TXT", `90 "vmline ref=shop-1 uid=uid-1"`)
}

func deleteCase(s *suite) {
	before := record.Compute(s.vm(1), s.client.zones)
	s.must(s.blind(s.vm(1)))
	removal := plan.Calculate(record.Compute(gone(s.vm(1)), s.client.zones), plan.Standing(before.Wanted))
	for range 2 {
		s.must(s.client.Apply(s.Context(), before.Mark, removal))
		s.absent(1)
	}
	s.settled(gone(s.vm(1)))
	s.must(s.blind(s.vm(1)))
	_, err := s.look(gone(s.vm(1)))
	s.must(err)
	s.absent(1)
}

func foreignNameCase(s *suite) {
	name := "vm1." + s.domain()
	s.foreign(s.domain(), name, "300 MX 10 mail.other.test.")
	for range 2 {
		_, err := s.look(s.vm(1))
		s.conflict(err, name, "", "MX 10 mail.other.test.")
	}
	s.stands(name, "ANY", "300 10 mail.other.test.")
	s.stands(reverse(s.v4(1)), "PTR", "60 "+name) // the other names are not kept waiting
	_, err := s.look(gone(s.vm(1)))
	s.must(err)
	s.stands(name, "ANY", "300 10 mail.other.test.")
	s.stands(reverse(s.v4(1)), "PTR", "")
	s.foreign(s.domain(), name)
	s.must(s.blind(s.vm(1)))
	s.complete(1)
}

func foreignBesideCase(s *suite) {
	name := "vm1." + s.domain()
	s.must(s.blind(s.vm(1)))
	s.foreign(s.domain(), "sub."+name, "300 A 10.9.9.9")
	s.foreign(s.domain(), name, "300 TXT theirs", "300 A 10.9.9.9")
	_, err := s.look(s.vm(1))
	s.must(err)
	s.complete(1)
	_, err = s.look(gone(s.vm(1)))
	s.must(err)
	s.stands(name, "ANY", `300 "theirs"`)
	s.stands("sub."+name, "A", "300 10.9.9.9")
}

func foreignPTRCase(s *suite) {
	name := reverse(s.v4(1))
	s.foreign(s.zoneNames()[1], name, "300 PTR theirs.test.")
	err := s.blind(s.vm(1))
	s.conflict(err, name, "", "PTR theirs.test.")
	_, err = s.look(gone(s.vm(1)))
	s.must(err)
	s.stands(name, "ANY", "300 theirs.test.")
	s.stands("vm1."+s.domain(), "A", "")
}

func aliasCase(s *suite) {
	name := "vm1." + s.domain()
	s.must(s.blind(s.vm(1)))
	s.foreign(s.domain(), name, "300 CNAME other.test.")
	_, err := s.look(s.vm(1))
	s.conflict(err, name, "", "CNAME other.test.")
	s.stands(name, "CNAME", "300 other.test.")
	_, err = s.look(gone(s.vm(1)))
	s.must(err)
	s.stands(name, "CNAME", "300 other.test.")
	s.stands(record.MarkName(name), "TXT", "")
}

// wildcardCase: what a wildcard answers is no reason to leave a name alone.
func wildcardCase(s *suite) {
	s.foreign(s.domain(), "*."+s.domain(), "300 A 10.9.9.9", `300 TXT "v=spf1 -all"`)
	_, err := s.look(s.vm(1))
	s.must(err)
	s.complete(1)
	s.settled(s.vm(1))
	s.foreign(s.domain(), "*."+s.domain())
}

func handedOverCase(s *suite) {
	first, second := s.vm(1), s.vm(2)
	second.Addresses = first.GetAddresses()
	s.must(s.blind(first))
	late := plan.Calculate(record.Compute(gone(first), s.client.zones), plan.Standing(record.Compute(first, s.client.zones).Wanted))
	err := s.blind(second) // too early: the first still holds them
	if all := Conflicts(err); len(all) != 2 || all[0].Holder.Ref != "shop-1" {
		s.Errorf("conflicts %v of %v", all, err)
	}
	s.must(s.client.Apply(s.Context(), markOf(first), late))
	s.must(s.blind(second))
	s.must(s.client.Apply(s.Context(), markOf(first), late))
	_, err = s.look(gone(first))
	s.must(err)
	s.stands(reverse(s.v4(1)), "PTR", "60 vm2."+s.domain())
	s.stands(reverse(s.v6(1)), "PTR", "60 vm2."+s.domain())
	s.stands("vm1."+s.domain(), "ANY", "")
	s.settled(second)
}

func sameRefCase(s *suite) {
	old, next := s.vm(1), s.vm(1)
	old.Uid = "uid-0"
	s.must(s.blind(old))
	if all := Conflicts(s.blind(next)); len(all) != 3 || all[0].Holder != markOf(old) {
		s.Errorf("conflicts %v", all)
	}
	_, err := s.look(gone(old))
	s.must(err)
	s.must(s.blind(next))
	_, err = s.look(gone(old))
	s.must(err)
	s.complete(1)
}

func removedByHandCase(s *suite) {
	name := "vm1." + s.domain()
	s.must(s.blind(s.vm(1)))
	s.foreign(s.domain(), name)
	s.foreign(s.zoneNames()[1], reverse(s.v4(1)))
	s.foreign(s.zoneNames()[1], record.MarkName(reverse(s.v4(1))))
	known := plan.Standing(record.Compute(s.vm(1), s.client.zones).Wanted)
	for i := range known {
		known[i].RRsets = nil // as if all had to be replaced
	}
	s.must(s.client.Apply(s.Context(), markOf(s.vm(1)), plan.Calculate(record.Compute(s.vm(1), s.client.zones), known)))
	s.complete(1)
}

func wrongKeyCase(s *suite) {
	good := s.client
	s.client = s.newClient("d3Jvbmc=", s.zoneNames()...)
	s.kind(s.blind(s.vm(1)), BadKey)
	_, err := s.look(s.vm(1))
	s.kind(err, BadKey)
	s.client = good
	s.absent(1)
}

func zoneNotServedCase(s *suite) {
	s.client = s.newClient(keySecret, "not-served.test.")
	vm := s.vm(1)
	vm.Package.Dns.Domain = "not-served.test"
	s.kind(s.blind(vm), NotAuthoritative)
	if _, err := s.look(vm); err == nil {
		s.Error("a zone that is not served can be read")
	}
}

func manyCase(s *suite) {
	const machines, workers = 60, 12
	run := func(do func(vm *vmlinev1.VM) error) {
		s.Helper()
		next := make(chan int)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for host := range next {
					if err := do(s.vm(host)); err != nil {
						s.Errorf("vm%d: %v", host, err)
					}
				}
			})
		}
		for host := range machines {
			next <- host + 1
		}
		close(next)
		wg.Wait()
	}
	run(s.blind)
	for host := range machines {
		s.complete(host + 1)
	}
	run(func(vm *vmlinev1.VM) error {
		_, err := s.look(gone(vm))
		return err
	})
	for host := range machines {
		s.absent(host + 1)
	}
}

// racingCase: several workers create and change the same VM at once; nobody may end in a conflict that lasts.
func racingCase(s *suite) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.blind(s.vm(1)); len(Conflicts(err)) > 0 {
				s.Error(err)
			}
		})
	}
	wg.Wait()
	s.must(s.blind(s.vm(1)))
	s.complete(1)
}

// manyAddressesCase needs more than one message in a zone.
func manyAddressesCase(s *suite) {
	vm := s.vm(1)
	vm.Addresses = nil
	for host := range 2 * namesPerMessage {
		vm.Addresses = append(vm.Addresses, &vmlinev1.Address{Address: s.v6(host + 1)})
	}
	s.must(s.blind(vm))
	s.settled(vm)
	_, err := s.look(gone(vm))
	s.must(err)
	s.settled(gone(vm))
}

func serialCase(s *suite) {
	z, _ := s.client.zones.Find("x." + s.domain())
	serial := func() uint32 {
		n, err := s.client.Serial(context.Background(), z)
		s.must(err)
		return n
	}
	before := serial()
	s.must(s.blind(s.vm(1)))
	after := serial()
	s.settled(s.vm(1))
	if before == after || serial() != after {
		s.Errorf("serials %d, %d, %d", before, after, serial())
	}
}
