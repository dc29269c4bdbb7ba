package pve

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParseNIC(t *testing.T) {
	for _, test := range []struct{ in, model, mac, out string }{
		{"virtio=BC:24:11:0B:C0:8A,bridge=vmbr0,tag=5,rate=12.5,firewall=1", "virtio", "BC:24:11:0B:C0:8A", ""},
		{"e1000-82540em=BC:24:11:0B:C0:8A,bridge=vmbr0,future=1", "e1000-82540em", "BC:24:11:0B:C0:8A", ""},
		{"virtio,bridge=vmbr0", "virtio", "", ""},
		{"bridge=vmbr0,virtio=BC:24:11:0B:C0:8A", "virtio", "BC:24:11:0B:C0:8A", "virtio=BC:24:11:0B:C0:8A,bridge=vmbr0"},
		{"macaddr=BC:24:11:0B:C0:8A,model=virtio,bridge=vmbr0", "virtio", "BC:24:11:0B:C0:8A", "virtio=BC:24:11:0B:C0:8A,bridge=vmbr0"},
	} {
		n, err := ParseNIC(test.in)
		if err != nil || n.Model != test.model || n.MAC != test.mac || n.Bridge() != "vmbr0" {
			t.Errorf("%s: %+v, %v", test.in, n, err)
		}
		if want := test.out; want == "" && n.String() != test.in || want != "" && n.String() != want {
			t.Errorf("%s came back as %s", test.in, n)
		}
	}
	for _, bad := range []string{"", "bridge=vmbr0", "virtio=A,e1000=B", "virtio,model=e1000", "virtio=A,macaddr=B", "virtio,e1000", "macaddr=A"} {
		if n, err := ParseNIC(bad); err == nil {
			t.Errorf("%q is %+v", bad, n)
		}
	}
}

// TestNICKeepsItsMAC: without it Proxmox would give the card a new one.
func TestNICKeepsItsMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := NIC{Model: rapid.SampledFrom([]string{"virtio", "e1000", "vmxnet3"}).Draw(t, "model"),
			MAC:     rapid.StringMatching(`(BC:24:11(:[0-9A-F]{2}){3})?`).Draw(t, "mac"),
			Options: genOptions(t)}
		got, err := ParseNIC(n.String())
		if err != nil || got.Model != n.Model || got.MAC != n.MAC || !got.Options.Equal(n.Options) || got.String() != n.String() {
			t.Fatalf("%s came back as %s, %v", n, got, err)
		}
	})
}

func FuzzParseNIC(f *testing.F) {
	for _, s := range []string{"virtio=BC:24:11:0B:C0:8A,bridge=vmbr0,tag=5", "model=virtio,macaddr=x", "virtio", "x,virtio=,", "model=a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNIC(s)
		if err != nil {
			return
		}
		again, err := ParseNIC(n.String())
		if err != nil || again.Model != n.Model || again.MAC != n.MAC || !again.Options.Equal(n.Options) {
			t.Fatalf("%q: %q, then %+v, %v", s, n, again, err)
		}
	})
}
