// Package pvesim is a simulator of the Proxmox VE API (9.2) for development, demos and tests.
//
// A [Cluster] answers like a real cluster: same paths, parameter checks, error texts, HTTP codes and
// reason phrases, tasks that take time and hold locks, nodes, storages, permissions. It keeps
// everything in memory, never runs a guest, and can be ordered to fail (see [Fault]).
//
// There are three ways to talk to it. [Cluster.Listen] starts a server that sends Proxmox VE's own
// reason phrases, which net/http's server cannot. A Cluster is also an [net/http.RoundTripper] for
// clients in the same process, and an [net/http.Handler].
//
// Time passes through [Config]: with zero [Durations] every task is finished before its UPID is
// returned; with durations, tasks end when [Config.After] says so.
package pvesim
