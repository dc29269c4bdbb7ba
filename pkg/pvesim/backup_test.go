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

func TestBackupOfAllOrOfAPool(t *testing.T) {
	for params, want := range map[string]int{"all=1": 3, "all=1&exclude=101,9000": 1, "pool=p1": 1, "exclude=102": 2, "stop=1": 0} {
		s := newSim(t)
		s.clone(101)
		s.clone(102)
		s.data("POST", "/pools", "poolid=p1")
		s.data("PUT", "/pools", "poolid=p1&vms=102")
		s.ends("POST", "/nodes/pve1/vzdump", "storage=shared1&"+params, "OK")
		if list := s.data("GET", "/nodes/pve1/storage/shared1/content", "content=backup").([]any); len(list) != want {
			t.Errorf("%s made %d backups, want %d: %v", params, len(list), want, list)
		}
	}
}
