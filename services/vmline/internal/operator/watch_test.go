package operator

import (
	"slices"
	"testing"

	"github.com/vmline/vmline/pkg/api"
)

func TestAhead(t *testing.T) {
	op := func(id string) api.Operation { return api.Operation{ID: id} }
	queued := op("queued")
	for _, tt := range []struct {
		name    string
		service api.Service
		want    []string
	}{
		{"its own", api.Service{Operation: op("own")}, []string{"own"}},
		{"and what is queued behind it", api.Service{Operation: op("own"), Queued: &queued}, []string{"own", "queued"}},
		{"what was asked for last", api.Service{Operation: op("own"), Queued: &queued, Pending: []api.Operation{op("first"), op("last")}}, []string{"last"}},
	} {
		var got []string
		for _, o := range ahead(tt.service) {
			got = append(got, o.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
