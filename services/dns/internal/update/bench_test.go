package update

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/zone"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// BenchmarkMachine compares the records of one machine (A and PTR with their marks, two zones) with the
// least that any client can do: one signed update of one record on an open connection.
func BenchmarkMachine(b *testing.B) {
	zones := []string{"bench.test.", "10.in-addr.arpa."}
	for name, start := range servers {
		b.Run(name, func(b *testing.B) {
			addr := start(b, zones)
			b.Run("bare", func(b *testing.B) { benchBare(b, addr) })
			b.Run("machine", func(b *testing.B) { benchMachine(b, addr, zones) })
		})
	}
}

var serialNumber int

func benchBare(b *testing.B, addr string) {
	conn, err := dns.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	for b.Loop() {
		serialNumber++
		m := new(dns.Msg).SetUpdate("bench.test.")
		rrs, _ := records(&vmlinev1.RRset{Name: fmt.Sprintf("b%d.bench.test.", serialNumber), Type: "A", Ttl: 60, Values: []string{"10.0.0.1"}})
		m.Insert(rrs)
		m.SetTsig(keyName, dns.HmacSHA256, 300, time.Now().Unix())
		co := &dns.Conn{Conn: conn.Conn, TsigSecret: map[string]string{keyName: keySecret}}
		if err := co.WriteMsg(m); err != nil {
			b.Fatal(err)
		}
		if r, err := co.ReadMsg(); err != nil || r.Rcode != dns.RcodeSuccess {
			b.Fatal(r, err)
		}
	}
}

func benchMachine(b *testing.B, addr string, names []string) {
	var list []zone.Zone
	for _, name := range names {
		list = append(list, zone.Zone{Name: name, Server: addr, TSIG: zone.TSIG{Name: keyName, Secret: keySecret}})
	}
	set, err := zone.NewSet(list)
	if err != nil {
		b.Fatal(err)
	}
	c := New(set, Options{})
	defer c.Close()
	for b.Loop() {
		serialNumber++
		n := serialNumber
		vm := &vmlinev1.VM{
			Ref: "shop-1", Uid: fmt.Sprint("u", n), Package: &vmlinev1.Package{Name: fmt.Sprint("m", n), Dns: &vmlinev1.Dns{Domain: "bench.test", Ptr: true}},
			Addresses: []*vmlinev1.Address{{Address: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)}},
		}
		if err := c.Apply(b.Context(), markOf(vm), plan.Calculate(record.Compute(vm, set), nil)); err != nil {
			b.Fatal(err)
		}
	}
}
