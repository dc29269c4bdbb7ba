package pve

import (
	"net/http"
	"regexp"
	"slices"
)

// rule gives a kind to the errors that it matches. The first rule that matches counts.
type rule struct {
	codes  []int  // HTTP codes; nil means: Proxmox itself spoke (400, 500, 501, or a task's exit status)
	text   string // regular expression on the message, on "param: complaint" of a 400, or on an exit status
	kind   Kind
	write  Kind   // instead of kind when the call was not a GET, where that differs
	source string // where the text comes from, or why the kind
}

// taskExit stands where an HTTP code would, for the exit status of a task.
const taskExit = 0

// spoken are the codes under which Proxmox puts its own texts. Anything else comes from its proxy, or from a stranger.
var spoken = []int{taskExit, http.StatusBadRequest, http.StatusInternalServerError, http.StatusNotImplemented}

// rules is the one place that says what an answer means. Gone has the narrowest patterns, whole texts of Proxmox only:
// taking something else for it would release addresses that are in use.
var rules = []rule{
	// Without an answer of Proxmox itself. 595 to 599 are made by AnyEvent::HTTP, which pveproxy asks other nodes
	// with: 595 before the request could be sent, 596 while waiting, 597 in the body, 599 other.
	{codes: []int{595}, kind: Unreachable, source: "AnyEvent::HTTP: errors during connection establishment; recorded"},
	{codes: []int{596, 597, 598, 599}, kind: Unreachable, write: MaybeCommitted, source: "AnyEvent::HTTP; recorded: a PUT with 596 committed"},
	{codes: []int{502, 504}, kind: Unreachable, write: MaybeCommitted, source: "RFC 9110 15.6.3, 15.6.5: a gateway lost its upstream"},
	{codes: []int{503, 429, 408}, kind: Transient, source: "RFC 9110, RFC 6585: turned away before the work"},
	{codes: []int{401}, kind: NoPermission, source: "pve-http-server: no or wrong token; recorded"},
	{codes: []int{403}, text: `^Permission check failed \(pool '.+' does not exist\)`, kind: Refused, source: "pve-access-control; recorded"},
	{codes: []int{403}, kind: NoPermission, source: "pve-access-control; recorded"},

	// The VM has no configuration on that node.
	{text: `^Configuration file 'nodes/[^'/]+/qemu-server/\d+\.conf' does not exist$`, kind: Gone, source: "PVE::AbstractConfig load_config; recorded"},
	{text: `^unable to find configuration file for VM \d+ on node '[^']+'$`, kind: Gone, source: "PVE::Cluster check_cfs / PVE::QemuServer; recorded"},

	// A task that Proxmox cannot account for.
	{text: `^upid: no such task$`, kind: TaskUnknown, source: "PVE::API2::Tasks; recorded"},
	{codes: []int{taskExit}, text: `^(|unexpected status|unknown|unable to (open file - |read tail |extract last line|get last line ).*)$`, kind: TaskUnknown, source: "PVE::UPID read_status: the log has no end"},

	// Locks: the VM's flock, its lock key, a storage's lock, the cluster file system's.
	{text: `can't lock file '[^']+' - got timeout`, kind: Locked, source: "PVE::Tools lock_file; recorded"},
	{text: `VM is locked( \([a-z-]+\))?`, kind: Locked, source: "PVE::AbstractConfig check_lock; recorded"},
	{text: `cfs-lock '[^']+' error: got lock (request )?timeout`, kind: Locked, source: "PVE::Cluster cfs_lock"},
	{text: `error: got lock timeout|got lock request timeout`, kind: Locked, source: "PVE::Cluster cfs_lock"},

	// The cluster or the other node cannot be used now.
	{text: `no quorum`, kind: Transient, source: "PVE::Cluster check_cfs_quorum: 'cluster not ready - no quorum?'"},
	{text: `hostname lookup '[^']*' failed`, kind: Unreachable, source: "PVE::Cluster remote_node_ip; recorded"},
	{text: `'?/etc/pve/.*(Permission denied|Read-only file system|Transport endpoint is not connected)`, kind: Transient, source: "pmxcfs without quorum or not mounted"},

	// Somebody changed it in between, or the power state is another.
	{text: `checksum mismatch \(file change by other user\?\)`, kind: Conflict, source: "PVE::Tools assert_if_modified; recorded"},
	{text: `detected modified configuration - file changed by other user\?`, kind: Conflict, source: "PVE::Tools assert_if_modified; recorded"},
	{text: `^no rule at position \d+$`, kind: Conflict, source: "PVE::API2::Firewall::Rules; recorded"},
	{text: `^VM \d+ is running - destroy failed$`, kind: Conflict, source: "PVE::API2::Qemu destroy_vm; recorded"},
	{text: `^VM \d+ (is )?not running$`, kind: Conflict, source: "PVE::API2::Qemu, PVE::QemuServer::Agent; recorded"},
	{text: `if VM is running$`, kind: Conflict, source: "PVE::API2::Qemu template; recorded"},
	{text: `^VM is paused - cannot shutdown$`, kind: Conflict, source: "PVE::QemuServer vm_stop"},

	// It is there already.
	{text: `config file already exists$`, kind: Exists, source: "PVE::AbstractConfig create_and_lock_config; recorded"},
	{text: `VM \d+ already exists( on node '[^']+')?$`, kind: Exists, source: "PVE::API2::Cluster nextid, PVE::Cluster check_vmid_unused; recorded"},
	{text: `^close \(rename\) atomic file '/etc/pve/[^']*' failed: File exists$`, kind: Exists, source: "pmxcfs: the VMID lives on another node; recorded"},
	{text: `^VM \d+ already running$`, kind: Exists, source: "PVE::QemuServer vm_start; recorded"},
	{text: `^(name|cidr): (IPSet|address) '[^']*' already exists$`, kind: Exists, source: "PVE::API2::Firewall::IPSet; recorded"},
	{text: `snapshot name '[^']*' already used$`, kind: Exists, source: "PVE::AbstractConfig snapshot_prepare; recorded"},
	{text: `cloud-init drive is already attached at '`, kind: Exists, source: "PVE::API2::Qemu; recorded"},

	// A part is missing.
	{text: `snapshot '[^']*' does not exist$`, kind: Missing, source: "PVE::AbstractConfig snapshot_delete; recorded"},
	{text: `^no such IPSet '[^']*'$`, kind: Missing, source: "PVE::API2::Firewall::IPSet load_config"},

	{text: `^Agent error: (PID -?\d+ does not exist|Invalid parameter 'pid')`, kind: Missing, source: "qemu-ga guest-exec-status"},
	{text: `^Cannot move disk to another VM while the source VM is running`, kind: Conflict, source: "PVE::API2::Qemu move_vm_disk"},
	{text: `^(Target d|D)isk (key )?'[^']+' (is already in use for|for) VM '\d+'( does not exist)?$`, kind: Conflict, source: "PVE::API2::Qemu move_vm_disk"},

	// The guest or QEMU did not answer in time, or somebody stopped the task.
	{text: `guest agent is not running$|VM quit/powerdown failed|received interrupt|interrupted by signal`, kind: Transient, source: "PVE::QemuServer; recorded"},
	{text: `qmp command '[^']*' failed - (got timeout|unable to connect)`, kind: Transient, source: "PVE::QMPClient"},

	// A person has to change something: the storage, the template, the bridge, the order.
	{text: `No space left on device|not enough free space|out of (disk )?space|insufficient free space`, kind: Refused, source: "storage full; recorded"},
	{text: `image size is too large`, kind: Refused, source: "qemu-img; recorded"},
	{text: `hotplug problem - `, kind: Refused, source: "PVE::QemuServer vmconfig_hotplug_pending; recorded. THE CHANGE STAYS PENDING and counts at the next start"},
	{text: `volume is still in use \(snapshot\?\)`, kind: Refused, source: "PVE::QemuServer try_deallocate_drive"},
	{text: `^base volume '[^']+' is still in use by linked clone`, kind: Refused, source: "PVE::Storage; recorded"},
	{text: `protection mode enabled$|^cannot remove protected volume `, kind: Refused, source: "PVE::API2::Qemu, PVE::Storage; recorded"},
	{text: `used in HA resources and purge parameter not set`, kind: Refused, source: "PVE::API2::Qemu destroy_vm"},
	{text: `\b(storage|volume|disk|bridge|pool) '[^']+' (does not exist|is disabled|is not available|not available on node)`, kind: Refused, source: "PVE::Storage, PVE::API2::Qemu; recorded"},
	{text: `^no such cluster node '|^unable to get any free VMID in range`, kind: Refused, source: "PVE::Cluster check_node_exists, nextid; recorded"},
	{text: `^can't clone (VM to node|to non-shared storage) '`, kind: Refused, source: "PVE::API2::Qemu clone_vm"},
	{text: `can't migrate (linked clone|local (disk|cdrom)|VM - |VM which uses|'[^']+' (as it's a clone of|- storage type))|can't (live )?migrate (running VM|attached local disks)`, kind: Refused, source: "PVE::QemuMigrate scan_local_volumes, prepare"},
	{text: `^online migrate failure - `, kind: Transient, source: "PVE::AbstractMigrate: the VM runs on where it was"},
	{text: `^Linked clone feature is not supported|^parameter '\w+' not allowed for linked clones`, kind: Refused, source: "PVE::API2::Qemu clone_vm; recorded"},
	{text: `^shrinking disks is not supported$|^you can't resize a cdrom$|^snapshot feature is not available$`, kind: Refused, source: "PVE::API2::Qemu; recorded"},
	{text: `^you can't (start a vm if it's|convert a VM to) a? ?template`, kind: Refused, source: "PVE::QemuServer vm_start; recorded"},
	{text: `^no options specified$|^balloon value too large|^only root can set '|^Only root can pass arbitrary filesystem paths|\(reserved name\)$`, kind: Refused, source: "PVE::API2::Qemu; recorded"},
	{text: `^MAX \d+ vcpus allowed per VM on this node$`, kind: Refused, source: "PVE::QemuServer config_to_command; recorded"},
	{text: `^Agent error: `, kind: Refused, source: "PVE::QemuServer::Agent check_agent_error: the agent answered, with a refusal"},
	{text: `^could not find target VM \d+$|^Can't move disk|^CD drive contents can't be moved|^you can't move a (cdrom|disk with snapshots)`, kind: Refused, source: "PVE::API2::Qemu move_vm_disk"},
	{text: `^Both VMs need to be on the same node|^Cannot reassign unused disk to '|^you can't move to the same storage with same format`, kind: Refused, source: "PVE::API2::Qemu move_vm_disk"},
	{text: `^No QEMU guest agent configured$`, kind: Refused, source: "PVE::QemuServer::Agent; recorded"},
	{text: `^volume_size_info on '[^']+' failed`, kind: Refused, source: "PVE::Storage; recorded"},
	{codes: []int{400}, kind: Refused, source: "PVE::RESTHandler: parameter verification; recorded"},
	{codes: []int{501}, kind: Refused, source: "PVE::RESTHandler: method not implemented; recorded"},
	{codes: []int{405, 406, 409, 410, 411, 413, 414, 415, 422, 431}, kind: Refused, source: "RFC 9110: the request itself"},

	// A text that nobody has seen yet. Callers cap their repetitions and then show it to a person.
	{codes: []int{500, taskExit}, kind: Transient, source: "default for what Proxmox says"},
}

var compiled = compile(rules)

func compile(rs []rule) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(rs))
	for i, r := range rs {
		out[i] = regexp.MustCompile(r.text)
	}
	return out
}

// classify returns the kind of an answer with this code whose message and parameter complaints are texts. What no
// rule knows was not said by Proxmox (404 or a redirect of another server): the cluster could not be asked. A failure of
// another server (520 to 530 of a network in front) leaves open whether a write got through.
func classify(code int, write bool, texts ...string) Kind {
	for i, r := range rules {
		codes := r.codes
		if codes == nil {
			codes = spoken
		}
		if !slices.Contains(codes, code) || !slices.ContainsFunc(texts, compiled[i].MatchString) {
			continue
		}
		if write && r.write != "" {
			return r.write
		}
		return r.kind
	}
	if write && (code < http.StatusOK || code >= http.StatusInternalServerError) {
		return MaybeCommitted
	}
	return Unreachable
}
