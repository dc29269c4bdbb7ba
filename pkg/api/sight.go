package api

import (
	"context"
	"net/http"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Sight is whether a cluster's machines can be seen. What cannot be seen shows no drift, and is not gone.
type Sight struct {
	Cluster string `json:"cluster"`
	// ReadAt is when the list of its machines was read last.
	ReadAt       time.Time `json:"read_at" doc:"When the list of its machines was read last; at the latest when the service that reads it began."`
	Error        string    `json:"error,omitempty" doc:"Why the list cannot be read now: no drift of its machines is seen since read_at."`
	OfflineNodes []string  `json:"offline_nodes,omitempty" nullable:"false" doc:"Nodes that cannot be seen, nor the machines on them."`
}

// SightList is every cluster of the configuration.
type SightList struct {
	Items []Sight `json:"items" nullable:"false"`
}

// FromSight returns which clusters can be seen.
func FromSight(r *vmlinev1.SightReply) SightList {
	l := SightList{Items: []Sight{}}
	for _, c := range r.GetClusters() {
		l.Items = append(l.Items, Sight{Cluster: c.GetName(), ReadAt: fromTime(c.GetReadAt()), Error: c.GetError(), OfflineNodes: c.GetOfflineNodes()})
	}
	return l
}

// Sight returns which clusters can be seen now, and since when not the others.
func (c *Client) Sight(ctx context.Context) ([]Sight, error) {
	var l SightList
	err := c.call(ctx, http.MethodGet, "/v1/sight", nil, &l)
	return l.Items, err
}
