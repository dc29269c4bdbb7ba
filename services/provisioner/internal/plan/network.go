package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// defaultModel is the card of a package that names none.
const defaultModel = "virtio"

// network sets bridge, VLAN, rate and firewall of net0 and keeps its MAC: without the MAC Proxmox
// would give the card a new one. mac, where it is not empty, is what the card has to have: that of
// the machine which this one replaces.
func (d *draft) network(pkg *vmlinev1.Package, mac string) error {
	net := pkg.GetNetwork()
	if net.GetBridge() == "" && (mac == "" || !d.cfg.Has("net0")) {
		return nil
	}
	nic := pve.NIC{Model: defaultModel}
	if d.cfg.Has("net0") {
		var err error
		if nic, err = d.cfg.Net("net0"); err != nil {
			return fmt.Errorf("read the network card: %w", err)
		}
	}
	before := nic.String()
	nic.MAC = cmp.Or(mac, nic.MAC)
	if net.GetBridge() != "" {
		nic.Model = cmp.Or(net.GetModel(), defaultModel)
		nic.Options = slices.Clone(nic.Options)
		nic.Options.Set("bridge", net.GetBridge())
		setOrDrop(&nic.Options, "tag", uintText(net.GetVlan()))
		setOrDrop(&nic.Options, "rate", rateText(net.GetRateMbps()))
		setOrDrop(&nic.Options, "firewall", map[bool]string{true: "1"}[pkg.GetFirewall().GetEnabled()])
	}
	if !d.cfg.Has("net0") || nic.String() != before {
		d.set["net0"] = nic.String()
	}
	return nil
}

// setOrDrop leaves an option out where there is no limit: 0 means none in a package, but not
// everywhere on Proxmox.
func setOrDrop(o *pve.Options, key, value string) {
	if value == "" {
		o.Delete(key)
		return
	}
	o.Set(key, value)
}

func uintText(v uint32) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(v), 10)
}

func rateText(v float64) string {
	if v <= 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
