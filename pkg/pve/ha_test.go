package pve

import (
	"slices"
	"testing"
)

func TestNodesInMaintenance(t *testing.T) {
	body := `{"data":[
	{"id":"quorum","type":"quorum","node":"pve1","status":"OK","quorate":1},
	{"id":"master","type":"master","node":"pve1","status":"pve1 (active, Thu Nov 27 10:00:00 2025)"},
	{"id":"lrm:pve1","type":"lrm","node":"pve1","status":"pve1 (idle, Thu Nov 27 10:00:00 2025)"},
	{"id":"lrm:pve2","type":"lrm","node":"pve2","status":"pve2 (maintenance mode, Thu Nov 27 10:00:00 2025)"},
	{"id":"lrm:pve3","type":"lrm","node":"pve3","status":"pve3 (old timestamp - dead?, Thu Nov 27 10:00:00 2025)"},
	{"id":"service:vm:101","type":"service","node":"pve2","status":"vm:101 (pve2, started)"}]}`
	got, err := newTest(t, always(200, "OK", body)).NodesInMaintenance(t.Context())
	if err != nil || !slices.Equal(got, []string{"pve2"}) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = newTest(t, always(403, "Permission check failed (/, Sys.Audit)", `{"data":null}`)).NodesInMaintenance(t.Context())
	if KindOf(err) != NoPermission {
		t.Errorf("without the right: %v", err)
	}
}
