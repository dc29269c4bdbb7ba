package pvesim

const (
	newRule    = "+fwrule action!:fw-name<2..20 pos:int(0..) type!:enum(in,out,forward,group)"
	changeRule = "+fwrule action:fw-name<2..20 delete:configid-list moveto:int(0..) type:enum(in,out,forward,group)"
	dcAudit    = "/ Sys.Audit"
	dcModify   = "/ Sys.Modify"
)

// firewallRoutes are what differs between the firewalls of the cluster, its nodes and its VMs.
var firewallRoutes = []routeRow{
	{"GET", fwPath, "", "", (*call).firewallIndex},
	{"GET", fwPath + "/options", audit, "", (*call).firewallOptions},
	{"PUT", fwPath + "/options", netCfg, "+fwoptions delete:configid-list digest:string<64", (*call).setFirewallOptions},
	{"GET", "/cluster/firewall/options", dcAudit, "", (*call).firewallOptions},
	{"PUT", "/cluster/firewall/options", dcModify, "delete:configid-list digest:string<64 ebtables:bool enable:int(0..) log_ratelimit:string policy_forward:enum(ACCEPT,DROP) policy_in:enum(ACCEPT,REJECT,DROP) policy_out:enum(ACCEPT,REJECT,DROP)", (*call).setFirewallOptions},
	{"GET", "/cluster/firewall/macros", "", "", (*call).macroList},
	{"GET", "/cluster/firewall/groups", "", "", (*call).groupRulesList},
	{"POST", "/cluster/firewall/groups", dcModify, "comment:string digest:string<64 group!:fw-name<2..18 rename:fw-name<2..18", (*call).groupRulesCreate},
	{"GET", "/cluster/firewall/groups/{group}", dcAudit, "", inGroup((*call).ruleList)},
	{"POST", "/cluster/firewall/groups/{group}", dcModify, newRule, inGroup((*call).ruleCreate)},
	{"DELETE", "/cluster/firewall/groups/{group}", dcModify, "", inGroup((*call).groupRulesDelete)},
	{"GET", "/cluster/firewall/groups/{group}/{pos}", dcAudit, "", inGroup((*call).ruleShow)},
	{"PUT", "/cluster/firewall/groups/{group}/{pos}", dcModify, changeRule, inGroup((*call).ruleUpdate)},
	{"DELETE", "/cluster/firewall/groups/{group}/{pos}", dcModify, "digest:string<64", inGroup((*call).ruleDelete)},
	{"GET", "/nodes/{node}/firewall/options", "/nodes/{node} Sys.Audit", "", (*call).firewallOptions},
	{"PUT", "/nodes/{node}/firewall/options", "/nodes/{node} Sys.Modify", "+nodefwoptions delete:configid-list digest:string<64", (*call).setFirewallOptions},
	{"GET", "/nodes/{node}/firewall/rules", "/nodes/{node} Sys.Audit", "", (*call).ruleList},
	{"POST", "/nodes/{node}/firewall/rules", "/nodes/{node} Sys.Modify", newRule, (*call).ruleCreate},
	{"GET", "/nodes/{node}/firewall/rules/{pos}", "/nodes/{node} Sys.Audit", "", (*call).ruleShow},
	{"PUT", "/nodes/{node}/firewall/rules/{pos}", "/nodes/{node} Sys.Modify", changeRule, (*call).ruleUpdate},
	{"DELETE", "/nodes/{node}/firewall/rules/{pos}", "/nodes/{node} Sys.Modify", "digest:string<64", (*call).ruleDelete},
}

// firewallRows are what the firewalls of the cluster and of a VM have in common. read and write are
// the permissions.
func firewallRows(base, read, write string) []routeRow {
	return []routeRow{
		{"GET", base + "/rules", read, "", (*call).ruleList},
		{"POST", base + "/rules", write, newRule, (*call).ruleCreate},
		{"GET", base + "/rules/{pos}", read, "", (*call).ruleShow},
		{"PUT", base + "/rules/{pos}", write, changeRule, (*call).ruleUpdate},
		{"DELETE", base + "/rules/{pos}", write, "digest:string<64", (*call).ruleDelete},
		{"GET", base + "/ipset", read, "", (*call).ipsetList},
		{"POST", base + "/ipset", write, "comment:string digest:string<64 name!:fw-name<2..64 rename:fw-name<2..64", (*call).ipsetCreate},
		{"GET", base + "/ipset/{name}", read, "", (*call).ipsetShow},
		{"POST", base + "/ipset/{name}", write, "cidr!:cidr-or-alias comment:string nomatch:bool", (*call).ipsetAdd},
		{"DELETE", base + "/ipset/{name}", write, "force:bool", (*call).ipsetDelete},
		{"GET", base + "/ipset/{name}/{cidr}", read, "", (*call).ipsetEntry},
		{"PUT", base + "/ipset/{name}/{cidr}", write, "comment:string digest:string<64 nomatch:bool", (*call).ipsetEntryUpdate},
		{"DELETE", base + "/ipset/{name}/{cidr}", write, "digest:string<64", (*call).ipsetEntryDelete},
		{"GET", base + "/aliases", read, "", (*call).aliasList},
		{"POST", base + "/aliases", write, "cidr!:cidr-or-alias comment:string name!:fw-name<2..64", (*call).aliasCreate},
		{"GET", base + "/aliases/{name}", read, "", (*call).aliasShow},
		{"PUT", base + "/aliases/{name}", write, "cidr!:cidr-or-alias comment:string digest:string<64 rename:fw-name<2..64", (*call).aliasUpdate},
		{"DELETE", base + "/aliases/{name}", write, "digest:string<64", (*call).aliasDelete},
		{"GET", base + "/refs", read, "type:enum(alias,ipset)", (*call).firewallRefs},
	}
}
