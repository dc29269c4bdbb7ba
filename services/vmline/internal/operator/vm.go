package operator

import (
	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/chain"
)

const aboutVM = `Look at machines and do something with them, by their ref: the key that the billing system gave, never
the Proxmox VMID.

The commands ask the gateway at --url and show the token in --token-file.`

// The groups of commands in the help.
var groups = []*cobra.Group{
	{ID: "look", Title: "Look:"},
	{ID: "command", Title: "Do:"},
	{ID: "operator", Title: "Mend (for operators):"},
}

func groupOf(r chain.Route) string {
	if r.Operator {
		return "operator"
	}
	return "command"
}

// newVM has a command for each row of the table of commands.
func newVM() *cobra.Command {
	below := []func(*remote) *cobra.Command{looks(newVMList), looks(newVMGet), looks(newVMWatch), looks(newVMHistory)}
	for _, route := range chain.Routes() {
		below = append(below, newVerb(route))
	}
	c := group("vm", "Look at machines, and do something with them", aboutVM, below...)
	c.AddGroup(groups...)
	return c
}

func looks(command func(*remote) *cobra.Command) func(*remote) *cobra.Command {
	return func(r *remote) *cobra.Command {
		c := command(r)
		c.GroupID = "look"
		return c
	}
}
