package record

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/vmline/vmline/services/dns/internal/zone"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	v4   = "192.0.2.5"
	v6   = "2001:db8::5"
	rev4 = "5.2.0.192.in-addr.arpa."
	rev6 = "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
)

func zones(t testing.TB, names ...string) *zone.Set {
	t.Helper()
	var list []zone.Zone
	for _, name := range names {
		list = append(list, zone.Zone{Name: name, Server: "ns.test", TTL: 300, TSIG: zone.TSIG{Name: "k", Secret: "c2VjcmV0"}})
	}
	set, err := zone.NewSet(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func vm(change func(*vmlinev1.VM)) *vmlinev1.VM {
	v := &vmlinev1.VM{
		Ref: "shop-7", Uid: "u1", Status: vmlinev1.Status_STATUS_SET_IP,
		Operation: &vmlinev1.Operation{Kind: vmlinev1.Operation_KIND_CREATE},
		Package:   &vmlinev1.Package{Name: "Web1", Dns: &vmlinev1.Dns{Domain: "Example.com.", Ptr: true, Ttl: 60}},
		Addresses: []*vmlinev1.Address{{Address: v4}, {Address: v6}},
	}
	if change != nil {
		change(v)
	}
	return v
}

// lines are the RRsets without the marks, in text form.
func lines(r Records) (records, marks []string) {
	for _, s := range r.Wanted.GetRrsets() {
		line := fmt.Sprintf("%s %d %s %s", s.GetName(), s.GetTtl(), s.GetType(), strings.Join(s.GetValues(), ","))
		if OwnedName(s.GetName()) == s.GetName() {
			records = append(records, line)
		} else {
			marks = append(marks, line)
		}
	}
	return records, marks
}

func released(addresses ...string) *vmlinev1.Result {
	r := &vmlinev1.Result{}
	for _, a := range addresses {
		r.Released = append(r.Released, &vmlinev1.Address{Address: a})
	}
	return r
}

// before gives the VM's operation another package that it found.
func before(change func(*vmlinev1.Package)) func(*vmlinev1.VM) {
	return func(v *vmlinev1.VM) {
		v.Operation.Before = &vmlinev1.Before{Package: proto.CloneOf(v.GetPackage())}
		change(v.Operation.Before.Package)
	}
}

func TestCompute(t *testing.T) {
	const forward4, forward6 = "web1.example.com. 60 A " + v4, "web1.example.com. 60 AAAA " + v6
	const ptr4, ptr6 = rev4 + " 60 PTR web1.example.com.", rev6 + " 60 PTR web1.example.com."
	all := []string{"example.com", "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"}
	owned := []string{"web1.example.com.", rev4, rev6}
	terminated := func(s vmlinev1.Status) func(*vmlinev1.VM) { return func(v *vmlinev1.VM) { v.Status = s } }
	tests := []struct {
		name     string
		zones    []string
		change   func(*vmlinev1.VM)
		records  []string
		unwanted []string
		notes    int
	}{
		{"everything", all, nil, []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"no addresses yet", all, func(v *vmlinev1.VM) { v.Addresses = nil }, nil, nil, 0},
		{"no PTR asked for", all, func(v *vmlinev1.VM) { v.Package.Dns.Ptr = false }, []string{forward4, forward6}, []string{rev4, rev6}, 0},
		{"no domain", all, func(v *vmlinev1.VM) { v.Package.Dns = nil }, nil, []string{rev4, rev6}, 0},
		{"PTR without domain", all, func(v *vmlinev1.VM) { v.Package.Dns.Domain = "" }, nil, []string{rev4, rev6}, 1},
		{"PTR under another name", all, func(v *vmlinev1.VM) { v.Package.Dns.PtrName = "Shop.Example.org." },
			[]string{forward4, forward6, rev4 + " 60 PTR shop.example.org.", rev6 + " 60 PTR shop.example.org."}, nil, 0},
		{"PTR under another name alone", all, func(v *vmlinev1.VM) { v.Package.Dns.Domain, v.Package.Dns.PtrName = "", "shop.example.org" },
			[]string{rev4 + " 60 PTR shop.example.org.", rev6 + " 60 PTR shop.example.org."}, nil, 0},
		{"another name for no PTR", all, func(v *vmlinev1.VM) { v.Package.Dns.Ptr, v.Package.Dns.PtrName = false, "shop.example.org" },
			[]string{forward4, forward6}, []string{rev4, rev6}, 0},
		{"another name that is none", all, func(v *vmlinev1.VM) { v.Package.Dns.PtrName = "my shop" }, []string{forward4, forward6}, []string{rev4, rev6}, 2},
		{"another name that is too long", all, func(v *vmlinev1.VM) { v.Package.Dns.PtrName = strings.Repeat("a.", 130) + "a" }, []string{forward4, forward6}, []string{rev4, rev6}, 2},
		{"forward zone missing", all[1:], nil, []string{ptr4, ptr6}, nil, 1},
		{"reverse zone missing", all[:2], nil, []string{forward4, forward6, ptr4}, nil, 1},
		{"no zones", nil, nil, nil, nil, 3},
		{"name is the zone itself", append([]string{"web1.example.com"}, all...), nil, []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"zone's TTL", all[:1], func(v *vmlinev1.VM) { v.Package.Dns.Ttl, v.Package.Dns.Ptr = 0, false }, []string{"web1.example.com. 300 A " + v4, "web1.example.com. 300 AAAA " + v6}, nil, 0},
		{"TTL too long", all[:1], func(v *vmlinev1.VM) { v.Package.Dns.Ttl, v.Package.Dns.Ptr = 1<<31, false }, []string{"web1.example.com. 300 A " + v4, "web1.example.com. 300 AAAA " + v6}, nil, 1},
		{"terminate operation", all, func(v *vmlinev1.VM) { v.Operation.Kind = vmlinev1.Operation_KIND_TERMINATE }, nil, owned, 0},
		{"terminate", all, terminated(vmlinev1.Status_STATUS_TERMINATE), nil, owned, 0},
		{"removed by a termination", all, func(v *vmlinev1.VM) {
			v.Status, v.Operation.Kind = vmlinev1.Status_STATUS_REMOVED, vmlinev1.Operation_KIND_TERMINATE
		}, nil, owned, 0},
		{"retry of a termination", all, func(v *vmlinev1.VM) {
			v.Operation.Kind, v.Operation.Goal = vmlinev1.Operation_KIND_RETRY, vmlinev1.Operation_KIND_TERMINATE
		}, nil, owned, 0},
		{"cancel of an order", all, func(v *vmlinev1.VM) {
			v.Operation.Kind, v.Operation.Goal = vmlinev1.Operation_KIND_CANCEL, vmlinev1.Operation_KIND_TERMINATE
		}, nil, owned, 0},
		{"removed to be built anew", all, terminated(vmlinev1.Status_STATUS_REMOVED), []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"suspended", all, terminated(vmlinev1.Status_STATUS_SUSPENDED), []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"an address that leaves", all, func(v *vmlinev1.VM) { v.Addresses[1].Leaving = true }, []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"an address that was released", all, func(v *vmlinev1.VM) { v.Operation.Result, v.Addresses = released(v6), v.Addresses[:1] }, []string{forward4, ptr4}, []string{rev6}, 0},
		{"an address that came back", all, func(v *vmlinev1.VM) { v.Operation.Result = released(v6) }, []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"the last addresses were released", all, func(v *vmlinev1.VM) { v.Operation.Result, v.Addresses = released(v4, v6), nil }, nil, owned, 0},
		{"another name than before", all, before(func(p *vmlinev1.Package) { p.Name = "old" }), []string{forward4, forward6, ptr4, ptr6}, []string{"old.example.com."}, 0},
		{"the same name as before", all, before(func(p *vmlinev1.Package) { p.Name = "WEB1" }), []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"a bad name before", all, before(func(p *vmlinev1.Package) { p.Name = "a_b" }), []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"no name before", all, before(func(p *vmlinev1.Package) { p.Dns = nil }), []string{forward4, forward6, ptr4, ptr6}, nil, 0},
		{"VMID released", all, terminated(vmlinev1.Status_STATUS_VMID_RELEASED), nil, owned, 0},
		{"terminated", all, terminated(vmlinev1.Status_STATUS_TERMINATED), nil, owned, 0},
		{"terminated, no zones", nil, terminated(vmlinev1.Status_STATUS_TERMINATED), nil, nil, 0},
		{"bad label", all, func(v *vmlinev1.VM) { v.Package.Name = "web_1" }, nil, []string{rev4, rev6}, 2},
		{"two labels in the domain, one bad", all, func(v *vmlinev1.VM) { v.Package.Dns.Domain = "-x.example.com" }, nil, []string{rev4, rev6}, 2},
		{"empty label", all, func(v *vmlinev1.VM) { v.Package.Dns.Domain = "a..example.com" }, nil, []string{rev4, rev6}, 2},
		{"label of 64", all, func(v *vmlinev1.VM) { v.Package.Name = strings.Repeat("a", 64) }, nil, []string{rev4, rev6}, 2},
		{"name too long for a mark", all, func(v *vmlinev1.VM) { v.Package.Dns.Domain = strings.Repeat("a.", 118) + "example.com" }, nil, []string{rev4, rev6}, 2},
		{"address that is none", all, func(v *vmlinev1.VM) { v.Addresses[0].Address = "192.0.2.300" }, []string{forward6, ptr6}, nil, 1},
		{"address with a zone", all, func(v *vmlinev1.VM) { v.Addresses[1].Address = "fe80::1%eth0" }, []string{forward4, ptr4}, nil, 1},
		{"address twice", all[:2], func(v *vmlinev1.VM) { v.Addresses[1].Address = "::ffff:" + v4 }, []string{forward4, ptr4}, nil, 0},
		{"two of a kind", all[:2], func(v *vmlinev1.VM) { v.Addresses[1].Address = "192.0.2.4" },
			[]string{"web1.example.com. 60 A 192.0.2.4,192.0.2.5", ptr4, "4.2.0.192.in-addr.arpa. 60 PTR web1.example.com."}, nil, 0},
		{"too many addresses", all[:1], func(v *vmlinev1.VM) {
			v.Package.Dns.Ptr, v.Addresses = false, slices.Repeat([]*vmlinev1.Address{{Address: v4}}, maxAddresses+1)
		}, []string{forward4}, nil, 1},
		{"bad ref", all, func(v *vmlinev1.VM) { v.Ref = `a" uid=x` }, nil, nil, 1},
		{"no uid", all, func(v *vmlinev1.VM) { v.Uid = "" }, nil, nil, 1},
	}
	for _, tt := range tests {
		got := Compute(vm(tt.change), zones(t, tt.zones...))
		records, _ := lines(got)
		if !slices.Equal(records, tt.records) {
			t.Errorf("%s: records\n %s\nwant\n %s", tt.name, strings.Join(records, "\n "), strings.Join(tt.records, "\n "))
		}
		if !slices.Equal(got.Unwanted, tt.unwanted) {
			t.Errorf("%s: unwanted %v, want %v", tt.name, got.Unwanted, tt.unwanted)
		}
		if len(got.Notes) != tt.notes {
			t.Errorf("%s: notes %q, want %d", tt.name, got.Notes, tt.notes)
		}
	}
}

func TestComputeMarksEveryName(t *testing.T) {
	_, marks := lines(Compute(vm(nil), zones(t, "example.com", "0.192.in-addr.arpa")))
	want := []string{`_vmline.web1.example.com. 60 TXT "vmline ref=shop-7 uid=u1"`, `_vmline.` + rev4 + ` 60 TXT "vmline ref=shop-7 uid=u1"`}
	if !slices.Equal(marks, want) {
		t.Errorf("marks %q", marks)
	}
}

func TestNames(t *testing.T) {
	v := vm(func(v *vmlinev1.VM) { v.Package.Dns.Ptr = false })
	got := Compute(v, zones(t, "example.com", "192.in-addr.arpa")).Names()
	if !slices.Equal(got, []string{rev4, "web1.example.com."}) {
		t.Errorf("names %q", got)
	}
}

func TestParseMark(t *testing.T) {
	for text, ok := range map[string]bool{
		"vmline ref=a uid=b":            true,
		"vmline ref=a-1 uid=b_2":        true,
		"vmline ref=a uid=b ":           false,
		"vmline ref=a uid=":             false,
		"vmline ref=a":                  false,
		"v=spf1 -all":                   false,
		"":                              false,
		"x vmline ref=a uid=b":          false,
		"vmline ref=a uid=b\nuid=c":     false,
		"vmline ref=" + long + " uid=b": false,
	} {
		mark, got := ParseMark(text)
		if got != ok || got && mark.Text() != text {
			t.Errorf("%q: %v %v", text, mark, got)
		}
	}
}

var long = strings.Repeat("a", 65)

// TestComputeHoldsForAnything feeds wild VMs: every record must be one that DNS can hold, under a
// configured zone, with its mark; a name is never wanted and unwanted at once; and the same VM has the
// same records when it leaves, all of them unwanted.
func TestComputeHoldsForAnything(t *testing.T) {
	set := zones(t, "example.com", "192.in-addr.arpa", "ip6.arpa")
	text := rapid.OneOf(rapid.StringMatching(`[a-z0-9.-]{0,70}`), rapid.String(), rapid.Just("example.com"), rapid.Just("web"))
	address := rapid.OneOf(rapid.StringMatching(`192\.0\.2\.[0-9]{1,3}`), rapid.StringMatching(`2001:db8::[0-9a-f]{1,4}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		v := &vmlinev1.VM{Ref: "r", Uid: "u", Package: &vmlinev1.Package{Name: text.Draw(t, "name"), Dns: &vmlinev1.Dns{
			Domain: text.Draw(t, "domain"), Ptr: rapid.Bool().Draw(t, "ptr"), Ttl: rapid.Uint32().Draw(t, "ttl"), PtrName: rapid.OneOf(rapid.Just(""), text).Draw(t, "ptr name"),
		}}}
		for _, a := range rapid.SliceOfN(address, 0, 5).Draw(t, "addresses") {
			v.Addresses = append(v.Addresses, &vmlinev1.Address{Address: a})
		}
		v.Operation = &vmlinev1.Operation{Before: &vmlinev1.Before{Package: &vmlinev1.Package{
			Name: text.Draw(t, "name before"), Dns: &vmlinev1.Dns{Domain: text.Draw(t, "domain before")},
		}}, Result: released(rapid.SliceOfN(address, 0, 3).Draw(t, "released")...)}
		got := Compute(v, set)
		var owned []string
		for _, s := range got.Wanted.GetRrsets() {
			name := s.GetName()
			if _, ok := dns.IsDomainName(name); !ok || len(name) > 254 || s.GetTtl() == 0 || s.GetTtl() > zone.MaxTTL {
				t.Fatalf("bad RRset %v", s)
			}
			if _, ok := set.Find(name); !ok {
				t.Fatalf("%s is in no zone", name)
			}
			checkValues(t, s)
			if name == OwnedName(name) {
				owned = append(owned, name)
			} else if !slices.Contains(owned, OwnedName(name)) {
				t.Fatalf("mark without records: %v", s)
			}
			if slices.Contains(got.Unwanted, OwnedName(name)) {
				t.Fatalf("%s is wanted and unwanted", name)
			}
		}
		leaving := proto.CloneOf(v)
		leaving.Status = vmlinev1.Status_STATUS_TERMINATED
		gone := Compute(leaving, set)
		for _, name := range owned {
			if !slices.Contains(gone.Unwanted, name) {
				t.Fatalf("%s would be left behind", name)
			}
		}
		if len(gone.Wanted.GetRrsets()) > 0 || len(gone.Notes) > 0 {
			t.Fatalf("a VM that is gone wants %v", gone)
		}
	})
}

func checkValues(t *rapid.T, s *vmlinev1.RRset) {
	if !slices.IsSorted(s.GetValues()) || len(slices.Compact(slices.Clone(s.GetValues()))) != len(s.GetValues()) {
		t.Fatalf("values repeated or out of order: %v", s)
	}
	for _, value := range s.GetValues() {
		switch s.GetType() {
		case "A", "AAAA":
			if a, err := netip.ParseAddr(value); err != nil || a.Is4() != (s.GetType() == "A") {
				t.Fatalf("bad address: %v", s)
			}
		case "PTR":
			if _, ok := dns.IsDomainName(value); !ok {
				t.Fatalf("bad name: %v", s)
			}
		}
	}
}
