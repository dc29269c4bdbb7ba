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

func (f *inFlight) add(cluster, node string, bytes int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.promises = append(f.promises, promise{cluster, node, bytes, now.Add(settleTime)})
}

// memory returns the bytes promised on each node of a cluster.
func (f *inFlight) memory(cluster string, now time.Time) map[string]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.promises = slices.DeleteFunc(f.promises, func(p promise) bool { return p.until.Before(now) })
	sum := map[string]int64{}
	for _, p := range f.promises {
		if p.cluster == cluster {
			sum[p.node] += p.bytes
		}
	}
	return sum
}
