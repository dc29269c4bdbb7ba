// Package pve is the driver for Proxmox VE.
//
// It stands on go-proxmox for requests and authentication and puts three things under it that carrying money needs:
// a transport that turns every answer outside success into one typed Error (go-proxmox takes 595, 596, 502 and 404
// for success), one table that says what each error text means (classify.go), and a task watcher of its own that
// reports a failed task as failed.
//
// Every method does one call, or a few reads; none repeats a call, and none decides what a machine should be. Callers
// observe, act, and observe again: an error of kind MaybeCommitted says that the call may have taken effect.
//
// Gone means that Proxmox itself said that the VM has no configuration on that node. It may live on another node, and
// a token with rights on a pool only gets NoPermission instead, once the VM has left the pool. What proves that a VMID
// is used by no guest of the cluster is VMIDFree.
package pve
