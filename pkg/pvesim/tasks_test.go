package pvesim

import (
	"fmt"
	"testing"
	"time"
)

func TestSavedIsANumberForATaskThatJustEnded(t *testing.T) {
	saved := func(s *sim) string {
		out := ""
		for _, entry := range s.data("GET", "/cluster/tasks", "").([]any) {
			e := entry.(map[string]any)
			if e["pid"] != nil || e["pstart"] != nil {
				s.t.Errorf("the list of the cluster shows processes: %v", e)
			}
			out += fmt.Sprintf("%T ", e["saved"])
		}
		return out
	}
	inTime(t, Durations{}, func(s *sim) {
		s.clone(101)
		if got := saved(s); got != "float64 " {
			t.Errorf("after one task: %s", got)
		}
		s.ends("POST", "/nodes/pve1/qemu/101/status/start", "", "OK")
		if got := saved(s); got != "float64 string " {
			t.Errorf("after two tasks: %s", got)
		}
		pass(statusRound + time.Second)
		if got := saved(s); got != "string string " {
			t.Errorf("after a round: %s", got)
		}
	})
}

func TestUsersAreFoundInEitherCase(t *testing.T) {
	s := newSim(t)
	s.clone(101)
	for filter, want := range map[string]int{"ROOT": 0, "Vmline": 1, "other": 0} {
		if list := s.data("GET", "/nodes/pve1/tasks", "userfilter="+filter).([]any); len(list) != want {
			t.Errorf("userfilter %s shows %v", filter, list)
		}
	}
}
