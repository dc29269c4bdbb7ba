package pvesim

import "time"

// noContainers: the simulator has none.
func (q *call) noContainers() (any, error) { return []any{}, nil }

// loadZone finds a time zone by its name; the machine's own has none.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fail("no time zone '%s'", name)
	}
	return time.LoadLocation(name)
}

func (q *call) nodeTime() (any, error) {
	zone := q.c.node(q.node).zone
	now := q.c.cfg.Now().In(zone)
	_, offset := now.Zone()
	return object{"timezone": zone.String(), "time": now.Unix(), "localtime": now.Unix() + int64(offset)}, nil
}

// historySteps are how far apart the points of a time frame are.
var historySteps = map[string]time.Duration{
	"hour": time.Minute, "day": 30 * time.Minute, "week": 3 * time.Hour, "month": 12 * time.Hour, "year": 7 * 24 * time.Hour, "decade": 7 * 24 * time.Hour,
}

// historyPoints is how many points a time frame has.
const historyPoints = 70

// history is a series that was always what it is now.
func (q *call) history(now object) []any {
	step := historySteps[q.p["timeframe"]]
	last := q.c.cfg.Now().Truncate(step)
	out := []any{}
	for i := range historyPoints {
		point := object{"time": last.Add(-step * time.Duration(historyPoints-1-i)).Unix()}
		for k, v := range now {
			point[k] = v
		}
		out = append(out, point)
	}
	return out
}

func (q *call) nodeHistory() (any, error) {
	f := q.c.nodeFigures(q.c.node(q.node))
	return q.history(object{
		"cpu": f["cpu"], "maxcpu": f["maxcpu"], "memused": f["mem"], "memtotal": f["maxmem"], "rootused": f["disk"], "roottotal": f["maxdisk"],
		"loadavg": 0, "iowait": 0, "netin": 0, "netout": 0, "swapused": 0, "swaptotal": 0,
	}), nil
}

func (q *call) vmHistory() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	f := q.c.figures(v)
	return q.history(object{
		"cpu": f["cpu"], "maxcpu": f["cpus"], "mem": f["mem"], "maxmem": f["maxmem"], "disk": f["disk"], "maxdisk": f["maxdisk"],
		"netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0,
	}), nil
}
