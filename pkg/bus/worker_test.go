package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// quick retries at once, with nothing turned into a tick.
var quick = RetryPolicy{First: time.Millisecond, Cap: 4 * time.Millisecond, GiveUp: time.Hour, Hold: time.Minute}

func TestNewWorkerWantsExactlyItsSteps(t *testing.T) {
	t.Parallel()
	b := &Bus{}
	for name, steps := range map[string]map[vmlinev1.Status]StepFunc{
		"none":      nil,
		"another's": stepsWith(chain.Provisioner, noWork),
		"too many": func() map[vmlinev1.Status]StepFunc {
			m := stepsWith(chain.IPAM, noWork)
			m[vmlinev1.Status_STATUS_CLONE] = noWork
			return m
		}(),
	} {
		if _, err := b.NewWorker(chain.IPAM, steps); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestChainOfEveryRoute(t *testing.T) {
	t.Parallel()
	for _, route := range chain.Routes() {
		if route.Dynamic != nil && route.Step == chain.Same {
			continue // its way is the rest of another's
		}
		t.Run(route.Verb(), func(t *testing.T) {
			t.Parallel()
			b := open(t, Options{Retry: quick})
			runWorkers(t, b, noWork)
			for i := range 10 {
				begin(t, b, fmt.Sprintf("a-%d", i), route.Kind)
			}
			for i := range 10 {
				ref := fmt.Sprintf("a-%d", i)
				until(t, b, ref, ended)
				checkLog(t, b, ref, route.Kind)
			}
		})
	}
}

// TestTwoWorkersAndTwoDeliveries hands every message to two workers at once, and then again.
func TestTwoWorkersAndTwoDeliveries(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, owner := range owners {
		var two [2]*Worker
		for i := range two {
			var err error
			if two[i], err = b.NewWorker(owner, stepsWith(owner, noWork)); err != nil {
				t.Fatal(err)
			}
		}
		running.Go(func() {
			_ = b.consume(ctx, StreamVM, string(owner), two[0].mine, func(ctx context.Context, msg jetstream.Msg) verdict {
				var both sync.WaitGroup
				for range 2 {
					for _, w := range two {
						both.Go(func() {
							if v := w.handle(ctx, msg); v.kind != ackKind && v.err != nil && ctx.Err() == nil {
								t.Errorf("verdict %v", v)
							}
						})
					}
				}
				both.Wait()
				return two[0].handle(ctx, msg)
			})
		})
	}
	for i := range 5 {
		begin(t, b, fmt.Sprintf("a-%d", i), create)
	}
	for i := range 5 {
		ref := fmt.Sprintf("a-%d", i)
		until(t, b, ref, ended)
		checkLog(t, b, ref, create)
	}
}

func TestABusyTriggerIsKept(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	seq := begin(t, b, "a-1", create)
	w, err := b.NewWorker(chain.IPAM, stepsWith(chain.IPAM, noWork))
	if err != nil {
		t.Fatal(err)
	}
	w.begin("a-1", seq)
	if v := w.handle(testContext(t), message(t, b, chain.IPAM)); v.kind != againKind || v.err != nil {
		t.Errorf("a second delivery of a busy trigger: %v, want again without an error", v)
	}
	if err := w.Retry(testContext(t), "a-1", seq); err != nil {
		t.Errorf("a tick for a busy trigger: %v, want nothing", err)
	}
}

// message fetches the next message of a service's consumer.
func message(t testing.TB, b *Bus, owner chain.Service) jetstream.Msg {
	t.Helper()
	cons, err := b.js.Consumer(testContext(t), StreamVM, string(owner))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := cons.Next(jetstream.FetchMaxWait(testTime))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestASupersededStepIsDropped(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	begin(t, b, "a-1", create)
	runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.VM.GetStatus() != vmlinev1.Status_STATUS_CLONE {
			return Done, nil
		}
		if err := trigger.Current(ctx); err != nil {
			return Done, fmt.Errorf("not current: %w", err)
		}
		vm := admitted("a-1", terminate)
		if _, err := b.Append(ctx, vm, trigger.seq); err != nil {
			return Done, err
		}
		return Done, trigger.Current(ctx)
	})
	e := until(t, b, "a-1", ended)
	if e.VM.GetStatus() != vmlinev1.Status_STATUS_TERMINATED {
		t.Errorf("ended as %v", e.VM)
	}
}

// TestAnOvertakenStepTakesBackWhatItDid: however the step ends once a newer state is there. One whose outcome is
// stored takes nothing back.
func TestAnOvertakenStepTakesBackWhatItDid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		overtaken bool
		end       error
	}{
		{"it is done", true, nil},
		{"it has noticed", true, ErrSuperseded},
		{"it has failed", true, errors.New("no answer")},
		{"nobody overtakes it", false, nil},
		{"it fails alone", false, errors.New("no answer")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t, Options{})
			seq := begin(t, b, "a-1", create)
			var undone uint64
			steps := map[vmlinev1.Status]StepFunc{}
			for _, s := range chain.StepsOf(chain.IPAM) {
				steps[s.To] = func(ctx context.Context, trigger *Trigger) (Outcome, error) {
					trigger.Overtaken = func(ctx context.Context) error {
						last, err := b.Last(ctx, "a-1")
						undone = last.Seq
						return err
					}
					if tt.overtaken {
						if _, err := b.Append(ctx, admitted("a-1", terminate), trigger.seq); err != nil {
							t.Error(err)
						}
					}
					return Done, tt.end
				}
			}
			w, err := b.NewWorker(chain.IPAM, steps)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Retry(t.Context(), "a-1", seq); err != nil {
				t.Error(err)
			}
			if (undone > seq) != tt.overtaken || !tt.overtaken && undone != 0 {
				t.Errorf("it takes back at %d, its own state is %d", undone, seq)
			}
		})
	}
}

func TestRecordedIsStoredAndGoesOn(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	runWorkers(t, b, func(_ context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_CLONE && trigger.VM.GetTask() == nil {
			trigger.VM.Task = &vmlinev1.Task{Upid: "UPID:1"}
			return Recorded, nil
		}
		return Done, nil
	})
	begin(t, b, "a-1", create)
	until(t, b, "a-1", ended)
	checkLog(t, b, "a-1", create)
	entries, err := b.History(testContext(t), "a-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.VM.GetEvent() == vmlinev1.Event_EVENT_RECORDED {
			if e.VM.GetTask().GetUpid() != "UPID:1" || e.VM.GetStatus() != vmlinev1.Status_STATUS_SET_IP {
				t.Errorf("recorded %v", e.VM)
			}
			return
		}
	}
	t.Error("nothing was recorded")
}

func TestTransientErrorsAreRetried(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]RetryPolicy{
		"in hand":   quick,
		"as a tick": {First: 500 * time.Millisecond, Cap: 500 * time.Millisecond, Hold: time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls counter
			b := open(t, Options{Retry: policy, Intercept: calls.intercept})
			runWorkers(t, b, func(_ context.Context, trigger *Trigger) (Outcome, error) {
				if trigger.Step.To == vmlinev1.Status_STATUS_CLONE && trigger.VM.GetRetry().GetAttempts() < 3 {
					return Done, errors.New("node does not answer")
				}
				return Done, nil
			})
			begin(t, b, "a-1", create)
			until(t, b, "a-1", ended)
			checkLog(t, b, "a-1", create)
			ticks := calls.of("tick.schedule") - len(RecurringTicks)
			// What is due before its tick can be scheduled needs none.
			if policy == quick && ticks != 0 || policy != quick && ticks < 1 {
				t.Errorf("%d ticks were scheduled", ticks)
			}
		})
	}
}

func TestNobodyActsOnAParkedVM(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := apply(t, connect(t, s, Options{Retry: quick}))
	runWorkers(t, b, func(_ context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_CLONE {
			return Done, fmt.Errorf("clone: %w", &NeedsPerson{Cause: "foreign machine \xff", Kept: "It was not touched.", Next: "Look."})
		}
		return Done, nil
	})
	begin(t, b, "a-1", create)
	e := until(t, b, "a-1", parked)
	if p := e.VM.GetProblem(); p.GetCause() != "foreign machine \uFFFD" || p.GetStep() != vmlinev1.Status_STATUS_CLONE || e.VM.GetStatus() != vmlinev1.Status_STATUS_SET_IP {
		t.Errorf("parked as %v", e.VM)
	}
	var calls counter
	later := connect(t, s, Options{Now: inAnHour, Intercept: calls.intercept})
	if err := later.Sweep(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if n := calls.of("tick.publish"); n != 0 {
		t.Errorf("the sweeper asked %d times for a parked VM", n)
	}
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func TestWhatAchievedSomethingIsStoredWhileStopping(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	started := make(chan struct{})
	p := runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_CLONE {
			close(started)
			<-ctx.Done()
		}
		return Done, nil
	})
	begin(t, b, "a-1", create)
	<-started
	p.stop()
	e, err := b.Last(testContext(t), "a-1")
	if err != nil || e.VM.GetStatus() != vmlinev1.Status_STATUS_CLONE {
		t.Errorf("stands at %v, %v", e.VM.GetStatus(), err)
	}
}

// TestStoppingCostsOneDelivery stops a process in the middle of a step; another one goes on at once,
// long before AckWait.
func TestStoppingCostsOneDelivery(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	started := make(chan struct{})
	first := runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_CLONE {
			close(started)
			<-ctx.Done()
			return Done, ctx.Err()
		}
		return Done, nil
	})
	begin(t, b, "a-1", create)
	<-started
	first.stop()
	cons, err := b.js.Consumer(testContext(t), StreamVM, string(chain.Provisioner))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := cons.Next(jetstream.FetchMaxWait(testTime))
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := msg.Metadata(); err != nil || meta.NumDelivered != 2 {
		t.Errorf("delivered %d times, %v; want 2", meta.NumDelivered, err)
	}
	if err := msg.Nak(); err != nil {
		t.Fatal(err)
	}
	runWorkers(t, b, noWork)
	until(t, b, "a-1", ended)
	checkLog(t, b, "a-1", create)
}

// TestHeartbeatsKeepALongStep works twice as long as AckWait on one delivery. The time is the server's, so it
// really passes; there is enough of it for a machine that stands still now and then.
func TestHeartbeatsKeepALongStep(t *testing.T) {
	t.Parallel()
	const ackWait = 2 * time.Second
	b := open(t, Options{Retry: quick, AckWait: ackWait})
	var calls counter
	runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_CLONE {
			_ = calls.intercept(ctx, "clone", func(ctx context.Context) error { return Pause(ctx, 2*ackWait) })
		}
		return Done, nil
	})
	begin(t, b, "a-1", create)
	until(t, b, "a-1", ended)
	if n := calls.of("clone"); n != 1 {
		t.Errorf("the step ran %d times", n)
	}
	cons, err := b.js.Consumer(testContext(t), StreamVM, string(chain.Provisioner))
	if err != nil {
		t.Fatal(err)
	}
	if info := cons.CachedInfo(); info.Delivered.Consumer != info.Delivered.Stream {
		t.Errorf("%d deliveries of %d messages", info.Delivered.Consumer, info.Delivered.Stream)
	}
}

// TestServerRestart stops the server while a step is at work and starts it again on the same files.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	o := embedded.Options{Dir: t.TempDir(), Port: -1, Fast: true}
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { embedded.Stop(s) }()
	nc, err := Dial(Server{URL: s.ClientURL(), Name: "test"}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b := apply(t, newBus(t, nc, Options{Retry: quick, AckWait: time.Second}))
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p := runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_SET_CPU_RAM {
			once.Do(func() { close(started) })
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return Done, nil
	})
	defer p.stop()
	begin(t, b, "a-1", create)
	<-started
	o.Port = port(s)
	embedded.Stop(s)
	close(release)
	if s, err = embedded.Start(o); err != nil {
		t.Fatal(err)
	}
	until(t, b, "a-1", ended)
	checkLog(t, b, "a-1", create)
}

func port(s *server.Server) int { return s.Addr().(*net.TCPAddr).Port }

func TestRunEndsWhenItsConsumerOrConnectionIsGone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *Bus){
		"consumer": func(t *testing.T, b *Bus) {
			if err := b.js.DeleteConsumer(testContext(t), StreamVM, string(chain.IPAM)); err != nil {
				t.Error(err)
			}
		},
		"connection": func(_ *testing.T, b *Bus) { b.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, Options{Retry: quick})
			w, err := b.NewWorker(chain.IPAM, stepsWith(chain.IPAM, func(context.Context, *Trigger) (Outcome, error) {
				end(t, b)
				return Done, nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			begin(t, b, "a-1", create)
			if err := w.Run(testContext(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want an error that says what is gone", err)
			}
		})
	}
}

// TestAConsumerThatIsMadeAgain starts with the newest states and does not repeat old steps.
func TestAConsumerThatIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	p := runWorkers(t, b, noWork)
	begin(t, b, "a-1", create)
	until(t, b, "a-1", ended)
	p.stop()
	begin(t, b, "a-2", create)
	if err := b.js.DeleteConsumer(testContext(t), StreamVM, string(chain.IPAM)); err != nil {
		t.Fatal(err)
	}
	apply(t, b)
	runWorkers(t, b, func(_ context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.VM.GetRef() != "a-2" {
			t.Errorf("a step of %s is repeated", trigger.VM.GetRef())
		}
		return Done, nil
	})
	until(t, b, "a-2", ended)
	checkLog(t, b, "a-1", create)
	checkLog(t, b, "a-2", create)
}
