package crash

import (
	"strings"
	"sync"

	"github.com/vmline/vmline/pkg/chain"
)

// hold keeps one call waiting, and unless it is alone also everything that would take the VM further
// meanwhile. A command is admitted all the same.
type hold struct {
	alone bool

	once    sync.Once
	reached chan struct{}
	opened  chan struct{}
	open    func()
}

func newHold(alone bool) *hold {
	h := &hold{alone: alone, reached: make(chan struct{}), opened: make(chan struct{})}
	h.open = sync.OnceFunc(func() { close(h.opened) })
	return h
}

// wait is where the call is held.
func (h *hold) wait() {
	h.once.Do(func() { close(h.reached) })
	<-h.opened
}

// pass lets other calls go by. Lifecycle's calls to the bus always do, because they admit.
func (h *hold) pass(s chain.Service, call string) {
	if h == nil || h.alone || (s == chain.Lifecycle && !strings.Contains(call, "/")) {
		return
	}
	select {
	case <-h.reached:
		<-h.opened
	default:
	}
}

func (h *hold) isReached() bool {
	select {
	case <-h.reached:
		return true
	default:
		return false
	}
}
