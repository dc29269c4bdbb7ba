package ipam

import (
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestCheckPoolNamesTheMistake(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*vmlinev1.Pool)
		want   string
	}{
		{"good", func(*vmlinev1.Pool) {}, ""},
		{"good IPv6 with a link-local gateway", func(p *vmlinev1.Pool) { p.Prefix, p.Gateway = "2001:db8::/64", "fe80::1" }, ""},
		{"good without a gateway", func(p *vmlinev1.Pool) { p.Gateway = "" }, ""},
		{"good /31", func(p *vmlinev1.Pool) { p.Prefix, p.Gateway = "203.0.113.0/31", "203.0.113.0" }, ""},
		{"name", func(p *vmlinev1.Pool) { p.Name = "a.b" }, "its name must be"},
		{"no cluster", func(p *vmlinev1.Pool) { p.Cluster = "" }, "names no cluster"},
		{"no bridge", func(p *vmlinev1.Pool) { p.Bridge = "" }, "names no bridge"},
		{"vlan", func(p *vmlinev1.Pool) { p.Vlan = 4095 }, "vlan 4095 is not"},
		{"no prefix", func(p *vmlinev1.Pool) { p.Prefix = "" }, "not a network in CIDR form"},
		{"host bits", func(p *vmlinev1.Pool) { p.Prefix = "203.0.113.7/24" }, "did you mean 203.0.113.0/24?"},
		{"mapped prefix", func(p *vmlinev1.Pool) { p.Prefix = "::ffff:203.0.113.0/120" }, "IPv4 written as IPv6"},
		{"gateway outside", func(p *vmlinev1.Pool) { p.Gateway = "203.0.114.1" }, "gateway 203.0.114.1 is outside of prefix 203.0.113.0/24"},
		{"gateway of the other family", func(p *vmlinev1.Pool) { p.Gateway = "fe80::1" }, "outside of prefix"},
		{"gateway no address", func(p *vmlinev1.Pool) { p.Gateway = "gw" }, `gateway "gw" is not`},
		{"first outside", func(p *vmlinev1.Pool) { p.First = "10.0.0.1" }, "first 10.0.0.1 is outside"},
		{"last outside", func(p *vmlinev1.Pool) { p.Last = "203.0.114.1" }, "last 203.0.114.1 is outside"},
		{"first after last", func(p *vmlinev1.Pool) { p.First, p.Last = "203.0.113.9", "203.0.113.8" }, "first 203.0.113.9 comes after last 203.0.113.8"},
		{"exclude nonsense", func(p *vmlinev1.Pool) { p.Exclude = []string{"203.0.113.3", "x"} }, `exclude 2: "x" is neither`},
		{"exclude outside", func(p *vmlinev1.Pool) { p.Exclude = []string{"10.0.0.0/24"} }, "exclude 1: 10.0.0.0/24 is outside"},
		{"exclude host bits", func(p *vmlinev1.Pool) { p.Exclude = []string{"203.0.113.1/25"} }, "did you mean 203.0.113.0/25?"},
		{"nothing left", func(p *vmlinev1.Pool) { p.Exclude = []string{"203.0.113.0/24"} }, "no address is left"},
		{"DNS server", func(p *vmlinev1.Pool) { p.DnsServers = []string{"ns1"} }, `DNS server "ns1"`},
		{"zone", func(p *vmlinev1.Pool) { p.Prefix, p.Gateway = "fe80::/64", "fe80::1%eth0" }, "is not an IPv4 or IPv6 address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := v4Pool("v4", "203.0.113.0/24")
			p.Gateway = "203.0.113.1"
			tt.change(p)
			err := CheckPool(p)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCheckPoolsRefusesWhatTwoPoolsWouldGive(t *testing.T) {
	a, b := v4Pool("a", "203.0.113.0/24"), v4Pool("b", "203.0.113.0/24")
	if err := CheckPools([]*vmlinev1.Pool{a, b}); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("overlap: %v", err)
	}
	a.Last, b.First = "203.0.113.99", "203.0.113.100"
	if err := CheckPools([]*vmlinev1.Pool{a, b}); err != nil {
		t.Errorf("halves of a network: %v", err)
	}
	other := proto.CloneOf(a)
	other.Name, other.Cluster = "other", "c2"
	if err := CheckPools([]*vmlinev1.Pool{a, b, other}); err != nil {
		t.Errorf("the same private network in two clusters: %v", err)
	}
	other.Name = "a"
	if err := CheckPools([]*vmlinev1.Pool{a, b, other}); err == nil || !strings.Contains(err.Error(), "two pools have this name") {
		t.Errorf("name: %v", err)
	}
}

func TestWhatIsNeverGiven(t *testing.T) {
	p := v4Pool("v4", "203.0.113.0/29")
	p.Gateway, p.Exclude = "203.0.113.1", []string{"203.0.113.4/31", "203.0.113.3"}
	parsed, err := parsePool(p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for n := range parsed.size {
		got = append(got, parsed.address(n).String())
	}
	if want := "203.0.113.2 203.0.113.6"; strings.Join(got, " ") != want {
		t.Errorf("gives %v, want %s", got, want)
	}
}

func TestHugePrefixIsCut(t *testing.T) {
	p := v4Pool("v6", "2001:db8::/32")
	p.Exclude = []string{"2001:db8::/33"}
	parsed, err := parsePool(p)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.size != maxNumbers || parsed.address(0).String() != "2001:db8:8000::" {
		t.Errorf("size %d, first %s", parsed.size, parsed.address(0))
	}
	last := parsed.address(maxNumbers - 1)
	if n, ok := parsed.number(last); !ok || n != maxNumbers-1 {
		t.Errorf("number of %s is %d, %t", last, n, ok)
	}
	if _, ok := parsed.number(last.Next()); ok {
		t.Error("an address beyond the numbers has one")
	}
	whole, err := parsePool(v4Pool("all", "::/0"))
	if err != nil || whole.size != maxNumbers {
		t.Errorf("::/0: size %d, %v", whole.size, err)
	}
}

// TestNumbering checks the numbering against the plain definition: the addresses from first to
// last that nothing excludes, counted.
func TestNumbering(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := netip.MustParseAddr(rapid.SampledFrom([]string{"198.51.100.0", "255.255.255.0", "2001:db8::ff00", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"}).Draw(t, "base"))
		bits := base.BitLen() - rapid.IntRange(2, 8).Draw(t, "host bits")
		prefix := netip.PrefixFrom(base, bits)
		whole := prefixSpan(prefix)
		pick := func(name string) netip.Addr {
			return plus(whole.first, rapid.Uint64Range(0, whole.size()-1).Draw(t, name))
		}
		conf := &vmlinev1.Pool{Name: "p", Cluster: "c", Bridge: "b", Prefix: prefix.String(), Gateway: pick("gateway").String()}
		first, last := pick("first"), pick("last")
		if last.Less(first) {
			first, last = last, first
		}
		conf.First, conf.Last = first.String(), last.String()
		var holes []netip.Prefix
		for range rapid.IntRange(0, 4).Draw(t, "holes") {
			hole := netip.PrefixFrom(pick("hole"), rapid.IntRange(bits, base.BitLen()).Draw(t, "hole bits")).Masked()
			holes = append(holes, hole)
			conf.Exclude = append(conf.Exclude, hole.String())
		}
		var want []netip.Addr
		for a := first; a.IsValid() && !last.Less(a); a = a.Next() {
			never := a == whole.first || a.String() == conf.Gateway || a.Is4() && a == whole.last
			for _, hole := range holes {
				never = never || hole.Contains(a)
			}
			if !never {
				want = append(want, a)
			}
		}
		p, err := parsePool(conf)
		if err != nil {
			if len(want) != 0 {
				t.Fatalf("refused with %d addresses to give: %v", len(want), err)
			}
			return
		}
		if p.size != uint64(len(want)) {
			t.Fatalf("gives %d addresses, want %d", p.size, len(want))
		}
		for n, a := range want {
			back, ok := p.number(a)
			if p.address(uint64(n)) != a || !ok || back != uint64(n) {
				t.Fatalf("number %d is %s, want %s, which has number %d (%t)", n, p.address(uint64(n)), a, back, ok)
			}
		}
		given := 0
		for a := whole.first; a.IsValid() && !whole.last.Less(a); a = a.Next() {
			if _, ok := p.number(a); ok {
				given++
			}
		}
		if given != len(want) {
			t.Fatalf("%d addresses have a number, want %d", given, len(want))
		}
	})
}

func TestKeysGoBothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
		if rapid.Bool().Draw(t, "IPv4") {
			raw = raw[:4]
		}
		addr, _ := netip.AddrFromSlice(raw)
		if addr.Is4In6() {
			return
		}
		name := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "pool")
		pool, back, err := parseKey(key(name, addr))
		if err != nil || pool != name || back != addr {
			t.Fatalf("%s %s became %s %s (%v)", name, addr, pool, back, err)
		}
	})
	for _, k := range []string{"", "v4", "v4.", "v4.203.0.113", "v4.203.0.113.01", "v6.2001-DB8--1"} {
		if _, _, err := parseKey(k); err == nil {
			t.Errorf("%q is taken for a key", k)
		}
	}
}
