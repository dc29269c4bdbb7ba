package operator

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/chain"
)

// wishes are what was given to a command by flags.
type wishes struct {
	node, status, reason, template, file string
	vmid                                 uint32
	newPassword                          bool
	timeout                              time.Duration
}

// param is how a parameter of the table of commands is given.
type param struct {
	flag, usage string
	add         func(c *cobra.Command, w *wishes, flag, usage string)
}

// params has a row for each parameter of the table of commands.
var params = map[chain.Param]param{
	chain.ParamNode: {"node", "node of the machine's cluster", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().StringVar(&w.node, flag, "", usage)
	}},
	chain.ParamStatus: {"status", "local status, for example set_network", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().StringVar(&w.status, flag, "", usage)
		complete(c, flag, chain.StatusNames())
	}},
	chain.ParamReason: {"reason", "why, for the log", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().StringVar(&w.reason, flag, "", usage)
	}},
	chain.ParamTemplate: {"template", "name or VMID of the template to use from now on; default the package's", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().StringVar(&w.template, flag, "", usage)
	}},
	chain.ParamVMID: {"vmid", "VMID of the machine that exists", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().Uint32Var(&w.vmid, flag, 0, usage)
	}},
	chain.ParamPassword: {"new-password", "give a new password: asked for on a terminal, else the first line of the standard input", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().BoolVar(&w.newPassword, flag, false, usage)
	}},
	chain.ParamTimeout: {"timeout", "how long the guest may take to shut down before its power is taken away, for example 90s", func(c *cobra.Command, w *wishes, flag, usage string) {
		c.Flags().DurationVar(&w.timeout, flag, 0, usage)
	}},
}

// flagOf is the flag by which a parameter is given.
func flagOf(p chain.Param) string { return "--" + params[p].flag }

// addParams adds the flags of a command. A password that the command needs is asked for without one.
func addParams(c *cobra.Command, r chain.Route, w *wishes) {
	for _, p := range r.Needs {
		if p == chain.ParamPassword {
			w.newPassword = true
			continue
		}
		params[p].add(c, w, params[p].flag, params[p].usage+" (needed)")
		must(c.MarkFlagRequired(params[p].flag))
	}
	for _, p := range r.Takes {
		params[p].add(c, w, params[p].flag, params[p].usage)
	}
	if r.Package {
		c.Flags().StringVarP(&w.file, "file", "f", "", "package in YAML or JSON, - for the standard input (needed)")
		must(c.MarkFlagRequired("file"))
	}
}

func complete(c *cobra.Command, flag string, values []string) {
	must(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// must is for flags that are added a line above.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
