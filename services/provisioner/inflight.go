package provisioner

import (
	"slices"
	"sync"
	"time"
)

// settleTime is how long a new VM may take until it runs and Proxmox itself counts its memory.
const settleTime = 2 * time.Minute

// inFlight remembers which memory this process has promised lately, so that orders that come
// together do not all go to the node that looks emptiest. It is advice: losing it costs balance,
// nothing else.
type inFlight struct {
	mu       sync.Mutex
	promises []promise
}

type promise struct {
	cluster, node string
	bytes         int64
	until         time.Time
}

// place lets choose take a node, knowing what is promised on each, and remembers the promise it makes
// by that. Orders choose one after the other, so that each sees the promise before it.
func (f *inFlight) place(cluster string, bytes int64, now time.Time, choose func(planned map[string]int64) (node string, err error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.promises = slices.DeleteFunc(f.promises, func(p promise) bool { return p.until.Before(now) })
	planned := map[string]int64{}
	for _, p := range f.promises {
		if p.cluster == cluster {
			planned[p.node] += p.bytes
		}
	}
	node, err := choose(planned)
	if err == nil {
		f.promises = append(f.promises, promise{cluster, node, bytes, now.Add(settleTime)})
	}
	return err
}
