package model

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Filter says which VMs are wanted. Empty fields want any.
type Filter struct {
	Status, Cluster, Node, Customer, Name, Address string
	// OperationStatus and OperationType are those of the VM's last operation.
	OperationStatus, OperationType string
	// Drifted wants VMs that are not what their state says.
	Drifted bool
	// Query is the beginning of a ref, a name with or without its domain, a MAC or a VMID, or of an address.
	Query string
}

// The names of what VMs are found by.
const (
	byStatus          = "status"
	byCluster         = "cluster"
	byNode            = "node"
	byCustomer        = "customer"
	byName            = "name"
	byAddress         = "address"
	byOperationStatus = "operation_status"
	byOperationType   = "operation_type"
	byDrift           = "drift"
)

// wants are the marks that a VM must have.
func (f Filter) wants() []string {
	var m marks
	m.add(byStatus, f.Status)
	m.add(byCluster, f.Cluster)
	m.add(byNode, f.Node)
	m.add(byCustomer, f.Customer)
	m.add(byName, f.Name)
	m.add(byAddress, canonical(f.Address))
	m.add(byOperationStatus, f.OperationStatus)
	m.add(byOperationType, f.OperationType)
	if f.Drifted {
		m.add(byDrift, "any")
	}
	return m
}

// Matches says whether a VM is wanted.
func (f Filter) Matches(vm *vmlinev1.VM) bool {
	has := marksOf(vm)
	for _, mark := range f.wants() {
		if !slices.Contains(has, mark) {
			return false
		}
	}
	begins := func(word string) bool { return strings.HasPrefix(word, f.prefix()) }
	return f.Query == "" || slices.ContainsFunc(wordsOf(vm), begins)
}

func (f Filter) prefix() string { return strings.ToLower(strings.TrimSpace(f.Query)) }

// marks are names with their values.
type marks []string

func (m *marks) add(name, value string) {
	if value != "" {
		*m = append(*m, name+":"+value)
	}
}

// marksOf is what a VM is found by as a whole.
func marksOf(vm *vmlinev1.VM) []string {
	var m marks
	op := vm.GetOperation()
	m.add(byStatus, chain.Name(vm.GetStatus()))
	m.add(byCluster, vm.GetCluster())
	m.add(byNode, vm.GetNode())
	m.add(byCustomer, vm.GetPackage().GetCustomer())
	m.add(byName, vm.GetPackage().GetName())
	m.add(byOperationStatus, chain.StateName(op.GetState()))
	m.add(byOperationType, chain.KindName(op.GetKind()))
	for _, a := range vm.GetAddresses() {
		m.add(byAddress, canonical(a.GetAddress()))
	}
	if len(vm.GetDrift()) > 0 {
		m.add(byDrift, "any")
	}
	return m
}

// wordsOf is what a VM is found by the beginning of.
func wordsOf(vm *vmlinev1.VM) []string {
	name := strings.ToLower(vm.GetPackage().GetName())
	words := []string{strings.ToLower(vm.GetRef()), name, strings.ToLower(vm.GetMac())}
	if domain := strings.ToLower(vm.GetPackage().GetDns().GetDomain()); domain != "" {
		words = append(words, name+"."+strings.TrimSuffix(domain, "."))
	}
	if vm.GetVmid() != 0 {
		words = append(words, strconv.FormatUint(uint64(vm.GetVmid()), 10))
	}
	for _, a := range vm.GetAddresses() {
		words = append(words, canonical(a.GetAddress()))
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

// canonical is an address in its one form; what is none stays.
func canonical(address string) string {
	if a, err := netip.ParseAddr(address); err == nil {
		return a.String()
	}
	return address
}
