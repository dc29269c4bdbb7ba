package pve

import (
	"errors"
	"net/http"
)

// Kind says what an error means for the caller's next move.
type Kind string

// The kinds. Which text of Proxmox is of which kind stands in classify.go.
const (
	// Transient: it may work later; nothing says that a person is needed.
	Transient Kind = "transient"
	// Locked: another task holds the VM or the storage. Wait and repeat.
	Locked Kind = "locked"
	// Gone: Proxmox said that the VM has no configuration on that node.
	Gone Kind = "gone"
	// Missing: a part that the call names does not exist (snapshot, IP set). The VM itself may well exist.
	Missing Kind = "missing"
	// Exists: what was to be made is there already, or the machine already is in the state asked for.
	Exists Kind = "exists"
	// Conflict: the machine is not as it was when the call was decided (digest, power). Read again and decide again.
	Conflict Kind = "conflict"
	// Refused: Proxmox will not do it, and repeating does not help until a person changes the order or the cluster.
	Refused Kind = "refused"
	// NoPermission: the token lacks a right; the text names it.
	NoPermission Kind = "no-permission"
	// Unreachable: the cluster, the node, or Proxmox behind a proxy could not be asked. Nothing was done.
	Unreachable Kind = "unreachable"
	// MaybeCommitted: the request was sent and its outcome is unknown. Observe before acting again.
	MaybeCommitted Kind = "maybe-committed"
	// TaskUnknown: Proxmox does not know the task (any more) or how it ended. Observe what it was to bring about.
	TaskUnknown Kind = "task-unknown"
)

// Advice is one sentence for a person: what to do about an error of this kind.
func (k Kind) Advice() string {
	return advice[k]
}

var advice = map[Kind]string{
	Transient:      "It is tried again; look at the node if it stays.",
	Locked:         "Another task holds the machine or the storage; it is tried again when that has ended.",
	Gone:           "The machine is not on this node; look where it is before you order it anew.",
	Missing:        "The named part does not exist; compare the machine with what the package asks for.",
	Exists:         "It is there already; look whether it is ours.",
	Conflict:       "Somebody changed the machine in between; it is read again.",
	Refused:        "Change the order or the cluster as the text says, then retry.",
	NoPermission:   "Give the API token the right that the text names, on the path that it names.",
	Unreachable:    "Look whether the node is up and the URL leads to Proxmox VE.",
	MaybeCommitted: "The change may have been made; the machine is read before anything else is done.",
	TaskUnknown:    "Proxmox lost the task, as it does when a node restarts; the machine is read before anything else is done.",
}

// Advice is one sentence for a person: what to do about an error of this package.
func Advice(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Code == http.StatusUnauthorized {
		return "Proxmox does not take the login: look whether the API token (or the user) exists, has not expired and has this secret; \"vmline doctor\" checks it."
	}
	return KindOf(err).Advice()
}

// KindOf returns the kind of an error of this package, wrapped or not, and "" for nil and for errors of others.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if e, ok := errors.AsType[*TaskError](err); ok {
		return e.Kind
	}
	return ""
}
