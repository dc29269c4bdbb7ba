// Package pvesim is a simulator of the Proxmox VE API for development, demos and tests: of release 9.2,
// or of 8.0 to 8.4 (see [Config]).
//
// A [Cluster] answers like a real cluster: same paths, parameter checks, error texts, HTTP codes and
// reason phrases, tasks that take time and hold locks, nodes, storages, permissions. It keeps
// everything in memory, never runs a guest, and can be ordered to fail (see [Fault] and [ParseFault]).
// Everything that it starts with ([Default]) can also be made through the API.
//
// There are three ways to talk to it. [Cluster.ListenTLS] and [Cluster.Listen] start a server that
// sends Proxmox VE's own reason phrases, which net/http's server cannot. A Cluster is also an
// [net/http.RoundTripper] for clients in the same process, and an [net/http.Handler].
//
// Time passes through [Config]: with zero [Durations] every task is finished before its UPID is
// returned; with durations, tasks end when [Config.After] says so. A [Profile] sets them together. On
// a [Clock], and with calls that do not wait, a day of a cluster with hundreds of machines runs in
// seconds and, under the same seed, always alike.
//
// It is held against what a real Proxmox VE 9.2 was recorded to answer, and against the description of its
// API: each method that it has takes all parameters with all limits. Tests serve clients that are not ours:
// go-proxmox (v0.8.2) and Python's proxmoxer (1.2.0) run; of the Terraform providers bpg/proxmox and
// Telmate/proxmox, of cv4pve-api-php and of scripts around curl the requests are played (testdata/clients).
// By hand these were tried: Ansible's community.general (6.6.2), fence_pve (4.12.1),
// and npm's proxmox-api (1.1.1) and iobroker.proxmox (2.6.3).
//
// Guests answer through their agent: cloud-init's status, passwords, a few commands (see [Guest]). A migration
// and a reboot are what they are on a node: the first leaves its reason to its log, the second ends when the
// guest is down and the node starts it in a task of its own.
//
// Nothing is fetched from a network: behind every URL that a node is to download there is a file of one size.
//
// Rules of high availability and backup jobs are kept, and nothing is moved or saved for their sake. A console
// gives a ticket, and nobody listens at its port.
//
// Not simulated: containers, the web interface, replication, Ceph, SDN beyond the nodes' bridges. Such calls
// get the 501 of an unknown path.
package pvesim
