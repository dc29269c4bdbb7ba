package plan

import (
	"testing"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestAGuestIsStartedAnewBeforeItsAddressIsGivenAway: an address that cloud-init told the guest of is used
// until the next boot; one that it did not tell of can be taken away while the machine runs.
func TestAGuestIsStartedAnewBeforeItsAddressIsGivenAway(t *testing.T) {
	const told = "ip=192.0.2.1/24,gw=192.0.2.254,ip6=2001:db8::1/64"
	standing := []*vmlinev1.Address{{Address: "192.0.2.1"}, {Address: "192.0.2.2"}, {Address: "2001:db8::1"}}
	network := func(v4, v6 uint32, chosen ...string) *vmlinev1.Network {
		return &vmlinev1.Network{Bridge: "vmbr0", Ipv4Count: v4, Ipv6Count: v6, Addresses: chosen}
	}
	vlan := network(2, 1)
	vlan.Vlan = 7
	leaving := []*vmlinev1.Address{{Address: "198.51.100.1"}, {Address: "192.0.2.1", Leaving: true}}
	back := []*vmlinev1.Address{{Address: "198.51.100.1", Leaving: true}, {Address: "192.0.2.1"}}
	for _, tt := range []struct {
		name      string
		addresses []*vmlinev1.Address
		want      *vmlinev1.Network
		told      string
		undo      bool
		stop      bool
	}{
		{name: "nothing", want: network(2, 1), told: told},
		{name: "one more", want: network(3, 1), told: told},
		{name: "the second goes", want: network(1, 1), told: told},
		{name: "all IPv4 go", want: network(0, 1), told: told, stop: true},
		{name: "all IPv6 go", want: network(2, 0), told: told, stop: true},
		{name: "the second is chosen and stays alone", want: network(1, 1, "192.0.2.2"), told: told, stop: true},
		{name: "a new chosen one replaces the second", want: network(2, 1, "192.0.2.9"), told: told},
		{name: "new chosen ones replace both", want: network(2, 1, "192.0.2.9", "192.0.2.8"), told: told, stop: true},
		{name: "chosen in another form", want: network(2, 1, "2001:DB8:0::1"), told: told},
		{name: "another network", want: vlan, told: told, stop: true},
		{name: "the guest was told of none", want: network(0, 0), told: "ip=dhcp"},
		{name: "taken back before it was told", addresses: leaving, want: network(1, 0), told: "ip=192.0.2.1/24", undo: true},
		{name: "taken back after it was told", addresses: leaving, want: network(1, 0), told: "ip=198.51.100.1/24", undo: true, stop: true},
		{name: "taken back twice", addresses: back, want: network(1, 0), told: "ip=192.0.2.1/24", undo: true},
		{name: "carried on", addresses: leaving, want: network(1, 0), told: "ip=198.51.100.1/24"},
	} {
		if tt.addresses == nil {
			tt.addresses = standing
		}
		vm := &vmlinev1.VM{Package: &vmlinev1.Package{Network: tt.want}, Addresses: tt.addresses}
		vm.Operation = &vmlinev1.Operation{Before: &vmlinev1.Before{Addresses: []string{"192.0.2.1", "192.0.2.2"}}}
		before := &vmlinev1.Package{Network: network(2, 1)}
		leaves := leavesTold(tt.told, vm, before, tt.undo)
		if leaves != tt.stop {
			t.Errorf("%s: an address that the guest was told of leaves: %t, want %t", tt.name, leaves, tt.stop)
		}
		var running, stopped Decision
		running.power(Machine{Config: pve.VMConfig{}, Running: true}, Plan{}, leaves)
		stopped.power(Machine{Config: pve.VMConfig{}}, Plan{}, leaves)
		if (len(running.Needed) == 2) != tt.stop || len(stopped.Needed) != 0 {
			t.Errorf("%s: running it needs %v, stopped %v", tt.name, running.Needed, stopped.Needed)
		}
	}
}
