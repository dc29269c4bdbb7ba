package pvesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// agreeFloor is how many recorded answers the simulator has agreed with. It only grows.
const agreeFloor = 512

// reply is what the simulator said.
type reply struct {
	code   int
	reason string
	body   []byte
}

// replay runs the recorded requests against one simulator.
type replay struct {
	t       *testing.T
	c       *Cluster
	records []record
	upids   map[string]string // recorded to ours
	digests map[string]string // recorded to ours
	release func()            // of a lock file that the set-up holds
	ticket  ticketInfo
	cookie  string
	logs    [2]int // lines of task logs that agree, and all
}

// unprivileged are the sections recorded with the token puq@pve!prov.
var unprivileged = []string{
	"token without acl", "pool-scoped least privilege", "delete backup of a VM that no longer exists (pool role)", "minimal privs probe: token lists",
}

func (p *replay) token(r record) string {
	switch {
	case r.Series == "s16":
		return "PVEAPIToken=none@pve!none=none"
	case contains(unprivileged, r.Section):
		return "PVEAPIToken=puq@pve!prov=" + p.secret("puq@pve!prov")
	case r.Section == "bad creds" || r.Section == "401 timing":
		return "PVEAPIToken=root@pam!test=wrong"
	}
	return "PVEAPIToken=root@pam!test=secret"
}

func (p *replay) secret(name string) string {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if t := p.c.access.tokens[name]; t != nil {
		return t.secret
	}
	return ""
}

var recordedUPID = regexp.MustCompile(`UPID:[^/]*:`)

// path replaces a recorded UPID by ours.
func (p *replay) path(path string) string {
	return recordedUPID.ReplaceAllStringFunc(path, func(upid string) string {
		if ours, ok := p.upids[upid]; ok {
			return ours
		}
		want := strings.Split(upid, ":")
		if want[2] == "00000001" {
			return upid
		}
		for _, task := range p.c.Tasks() {
			if task.Type == want[5] && task.ID == want[6] {
				upid = task.UPID
			}
		}
		return upid
	})
}

func (p *replay) send(r record) reply {
	path, query, _ := strings.Cut(p.path(r.Path), "?")
	values := form(r.Params)
	if ours, ok := p.digests[values.Get("digest")]; ok {
		values.Set("digest", ours)
	}
	body := io.Reader(http.NoBody)
	target := "http://sim/api2/json" + path
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		if encoded := values.Encode(); encoded != "" {
			query = encoded
		}
	} else {
		body = strings.NewReader(values.Encode())
	}
	if query != "" {
		target += "?" + query
	}
	req, err := http.NewRequest(r.Method, target, body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.Auth == "root-ticket" {
		req.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: p.cookie})
		req.Header.Set("CSRFPreventionToken", p.ticket.csrf)
	} else {
		req.Header.Set("Authorization", p.token(r))
	}
	resp, err := p.c.RoundTrip(req)
	if err != nil {
		return reply{reason: err.Error()}
	}
	b, _ := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, strings.TrimPrefix(resp.Status, fmt.Sprint(resp.StatusCode)+" "), b}
}

// call is a request of the set-up; it must succeed. It returns the UPID, if there is one.
func (p *replay) call(method, path, params string) string {
	p.t.Helper()
	got := p.send(record{Method: method, Path: path, Params: params})
	if got.code != 200 {
		p.t.Errorf("set-up %s %s %s: %d %s", method, path, params, got.code, got.reason)
	}
	var b struct{ Data any }
	_ = json.Unmarshal(got.body, &b)
	upid, _ := b.Data.(string)
	return upid
}

// finish lets time pass until a task has ended.
func (p *replay) finish(upid string) TaskState {
	for {
		for _, task := range p.c.Tasks() {
			if task.UPID == upid && !task.Running {
				return task
			}
		}
		pass(10 * time.Millisecond)
	}
}

// idle lets time pass until no task runs.
func (p *replay) idle() {
	for _, task := range p.c.Tasks() {
		if task.Running {
			p.finish(task.UPID)
		}
	}
}

// compare says how an answer differs from the recorded one; "" when they agree.
func (p *replay) compare(r record, got reply) string {
	if got.code != r.Code || got.reason != r.Reason {
		return fmt.Sprintf("%d %s, recorded %d %s", got.code, got.reason, r.Code, r.Reason)
	}
	if len(r.Body) == 0 {
		if len(got.body) > 0 && r.Code != 200 {
			return "a body, recorded none"
		}
		return ""
	}
	var want, have map[string]any
	if json.Unmarshal(r.Body, &want) != nil || json.Unmarshal(got.body, &have) != nil {
		return "the body is no JSON object: " + string(got.body)
	}
	for _, k := range []string{"message", "errors"} {
		if a, b := fmt.Sprint(have[k]), fmt.Sprint(want[k]); a != b {
			return fmt.Sprintf("%s %q, recorded %q", k, a, b)
		}
	}
	if a, b := shapeOf(have), shapeOf(want); a != b {
		return fmt.Sprintf("shape\n    %s, recorded\n    %s", a, b)
	}
	return ""
}

// upidShape matches a UPID, which is told apart from other strings.
var upidShape = regexp.MustCompile(`^UPID:.*:$`)

// openObjects are keys whose objects are named freely.
var openObjects = regexp.MustCompile(`^(/|tap\d)`)

// shapeOf is the keys and types of a value. Lists are the set of the shapes in them.
func shapeOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for k, x := range v {
			if openObjects.MatchString(k) {
				k, x = "*", nil
			}
			parts = append(parts, k+":"+shapeOf(x))
		}
		sort.Strings(parts)
		return "{" + strings.Join(compact(parts), " ") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, shapeOf(x))
		}
		sort.Strings(parts)
		return "[" + strings.Join(compact(parts), " ") + "]"
	case string:
		if upidShape.MatchString(v) {
			return "upid"
		}
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	}
	return "null"
}

func compact(sorted []string) []string {
	var out []string
	for i, s := range sorted {
		if i == 0 || s != sorted[i-1] {
			out = append(out, s)
		}
	}
	return out
}

// tasks compares the tasks of a recorded answer with ours. Tasks that ran at the same time may have
// changed places.
func (p *replay) tasks(r record) string {
	var want, have []string
	for _, task := range r.Tasks {
		ours := p.finish(p.path(task.Status.UPID))
		want, have = append(want, task.Status.ExitStatus), append(have, ours.ExitStatus)
		p.compareLog(ours.Log, task.Log.Data)
	}
	sort.Strings(want)
	sort.Strings(have)
	if a, b := strings.Join(have, "; "), strings.Join(want, "; "); a != b {
		return fmt.Sprintf("exit status %q, recorded %q", a, b)
	}
	return ""
}

func (p *replay) compareLog(ours []string, recorded []struct{ T string }) {
	for i, line := range recorded {
		p.logs[1]++
		if i < len(ours) && recordedUPID.ReplaceAllString(ours[i], "UPID") == recordedUPID.ReplaceAllString(line.T, "UPID") {
			p.logs[0]++
		}
	}
}

// note remembers which of our UPIDs and digests stand for recorded ones.
func (p *replay) note(r record, got reply) {
	var want, have struct{ Data any }
	_ = json.Unmarshal(r.Body, &want)
	_ = json.Unmarshal(got.body, &have)
	a, _ := want.Data.(string)
	b, _ := have.Data.(string)
	if upidShape.MatchString(a) && upidShape.MatchString(b) {
		p.upids[a] = b
	}
	theirs, _ := want.Data.(map[string]any)
	ours, _ := have.Data.(map[string]any)
	if digest, ok := theirs["digest"].(string); ok {
		p.digests[digest], _ = ours["digest"].(string)
	}
}

// TestRecordedAnswers replays what a real Proxmox VE was asked and compares code, reason phrase,
// message, parameter errors, shape of the data (for configurations, firewalls and the like all values)
// and the tasks' exit statuses.
func TestRecordedAnswers(t *testing.T) {
	records := loadRecords(t)
	synctest.Test(t, func(t *testing.T) {
		p := newReplay(t, records)
		defer p.c.Close()
		agree := 0
		var differ []string
		for i, r := range records {
			problem := p.line(i, r)
			if problem == "" {
				agree++
				continue
			}
			differ = append(differ, fmt.Sprintf("#%d %s/%s %s %s %s: %s", i, r.Series, r.Section, r.Method, r.Path, r.Params, problem))
		}
		t.Logf("%d of %d recorded answers agree (%.1f %%); %d of %d lines of task logs", agree, len(records), 100*float64(agree)/float64(len(records)), p.logs[0], p.logs[1])
		for _, d := range differ {
			t.Log(d)
		}
		if agree < agreeFloor {
			t.Errorf("only %d recorded answers agree, %d did before", agree, agreeFloor)
		}
	})
}

// line replays one recorded request and says how our answer differs.
func (p *replay) line(i int, r record) string {
	if f := setUp[i]; f != nil {
		f(p)
	}
	if reason, ok := notReproduced[i]; ok {
		return "not asked: " + reason
	}
	asked := r
	if other, ok := askInstead[i]; ok {
		asked.Method, asked.Path, asked.Params = other[0], other[1], other[2]
	}
	got := p.send(asked)
	p.note(r, got)
	pass(time.Millisecond)
	if f := meanwhile[i]; f != nil {
		f(p)
	}
	if problem := p.compare(r, got); problem != "" {
		return problem
	}
	if problem := compareValues(r, got); problem != "" {
		return problem
	}
	return p.tasks(r)
}

// steady are the answers whose values do not hang on the machine or the time.
var steady = regexp.MustCompile(`/(config|pending|rules|options|nextid|cloudinit|dump|ipset/.*|feature|PVEVM.*|acl|version|permissions)$`)

// volatile are the parts of values that are made up anew each time.
var volatile = regexp.MustCompile(`BC(:[0-9A-F]{2}){5}|bc(:[0-9a-f]{2}){5}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{40}\b|ctime=\d+|\$5\$[^\\]*`)

// compareValues compares the whole answer, without what is made up. Lists are taken as sets.
func compareValues(r record, got reply) string {
	if r.Method != http.MethodGet || r.Code != 200 || !steady.MatchString(r.Path) {
		return ""
	}
	if a, b := plain(got.body), plain(r.Body); a != b {
		return fmt.Sprintf("values\n    %s, recorded\n    %s", a, b)
	}
	return ""
}

func plain(body []byte) string {
	var v struct{ Data any }
	_ = json.Unmarshal(body, &v)
	if list, ok := v.Data.([]any); ok {
		sort.Slice(list, func(i, j int) bool { return fmt.Sprint(list[i]) < fmt.Sprint(list[j]) })
	}
	b, _ := json.Marshal(v.Data)
	return string(volatile.ReplaceAll(b, []byte("~")))
}

func newReplay(t *testing.T, records []record) *replay {
	cfg := Config{
		Tokens:     map[string]string{"root@pam!test": "secret", "none@pve!none": "none"},
		Passwords:  map[string]string{"root@pam": "root"},
		ACL:        []ACL{},
		Nodes:      []Node{{Name: "pve1", CPUs: 2, IP: "192.0.2.10"}},
		Storages:   []Storage{{Name: "shared1", Shared: true, Content: []string{"images", "backup"}}, {Name: "local", Content: dirContent}},
		StatsEvery: 10 * time.Second,
		Durations:  Durations{Fork: 5 * time.Millisecond, Create: time.Second, Clone: 1500 * time.Millisecond, Start: 100 * time.Millisecond, Config: 10 * time.Millisecond, Destroy: 10 * time.Millisecond},
	}
	p := &replay{t: t, c: New(cfg), records: records, upids: map[string]string{}, digests: map[string]string{}}
	got := p.send(record{Method: "POST", Path: "/access/ticket", Params: "username=root@pam password=root"})
	var b struct {
		Data struct{ Ticket, CSRFPreventionToken string }
	}
	if err := json.NewDecoder(bytes.NewReader(got.body)).Decode(&b); err != nil || b.Data.Ticket == "" {
		t.Fatalf("no ticket: %s", got.body)
	}
	p.cookie, p.ticket.csrf = b.Data.Ticket, b.Data.CSRFPreventionToken
	return p
}
