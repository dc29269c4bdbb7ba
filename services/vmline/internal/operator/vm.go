package operator

import (
	"github.com/spf13/cobra"
)

const aboutVM = `Look at machines and do something with them, by their ref: the key that the billing system gave, never
the Proxmox VMID.

The commands ask the gateway at --url and show the token in --token-file.`

// The groups of commands in the help.
var groups = []*cobra.Group{
	{ID: "look", Title: "Look:"},
}

// newVM is the commands about machines.
func newVM() *cobra.Command {
	below := []func(*remote) *cobra.Command{looks(newVMList), looks(newVMGet), looks(newVMWatch)}
	c := group("vm", "Look at machines, and do something with them", aboutVM, below...)
	c.AddGroup(groups...)
	return c
}

func looks(make func(*remote) *cobra.Command) func(*remote) *cobra.Command {
	return func(r *remote) *cobra.Command {
		c := make(r)
		c.GroupID = "look"
		return c
	}
}
