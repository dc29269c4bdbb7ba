package pve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeNode has tasks that end at a time. Its own time is the bubble's.
type fakeNode struct {
	mu             sync.Mutex
	tasks          map[UPID]fakeTask
	broken         func(*http.Request) (*http.Response, error) // nil answers mean: as usual
	hidden         map[UPID]bool                               // not in lists
	statuses, list int                                         // calls
}

type fakeTask struct {
	ends time.Time
	exit string
}

func (n *fakeNode) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api2/json/nodes/pve1/tasks")
	switch {
	case path == "":
		n.list++
	case strings.HasSuffix(path, "/status"):
		n.statuses++
	case strings.HasSuffix(path, "/log"):
		return ok(`[{"n":1,"t":"one"},{"n":2,"t":"two"}]`), nil
	}
	if n.broken != nil {
		if res, err := n.broken(r); res != nil || err != nil {
			return res, err
		}
	}
	if path == "" {
		return n.listed(r)
	}
	u := UPID(strings.Trim(strings.TrimSuffix(path, "/status"), "/"))
	task, known := n.tasks[u]
	switch {
	case !known:
		return param("upid", "no such task"), nil
	case time.Now().Before(task.ends):
		return ok(`{"status":"running"}`), nil
	}
	return ok(fmt.Sprintf(`{"status":"stopped","exitstatus":%q}`, task.exit)), nil
}

func (n *fakeNode) listed(r *http.Request) (*http.Response, error) {
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	out := []map[string]any{}
	for u, task := range n.tasks {
		if n.hidden[u] || u.Started().Unix() < since {
			continue
		}
		if time.Now().Before(task.ends) {
			out = append(out, map[string]any{"upid": u, "status": "RUNNING"})
		} else {
			out = append(out, map[string]any{"upid": u, "status": task.exit, "endtime": task.ends.Unix()})
		}
	}
	b, err := json.Marshal(out)
	return ok(string(b)), err
}

// locked changes the node while it may be asked.
func (n *fakeNode) locked(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// add starts task i, which takes d.
func (n *fakeNode) add(i int, d time.Duration, exit string) UPID {
	u := UPID(fmt.Sprintf("UPID:pve1:%08X:00028172:6B04CFD1:qmstart:%d:root@pam!test:", i, 100+i))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tasks == nil {
		n.tasks = map[UPID]fakeTask{}
	}
	n.tasks[u] = fakeTask{time.Now().Add(d), exit}
	return u
}

// bubble runs a test with a node in false time and checks that no goroutine is left when nobody waits.
func bubble(t *testing.T, f func(*testing.T, *Client, *fakeNode)) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		c := newTest(t, n.RoundTrip)
		f(t, c, n)
		synctest.Wait()
		c.watches.mu.Lock()
		defer c.watches.mu.Unlock()
		if len(c.watches.nodes) != 0 {
			t.Errorf("%d nodes are watched for nobody", len(c.watches.nodes))
		}
	})
}

func TestWaitSuccess(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		start := time.Now()
		res, err := c.Wait(t.Context(), n.add(1, 10*time.Second, "OK"))
		if err != nil || res.Warnings != "" {
			t.Errorf("%+v, %v", res, err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 10*time.Second+defaultPollEvery {
			t.Errorf("seen after %s", took)
		}
		if n.statuses > 26 || n.list != 0 { // 0, 50, 100, 200, 400 ms, then twice a second
			t.Errorf("%d looks, %d lists", n.statuses, n.list)
		}
	})
}

// TestWaitIsQuickAtFirst: a task of a moment is not waited for half a second.
func TestWaitIsQuickAtFirst(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		start := time.Now()
		if _, err := c.Wait(t.Context(), n.add(1, 40*time.Millisecond, "OK")); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != firstPoll {
			t.Errorf("seen after %s", took)
		}
	})
}

// TestWaitLearnsHowLongTasksTake: of tasks that all take as long, all but few are seen at the first look,
// soon after their end. A type that became quicker is looked at sooner again.
func TestWaitLearnsHowLongTasksTake(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		for _, takes := range []time.Duration{250 * time.Millisecond, 0, 10 * time.Second} {
			const tasks = 40
			waited := time.Duration(0)
			n.statuses = 0
			for i := range tasks {
				start := time.Now()
				if _, err := c.Wait(t.Context(), n.add(i, takes, "OK")); err != nil {
					t.Error(err)
				}
				waited += time.Since(start) - takes
			}
			least := int(takes / defaultPollEvery)
			if each := float64(n.statuses) / tasks; each > float64(least)+1.35 {
				t.Errorf("tasks of %s: %.2f looks each", takes, each)
			}
			if late := waited / tasks; late > 200*time.Millisecond {
				t.Errorf("tasks of %s: seen %s after their end", takes, late)
			}
		}
	})
}

func TestWaitNothing(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		if res, err := c.Wait(t.Context(), ""); err != nil || res.Log != nil {
			t.Errorf("%+v, %v", res, err)
		}
		if _, err := c.Wait(t.Context(), "UPID:rubbish"); KindOf(err) != Refused {
			t.Error(err)
		}
		if n.statuses != 0 {
			t.Error("asked")
		}
	})
}

func TestWaitOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		res, err := c.Wait(t.Context(), n.add(1, time.Second, "WARNINGS: 2"))
		if err != nil || res.Warnings != "WARNINGS: 2" || len(res.Log) != 2 {
			t.Errorf("%+v, %v", res, err)
		}
		_, err = c.Wait(t.Context(), n.add(2, time.Second, "VM is locked (backup)"))
		e, ok := errors.AsType[*TaskError](err)
		if !ok || e.Kind != Locked || e.ExitStatus != "VM is locked (backup)" || len(e.Log) != 2 || e.UPID.ID() != "102" {
			t.Errorf("%v", err)
		}
		want := "task qmstart of VM 102 on node pve1: VM is locked (backup) (cluster c1, " + string(e.UPID) + ", locked)"
		if err.Error() != want {
			t.Errorf("%s\nwant %s", err, want)
		}
		_, err = c.Wait(t.Context(), "UPID:pve1:000000FF:00028172:6B04CFD1:qmstart:999:root@pam:")
		if KindOf(err) != TaskUnknown {
			t.Error(err)
		}
	})
}

// TestWaitSurvivesTheNode: while the node cannot be asked, nothing is known and nothing is claimed.
func TestWaitSurvivesTheNode(t *testing.T) {
	bad := []func() (*http.Response, error){
		func() (*http.Response, error) { return answer(595, "No route to host", ""), nil },
		func() (*http.Response, error) { return answer(596, "Connection timed out", ""), nil },
		func() (*http.Response, error) { return answer(502, "Bad Gateway", "<html>"), nil },
		func() (*http.Response, error) { return answer(200, "OK", "<html>"), nil },
		func() (*http.Response, error) { return said(500, "hostname lookup 'pve1' failed - x"), nil },
		func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	}
	for _, tasks := range []int{1, 5} {
		bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
			until, calls := time.Now().Add(blindFor*9/10), 0
			n.broken = func(*http.Request) (*http.Response, error) {
				if time.Now().After(until) {
					return nil, nil
				}
				calls++
				return bad[calls%len(bad)]()
			}
			var wg sync.WaitGroup
			for i := range tasks {
				u := n.add(i, 2*time.Second, "OK")
				wg.Go(func() {
					if _, err := c.Wait(t.Context(), u); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if time.Now().Before(until) || calls > 35 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

// TestWaitIsNotBlindInSilence: what cannot be seen for long is told, and is no end of the task.
func TestWaitIsNotBlindInSilence(t *testing.T) {
	for _, tasks := range []int{1, 5} {
		bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
			begun := time.Now()
			n.broken = func(*http.Request) (*http.Response, error) { return answer(595, "No route to host", ""), nil }
			var wg sync.WaitGroup
			for i := range tasks {
				u := n.add(i, time.Second, "OK")
				wg.Go(func() {
					_, err := c.Wait(t.Context(), u)
					if KindOf(err) != Transient || !strings.Contains(err.Error(), "No route to host") {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(begun); took < blindFor || took > blindFor+5*time.Second {
				t.Errorf("given up after %s", took)
			}
			n.locked(func() { n.broken = nil })
			if _, err := c.Wait(t.Context(), n.add(0, 0, "OK")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWaitEndsOnAnswers: a lost right will not come back by asking twice a second.
func TestWaitEndsOnAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		n.broken = func(*http.Request) (*http.Response, error) {
			return said(403, "Permission check failed (/nodes/pve1, Sys.Audit)"), nil
		}
		if _, err := c.Wait(t.Context(), n.add(1, time.Second, "OK")); KindOf(err) != NoPermission {
			t.Error(err)
		}
	})
}

// TestWaitMany: with many tasks one list a poll does it, and what it does not show is asked for.
func TestWaitMany(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		const tasks = 200
		var wg sync.WaitGroup
		for i := range tasks {
			exit := "OK"
			if i%10 == 0 {
				exit = "VM quit/powerdown failed"
			}
			u := n.add(i, time.Duration(i)*50*time.Millisecond, exit)
			if i == 150 {
				n.locked(func() { n.hidden = map[UPID]bool{u: true} })
			}
			wg.Go(func() {
				if _, err := c.Wait(t.Context(), u); (err == nil) != (exit == "OK") {
					t.Errorf("%s: %v", u, err)
				}
			})
		}
		wg.Wait()
		if n.list == 0 || n.list > 10_000/50+5 || n.statuses > 60 {
			t.Errorf("%d lists, %d looks at single tasks", n.list, n.statuses)
		}
	})
}

// TestWaitCancelled: a cancelled wait ends at once, even while the node holds the poll, and disturbs no other.
func TestWaitCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, c *Client, n *fakeNode) {
		hang := true
		n.broken = func(r *http.Request) (*http.Response, error) {
			if hang {
				n.mu.Unlock()
				<-r.Context().Done()
				n.mu.Lock()
				return nil, r.Context().Err()
			}
			return nil, nil
		}
		u := n.add(1, time.Hour, "OK")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := c.Wait(ctx, u)
		if !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != Transient || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		n.locked(func() {
			hang = false
			n.tasks[u] = fakeTask{time.Now().Add(time.Second), "OK"}
		})
		done := make(chan error)
		go func() { _, err := c.Wait(t.Context(), u); done <- err }()
		other, stop := context.WithCancel(t.Context())
		go func() { _, err := c.Wait(other, u); done <- err }()
		synctest.Wait()
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{}
		c := newTest(t, n.RoundTrip)
		u := n.add(1, time.Hour, "OK")
		done := make(chan error)
		go func() { _, err := c.Wait(t.Context(), u); done <- err }()
		synctest.Wait()
		c.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := c.Wait(t.Context(), u); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := c.Version(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		c.Close() // twice is harmless
	})
}

// TestOneRequestHasATimeLimit, and it is not the caller's deadline.
func TestOneRequestHasATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		_, err := c.Start(t.Context(), "pve1", 101)
		if KindOf(err) != MaybeCommitted || errors.Is(err, context.DeadlineExceeded) || time.Since(start) != defaultTimeout {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if !strings.Contains(err.Error(), "nothing came within 40s") {
			t.Error(err)
		}
	})
}

// TestMaxInFlight: the limit holds, and waiting for a place does not count against the request's time.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-time.After(30 * time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return ok(`{"version":"9"}`), nil
		}, func(cfg *Config) { cfg.MaxInFlight = 3 })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := c.Version(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != 3 {
			t.Errorf("%d at once", most)
		}
	})
}
