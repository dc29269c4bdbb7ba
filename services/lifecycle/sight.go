package lifecycle

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/reading"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	// sightAge is how old a reading may be that says whether a cluster can be seen.
	sightAge = 2 * time.Second
	// sightTime bounds such a reading: who asks is not to wait for a cluster that hangs.
	sightTime = 5 * time.Second
)

// sight is what this process has seen of the clusters.
type sight struct {
	began time.Time
	// offline nodes of each cluster.
	offline reading.Keyed[string, []string]

	mu   sync.Mutex
	read map[string]time.Time
}

func newSight(now time.Time) *sight { return &sight{began: now, read: map[string]time.Time{}} }

// list reads the list of a cluster's machines and nodes, and remembers when.
func (l *lifecycle) list(ctx context.Context, c *pve.Client) (pve.Resources, error) {
	all, err := c.Resources(ctx)
	if err == nil {
		l.sight.mu.Lock()
		defer l.sight.mu.Unlock()
		l.sight.read[c.Name()] = l.Bus.Now()
	}
	return all, err
}

// readAt is when a cluster was read last. Of one that never was it is known only that nobody here has seen it
// since this process began.
func (s *sight) readAt(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.read[name]; ok {
		return at
	}
	return s.began
}

// sights answers which clusters can be seen now. A machine without drift that cannot be seen may have some.
func (l *lifecycle) sights(ctx context.Context, _ *vmlinev1.SightRequest) (*vmlinev1.SightReply, error) {
	names := slices.Sorted(maps.Keys(l.Clusters))
	reply := &vmlinev1.SightReply{Clusters: make([]*vmlinev1.ClusterSight, len(names))}
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { reply.Clusters[i] = l.sightOf(ctx, name) })
	}
	all.Wait()
	return reply, nil
}

func (l *lifecycle) sightOf(ctx context.Context, name string) *vmlinev1.ClusterSight {
	ctx, cancel := context.WithTimeout(ctx, sightTime)
	defer cancel()
	offline, err := l.sight.offline.Of(name).Get(ctx, l.Bus.Now, sightAge, func() (offline []string, err error) {
		all, err := l.list(ctx, l.Clusters[name])
		for _, n := range all.Nodes {
			if !n.Online {
				offline = append(offline, n.Name)
			}
		}
		slices.Sort(offline)
		return offline, err
	})
	out := &vmlinev1.ClusterSight{Name: name, OfflineNodes: offline, ReadAt: timestamppb.New(l.sight.readAt(name))}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}
