package pvesim

import "testing"

func TestBackupsHaveTheirNotesAndNames(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.badParam("POST", "/nodes/pve1/vzdump", "storage=shared1", "vmid", "property is missing")
	for _, notes := range []string{"{{guestname}} {{vmid}} on {{node}}", "second"} {
		s.ends("POST", "/nodes/pve1/vzdump", "vmid=101&storage=shared1&protected=1&notes-template="+notes, "OK")
	}
	list := s.data("GET", "/nodes/pve1/storage/shared1/content", "content=backup&vmid=101").([]any)
	if len(list) != 2 {
		t.Fatalf("two backups in one second are %v", list)
	}
	notes := map[any]bool{}
	for _, b := range list {
		shown := s.data("GET", "/nodes/pve1/storage/shared1/content/"+b.(map[string]any)["volid"].(string), "").(object)
		notes[shown["notes"]] = true
	}
	if !notes["Copy-of-VM-tmpl 101 on pve1"] || !notes["second"] {
		t.Errorf("notes are %v", notes)
	}
}
