package operator

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
)

// filter keeps the machines that a list is asked for.
type filter struct {
	values map[string]*string
	parked bool
}

// filters has a row for each value by which machines are found.
var filters = []struct {
	flag, usage string
	keeps       func(s api.Service, value string) bool
}{
	{"status", "local status, for example ready", func(s api.Service, v string) bool { return s.Status == strings.ReplaceAll(v, "-", "_") }},
	{"cluster", "name of a cluster", func(s api.Service, v string) bool { return s.Cluster == v }},
	{"node", "name of a node", func(s api.Service, v string) bool { return s.Node == v }},
	{"customer", "the customer's id, as the package has it", func(s api.Service, v string) bool { return s.Package != nil && s.Package.Customer == v }},
	{"address", "an address of the machine", hasAddress},
	{"text", "part of the ref, the name, the domain, an address or the MAC", contains},
}

func (f *filter) addFlags(flags *pflag.FlagSet) {
	f.values = map[string]*string{}
	for _, row := range filters {
		f.values[row.flag] = flags.String(row.flag, "", row.usage)
	}
	flags.BoolVar(&f.parked, "parked", false, "only those that wait for a person")
}

// keeps says whether a machine is what all given values say.
func (f *filter) keeps(s api.Service) bool {
	if f.parked && s.Operation.Status != api.StatusParked {
		return false
	}
	for _, row := range filters {
		if v := *f.values[row.flag]; v != "" && !row.keeps(s, v) {
			return false
		}
	}
	return true
}

func hasAddress(s api.Service, v string) bool {
	return s.Status != "terminated" && slices.ContainsFunc(s.Addresses, func(a api.Address) bool { return a.Address == v })
}

func contains(s api.Service, v string) bool {
	texts := []string{s.Ref, s.MAC, addresses(s)}
	if s.Package != nil {
		texts = append(texts, s.Package.Name, s.Package.DNS.Domain)
	}
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(v)) })
}
