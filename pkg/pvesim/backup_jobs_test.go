package pvesim

import (
	"fmt"
	"strings"
	"testing"
)

func TestBackupJobs(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	s.clone(102)
	s.data("POST", "/pools", "poolid=p1&comment=x")
	for params, want := range map[string]string{
		"id=j1&vmid=101&schedule=02:00&starttime=1:00": `"starttime":"'starttime' and 'schedule' cannot both be set"`,
		"id=j1&vmid=101":                          `"schedule":"neither 'starttime' nor 'schedule' were set"`,
		"id=j1&vmid=101&all=1&schedule=02:00":     `"all":"option conflicts with option 'vmid'"`,
		"id=j1&vmid=101&exclude=1&schedule=02:00": `"exclude":"invalid format`,
		"id=j1&schedule=02:00":                    `"vmid":"property is missing and it is not optional"`,
		"id=j1&pool=nosuch&schedule=02:00":        "pool 'nosuch' does not exist",
		"id=j1&vmid=101&starttime=noon&dow=mon":   `"starttime":"value does not match the regex pattern`,
	} {
		if got := s.do("POST", "/cluster/backup", params); got.code == 200 || !strings.Contains(string(got.body)+got.reason, want) {
			t.Errorf("%s: %d %s, want %s", params, got.code, got.body, want)
		}
	}
	s.data("POST", "/cluster/backup", "id=j1&vmid=101,102&starttime=02:30&dow=mon,fri&storage=shared1&mode=snapshot&compress=zstd")
	s.data("POST", "/cluster/backup", "pool=p1&schedule=daily&enabled=0")
	s.refused("POST", "/cluster/backup", "id=j1&vmid=101&schedule=daily", 500, "Job 'j1' already exists")
	j := s.data("GET", "/cluster/backup/j1", "").(map[string]any)
	if fmt.Sprint(j) != "map[compress:zstd enabled:1 id:j1 mode:snapshot schedule:mon,fri 02:30 storage:shared1 type:vzdump vmid:101,102]" {
		t.Errorf("%v", j)
	}
	s.data("PUT", "/cluster/backup/j1", "delete=compress&comment=nightly")
	if list := s.data("GET", "/cluster/backup", "").([]any); len(list) != 2 || list[0].(map[string]any)["comment"] != "nightly" || list[1].(map[string]any)["enabled"] != 0.0 {
		t.Errorf("%v", list)
	}
	if got := fmt.Sprint(s.data("GET", "/cluster/backup-info/not-backed-up", "")); got != "[map[name:tmpl type:qemu vmid:9000]]" {
		t.Errorf("not backed up: %s", got)
	}
	s.data("PUT", conf101, "scsi1=local:1,backup=0")
	tree := fmt.Sprint(s.data("GET", "/cluster/backup/j1/included_volumes", ""))
	if !strings.Contains(tree, "id:scsi0 included:1") || !strings.Contains(tree, "id:scsi1 included:0 name:local:101/vm-101-disk-0.raw reason:disabled") {
		t.Errorf("%s", tree)
	}
	s.ends("DELETE", "/nodes/pve1/qemu/102", "", "OK") // without purge a job keeps it
	s.ends("DELETE", "/nodes/pve1/qemu/101", "purge=1", "OK")
	if got := s.data("GET", "/cluster/backup/j1", "").(map[string]any)["vmid"]; got != "102" {
		t.Errorf("vmid %v", got)
	}
	s.data("DELETE", "/cluster/backup/j1", "")
	if got := s.do("GET", "/cluster/backup/j1", ""); got.code != 400 || !strings.Contains(string(got.body), "No such job 'j1'") {
		t.Errorf("%d %s", got.code, got.body)
	}
}
