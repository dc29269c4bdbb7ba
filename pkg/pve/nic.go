package pve

import (
	"errors"
	"fmt"
)

// NIC is the value of a net key: virtio=BC:24:11:0B:C0:8A,bridge=vmbr0,tag=5,rate=12.5,firewall=1.
type NIC struct {
	Model string // virtio, e1000, ...
	// MAC is empty where the string has none. Written back without it, Proxmox gives the card a new one.
	MAC     string
	Options Options // bridge, tag, rate (MB/s), firewall, ...
}

// nicModels are the models that Proxmox knows (PVE::QemuServer::Network), some of them by two names.
var nicModels = map[string]bool{"e1000": true, "e1000-82540em": true, "e1000-82544gc": true, "e1000-82545em": true,
	"e1000e": true, "i82551": true, "i82557b": true, "i82559er": true, "ne2k_isa": true, "ne2k_pci": true, "pcnet": true,
	"rtl8139": true, "virtio": true, "vmxnet3": true}

// ParseNIC takes the value of a net key apart, in each of the forms that Proxmox takes: virtio=MAC, virtio, and
// model=virtio,macaddr=MAC. Printed again it says the same, unknown options included.
func ParseNIC(s string) (NIC, error) {
	model, opts, err := splitOptions(s)
	if err != nil {
		return NIC{}, fmt.Errorf("network card: %w", err)
	}
	n := NIC{Model: model, Options: opts}
	for _, o := range opts {
		model, mac := o.Key, o.Value
		switch {
		case o.Key == "model":
			model, mac = o.Value, ""
		case o.Key == "macaddr":
			model = ""
		case !nicModels[o.Key]:
			continue
		}
		if (model != "" && n.Model != "") || (mac != "" && n.MAC != "") {
			return NIC{}, errors.New("network card: two models or two MAC addresses")
		}
		n.Model, n.MAC = n.Model+model, n.MAC+mac
	}
	if !nicModels[n.Model] {
		return NIC{}, fmt.Errorf("network card: %.40q is no model that is known", n.Model)
	}
	n.Options.Delete("model")
	n.Options.Delete("macaddr")
	n.Options.Delete(n.Model)
	return n, nil
}

// String prints the card as Proxmox takes and prints it.
func (n NIC) String() string {
	first := n.Model
	if n.MAC != "" {
		first += "=" + n.MAC
	}
	return n.Options.join(first)
}

// Bridge is the bridge that the card is on.
func (n NIC) Bridge() string {
	b, _ := n.Options.Get("bridge")
	return b
}
