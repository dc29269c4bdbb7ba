package pvesim

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// pruneRoutes remove old backups by rules.
var pruneRoutes = []routeRow{
	{"GET", stPath + "/prunebackups", useStore, "prune-backups:prune type:enum(qemu,lxc) vmid:vmid", (*call).prunePreview},
	{"DELETE", stPath + "/prunebackups", "", "prune-backups:prune type:enum(qemu,lxc) vmid:vmid", (*call).prune},
}

// keeping are the rules, in the order in which they choose: each keeps the newest backup of so many periods.
var keeping = []struct {
	name   string
	period func(time.Time) string
}{
	{"keep-last", func(t time.Time) string { return t.String() }},
	{"keep-hourly", func(t time.Time) string { return t.Format("2006-01-02 15") }},
	{"keep-daily", func(t time.Time) string { return t.Format(time.DateOnly) }},
	{"keep-weekly", func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprint(year, week) }},
	{"keep-monthly", func(t time.Time) string { return t.Format("2006-01") }},
	{"keep-yearly", func(t time.Time) string { return t.Format("2006") }},
}

// The marks of backups.
const (
	markKeep      = "keep"
	markRemove    = "remove"
	markProtected = "protected"
)

// marks says what the rules do with the backups of one VM, which are given newest first.
func marks(list []*volume, rules map[string]string) map[*volume]string {
	marked := map[*volume]string{}
	all := true
	for _, rule := range keeping {
		all = all && (rules[rule.name] == "" || rules[rule.name] == "0")
	}
	open := []*volume{}
	for _, b := range list {
		switch {
		case b.protected:
			marked[b] = markProtected
		case all || rules["keep-all"] == "1":
			marked[b] = markKeep
		default:
			open = append(open, b)
		}
	}
	for _, rule := range keeping {
		count, _ := strconv.Atoi(rules[rule.name])
		choose(open, marked, count, rule.period)
	}
	for _, b := range open {
		if marked[b] == "" {
			marked[b] = markRemove
		}
	}
	return marked
}

// choose keeps the newest backup of each of so many periods in which none is kept yet, and removes the others
// of these periods.
func choose(list []*volume, marked map[*volume]string, count int, period func(time.Time) string) {
	before, now := map[string]bool{}, map[string]bool{}
	for _, b := range list {
		before[period(b.made)] = before[period(b.made)] || marked[b] == markKeep
	}
	for _, b := range list {
		switch id := period(b.made); {
		case before[id] || marked[b] != "":
		case now[id]:
			marked[b] = markRemove
		case len(now) >= count:
			return
		default:
			now[id] = true
			marked[b] = markKeep
		}
	}
}

// pruning finds what the rules say about the backups of a storage: of one VM, or of all with 0. Without rules
// those of the storage count.
func (q *call) pruning(s *storage, vmid int, rules string) (list []*volume, marked map[*volume]string) {
	if rules == "" {
		rules = s.more["prune-backups"]
	}
	keep, _ := propStrings["prune"].parse("prune-backups", rules) // checked when it was set
	groups := map[int][]*volume{}
	for _, b := range q.c.sortedVolumes(s, q.node) {
		if b.content == "backup" && (vmid == 0 || vmid == b.vmid) && q.p["type"] != "lxc" {
			groups[b.vmid] = append(groups[b.vmid], b)
		}
	}
	marked = map[*volume]string{}
	for _, id := range sortedIDs(groups) {
		group := groups[id]
		slices.SortFunc(group, func(a, b *volume) int { return b.made.Compare(a.made) })
		for b, mark := range marks(group, keep) {
			marked[b] = mark
		}
		list = append(list, group...)
	}
	return list, marked
}

func (q *call) prunePreview() (any, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	out := []any{}
	list, marked := q.pruning(s, q.p.int("vmid", 0), q.p["prune-backups"])
	for _, b := range list {
		out = append(out, object{"volid": b.volid(), "ctime": b.made.Unix(), "mark": marked[b], "type": "qemu", "vmid": b.vmid})
	}
	return out, nil
}

func (q *call) prune() (any, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	id, vmid := s.Name, q.p.int("vmid", 0)
	if vmid == 0 {
		err = q.need("/storage/"+s.Name, "Datastore.Allocate")
	} else {
		id = fmt.Sprintf("%d@%s", vmid, s.Name)
		if err = q.need("/storage/"+s.Name, "Datastore.AllocateSpace"); err == nil {
			err = q.need("/vms/"+itoa(vmid), "VM.Backup")
		}
	}
	if err != nil {
		return nil, err
	}
	return q.fork("prunebackups", id, func(t *task) *job {
		return &job{steps: once(q.c.cfg.Durations.DeleteVolume, func() error {
			q.removeOld(s, vmid, q.p["prune-backups"], func(volid string) { t.log("Removed volume '%s'", volid) })
			return nil
		})}
	}), nil
}

// removeOld removes what the rules do not keep.
func (q *call) removeOld(s *storage, vmid int, rules string, tell func(volid string)) {
	list, marked := q.pruning(s, vmid, rules)
	for _, b := range list {
		if marked[b] == markRemove {
			q.c.free(b)
			tell(b.volid())
		}
	}
}
