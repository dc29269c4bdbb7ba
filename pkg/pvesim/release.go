package pvesim

import (
	"slices"
	"strings"
)

// Release is the version of Proxmox VE that is simulated unless Config.PVE says otherwise.
const Release = "9.2.11"

// release is what differs between the versions of Proxmox VE.
type release struct {
	version string
	repo    string
	// messages: the body of an error repeats the reason phrase (libpve-http-server-perl 5.2.0).
	messages bool
	// resizeTask: PUT resize answers with a task; before, it answered when it was done.
	resizeTask bool
	// nine: the privileges, parameters and status fields that came with version 9.
	nine bool
}

// releases are the values of Config.PVE.
var releases = map[string]release{
	"9":   {version: Release, repo: "14a22df35955d97d", messages: true, resizeTask: true, nine: true},
	"8.4": {version: "8.4.14", repo: "b502d23c55afcba1", messages: true, resizeTask: true},
	"8":   {version: "8.2.7", repo: "3e0176e6bb2ade3b", resizeTask: true},
	"8.0": {version: "8.0.1", repo: "3e0176e6bb2ade3b"},
}

// Releases are the values that Config.PVE may have.
func Releases() []string { return sortedKeys(releases) }

// since9 are parameters that came with version 9.
var since9 = strings.Fields("allow-ksm intel-tdx ha-managed with-conntrack-state")

// since9Fields are fields of a VM's status that came with version 9.
var since9Fields = strings.Fields("memhost pressurecpufull pressurecpusome pressureiofull pressureiosome pressurememoryfull pressurememorysome")

// since9Privileges came with version 9, which in turn no longer knows VM.Monitor.
var since9Privileges = append(privilegesWith("VM.GuestAgent."), "VM.Replicate")

const monitor = "VM.Monitor"

// privileges are all that a version knows.
func (r release) privileges() []string { return r.known(append([]string{monitor}, allPrivileges...)) }

// known leaves out of a list of privileges what a version does not know. Where the list allows all
// work with the guest agent, VM.Monitor does on version 8.
func (r release) known(list []string) []string {
	out := []string{}
	for _, p := range list {
		if r.nine && p == monitor || !r.nine && contains(since9Privileges, p) {
			continue
		}
		out = append(out, p)
	}
	if !r.nine && contains(list, "VM.GuestAgent.Unrestricted") && !contains(out, monitor) {
		out = append(out, monitor)
	}
	slices.Sort(out)
	return out
}

// needed is a list "A|B" of privileges, one of which a call needs, in the words of a version.
func (r release) needed(privs string) string {
	if !r.nine && strings.Contains(privs, "VM.GuestAgent.") {
		return monitor
	}
	return privs
}

// check verifies the parameters of a call that not every version takes.
func (r release) check(p params) error {
	errs := map[string]string{}
	for _, k := range since9 {
		if !r.nine && p.has(k) {
			errs[k] = undefinedProperty
		}
	}
	for _, priv := range listOf(p["privs"]) {
		if !contains(r.privileges(), priv) {
			errs["privs"] = "invalid format - invalid privilege '" + priv + "'\n"
		}
	}
	if len(errs) > 0 {
		return badParams(errs)
	}
	return nil
}

// zone is the entry of a node's own network in the list of resources.
func (r release) zone(n *node) object {
	if !r.nine {
		return object{"id": "sdn/" + n.Name + "/localnetwork", "sdn": "localnetwork", "node": n.Name, "status": "ok", "type": "sdn"}
	}
	return object{"id": "network/" + n.Name + "/zone/localnetwork", "network": "localnetwork", "network-type": "zone", "node": n.Name, "status": "ok", "type": "network"}
}

// trim takes the fields out of a VM's status that a version does not have.
func (r release) trim(o object) object {
	if !r.nine {
		for _, k := range since9Fields {
			delete(o, k)
		}
	}
	return o
}
