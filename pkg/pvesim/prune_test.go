package pvesim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPruneBackups(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	day := time.Date(2026, 11, 20, 1, 0, 0, 0, time.UTC)
	for i := range 6 { // every twelve hours, and the third is protected
		if _, err := s.AddBackup(BackupSpec{VMID: 101, Node: "pve1", Storage: "local", Time: day.Add(time.Duration(i) * 12 * time.Hour), Protected: i == 2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddBackup(BackupSpec{VMID: 9000, Node: "pve1", Storage: "local", Time: day}); err != nil {
		t.Fatal(err)
	}
	const path = "/nodes/pve1/storage/local/prunebackups"
	for rules, want := range map[string]string{
		"":                              "keep keep keep protected keep keep",
		"keep-all=1":                    "keep keep keep protected keep keep",
		"keep-last=0":                   "keep keep keep protected keep keep",
		"keep-last=2":                   "keep keep remove protected remove remove",
		"keep-daily=2":                  "keep remove keep protected remove remove",
		"keep-last=1,keep-daily=2":      "keep remove keep protected keep remove",
		"keep-last=1,keep-weekly=1":     "keep remove remove protected remove remove",
		"keep-yearly=5":                 "keep remove remove protected remove remove",
		"keep-hourly=3,keep-monthly=12": "keep keep keep protected remove remove",
	} {
		got := []string{}
		for _, x := range s.data("GET", path, "vmid=101&prune-backups="+rules).([]any) {
			got = append(got, fmt.Sprint(x.(map[string]any)["mark"]))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", rules, got, want)
		}
	}
	if got := s.do("GET", path, "prune-backups=keep-some=1"); got.code != 400 {
		t.Errorf("%d %s", got.code, got.body)
	}
	s.ends("DELETE", path, "vmid=101&prune-backups=keep-last=2", "OK")
	left := s.data("GET", "/nodes/pve1/storage/local/content", "content=backup").([]any)
	if len(left) != 4 { // two, the protected one, and the other machine's
		t.Errorf("%v", left)
	}
	s.ends("POST", "/nodes/pve1/vzdump", "vmid=101&storage=local&prune-backups=keep-last=1", "OK")
	if left = s.data("GET", "/nodes/pve1/storage/local/content", "content=backup&vmid=101").([]any); len(left) != 2 {
		t.Errorf("%v", left)
	}
}
