package dns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// told is a diff in short.
func told(d *vmlinev1.DnsDiff) string {
	var names []string
	for _, n := range d.GetNames() {
		text := n.GetAction() + " " + n.GetName()
		for _, set := range n.GetStanding() {
			if set.GetType() != "TXT" {
				text += fmt.Sprintf(" (%s %s)", set.GetType(), strings.Join(set.GetValues(), " "))
			}
		}
		if n.GetHolder() != "" {
			text += " of " + n.GetHolder()
		}
		names = append(names, text)
	}
	return d.GetRef() + ": " + strings.Join(append(names, d.GetNotes()...), ", ")
}

func TestDiffTellsWhatIsNotAsItShouldBe(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	for host := 1; host <= 4; host++ {
		w.must(s.settle(t.Context(), w.append(ready(w.vm(host)))))
	}
	w.append(terminated(w.vm(3)))                                  // its records still stand
	w.foreign("example.com.", "vm2.example.com.", "A 203.0.113.9") // beside our mark
	w.foreign("2.0.192.in-addr.arpa.", "4.2.0.192.in-addr.arpa.")  // removed
	thief := ready(w.vm(5))                                        // wants the name of VM 1
	thief.Package.Name = "vm1"
	w.append(thief)
	w.foreign("example.com.", "vm6.example.com.", "A 203.0.113.6") // in use without a mark
	sixth := ready(w.vm(6))
	sixth.Package.Dns.Ptr = false
	w.append(sixth)
	w.updates.Store(0)
	reply, err := w.service().diff(t.Context(), &vmlinev1.DnsDiffRequest{})
	w.must(err)
	var got []string
	for _, d := range reply.GetVms() {
		got = append(got, told(d))
	}
	want := []string{
		"shop-2: replace vm2.example.com. (A 203.0.113.9)",
		"shop-3: delete 3.2.0.192.in-addr.arpa. (PTR vm3.example.com.), delete vm3.example.com. (A 192.0.2.3)",
		"shop-4: replace 4.2.0.192.in-addr.arpa.",
		"shop-5: create 5.2.0.192.in-addr.arpa., conflict vm1.example.com. of shop-1",
		"shop-6: conflict vm6.example.com. (A 203.0.113.6)",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || reply.GetCompared() != 6 || reply.GetNext() != "" {
		t.Errorf("%d compared:\n%s\nwant\n%s", reply.GetCompared(), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w.updates.Load() != 0 {
		t.Error("a question changed something")
	}
}

func TestDiffInPages(t *testing.T) {
	w := newWorld(t)
	for host := 1; host <= 5; host++ {
		w.append(ready(w.vm(host)))
	}
	gone := w.append(terminated(w.vm(6)))
	w.offset.Add(int64(recent + time.Since(gone.Time)))
	s := w.service()
	var refs []string
	req := &vmlinev1.DnsDiffRequest{Limit: 2}
	for pages := 1; ; pages++ {
		reply, err := s.diff(t.Context(), req)
		w.must(err)
		for _, d := range reply.GetVms() {
			refs = append(refs, d.GetRef())
		}
		if req.After = reply.GetNext(); req.GetAfter() == "" {
			if got := strings.Join(refs, " "); pages != 3 || got != "shop-1 shop-2 shop-3 shop-4 shop-5" {
				t.Errorf("%d pages: %s", pages, got)
			}
			return
		}
	}
}

// TestDiffOfOneVM looks at every name that it ever had, says that all is well, and why it cannot say it.
func TestDiffOfOneVM(t *testing.T) {
	w := newWorld(t)
	w.must(w.service().settle(t.Context(), w.append(ready(w.vm(1)))))
	moved := ready(w.vm(1))
	moved.Addresses[0].Address = "192.0.2.2"
	w.append(moved)
	s := w.service()
	reply, err := s.diff(t.Context(), &vmlinev1.DnsDiffRequest{Ref: "shop-1"})
	w.must(err)
	want := "shop-1: delete " + reverse1 + " (PTR vm1.example.com.), create " + reverse2 + ", replace vm1.example.com. (A 192.0.2.1)"
	if got := told(reply.GetVms()[0]); got != want {
		t.Errorf("diff %q, want %q", got, want)
	}
	if _, err := w.press(s, moved); err != nil {
		t.Fatal(err)
	}
	defer w.run()()
	ask := func() *vmlinev1.DnsDiff {
		reply := &vmlinev1.DnsDiffReply{}
		for deadline := time.Now().Add(patience); ; { // it may not listen yet
			err := w.bus.Ask(t.Context(), chain.DNS, bus.QuestionDiff, &vmlinev1.DnsDiffRequest{Ref: "shop-1"}, reply)
			if err == nil {
				return reply.GetVms()[0]
			}
			if !errors.Is(err, bus.ErrNobody) || time.Now().After(deadline) {
				t.Fatal(err)
			}
			w.must(bus.Pause(t.Context(), 5*time.Millisecond))
		}
	}
	if got := told(ask()); got != "shop-1: " {
		t.Errorf("diff %s", got)
	}
	w.down()
	if d := ask(); !strings.Contains(d.GetError(), "cannot be reached") {
		t.Errorf("with the server down: %v", d)
	}
	if _, err := s.diff(t.Context(), &vmlinev1.DnsDiffRequest{Ref: "nobody"}); err == nil {
		t.Error("a VM that never was has a diff")
	}
	w.up()
}
