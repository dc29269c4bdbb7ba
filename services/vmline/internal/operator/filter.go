package operator

import (
	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
)

// addFilter adds the flags by which machines are found.
func addFilter(flags *pflag.FlagSet, f *api.ServiceFilter) {
	for _, row := range []struct {
		value       *string
		flag, usage string
	}{
		{&f.Status, "status", "local status, for example ready"},
		{&f.Cluster, "cluster", "name of a cluster"},
		{&f.Node, "node", "name of a node"},
		{&f.Customer, "customer", "the customer's id, as the package has it"},
		{&f.Name, "name", "the machine's name"},
		{&f.Address, "address", "an address of the machine"},
		{&f.Query, "text", "the beginning of a ref, a name, an address, a MAC or a VMID"},
	} {
		flags.StringVar(row.value, row.flag, "", row.usage)
	}
	flags.BoolVar(&f.Parked, "parked", false, "only those that wait for a person")
	flags.BoolVar(&f.Drift, "drift", false, "only those that are not what they should be")
}
