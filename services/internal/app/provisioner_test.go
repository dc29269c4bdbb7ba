package app

import (
	"reflect"
	"testing"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/services/provisioner"
)

func TestRules(t *testing.T) {
	n := func(n int) *int { return &n }
	for _, tt := range []struct {
		name string
		says config.Placement
		want provisioner.Rules
	}{
		{"nothing", config.Placement{}, provisioner.DefaultRules()},
		{"all", config.Placement{Maintenance: []string{"pve1"}, MemoryPercent: n(150), CPUPercent: n(400), TasksPerNode: n(7), TasksPerStorage: n(3)},
			provisioner.Rules{Maintenance: []string{"pve1"}, MemoryLimit: 1.5, CPULimit: 4, TasksPerNode: 7, TasksPerStorage: 3}},
		{"no limits", config.Placement{MemoryPercent: n(0), CPUPercent: n(0), TasksPerNode: n(0), TasksPerStorage: n(0)}, provisioner.Rules{}},
	} {
		if got := rules(tt.says); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
