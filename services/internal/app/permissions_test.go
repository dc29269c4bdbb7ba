package app

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vmline/vmline/pkg/bus"
)

// TestEachUserOfNATSCanDoItsWorkAlone holds deploy/nats/nats-server.conf against what a service that
// was broken into would try.
func TestEachUserOfNATSCanDoItsWorkAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it builds and runs a NATS server")
	}
	d := newDeployment(t, testEnv())
	d.buildPackages()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d.startNATS(ctx)
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			nc := d.connect(s.Name)
			for _, subject := range append(forbidden(s.Name), others(s.Name)...) {
				if !denied(t, nc, subject) {
					t.Errorf("%s may publish %s", s.Name, subject)
				}
			}
			for _, subject := range allowed[s.Name] {
				if denied(t, nc, subject) {
					t.Errorf("%s may not publish %s", s.Name, subject)
				}
			}
			for _, subject := range []string{">", "_INBOX.>", "_INBOX_vmline.>", "cmd.>", "$KV.>", "tail.cmd.>"} {
				if !deniedToRead(t, nc, subject) {
					t.Errorf("%s may read %s", s.Name, subject)
				}
			}
		})
	}
}

// allowed are examples of each service's own work.
var allowed = map[string][]string{
	"gateway":     {"cmd.lifecycle.create.w1-1", "$JS.API.STREAM.MSG.GET.VM", "$JS.API.STREAM.MSG.DELETE.CMD"},
	"lifecycle":   {"vm.w1-1", "tick.ipam.retry.w1-1", "$KV.REFUSAL.op"},
	"ipam":        {"vm.w1-1", "sched.ipam.retry.w1-1", "$KV.IPAM.public.x"},
	"provisioner": {"vm.w1-1", "$KV.VMID.dc1.100", "dlq.provisioner"},
	"dns":         {"$JS.ACK.VM.dns.1", "dlq.dns"},
}

// forbidden is what a service must not do: what others may, and what none may.
func forbidden(service string) []string {
	list := []string{
		"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.VM", "$JS.API.STREAM.DELETE.VM", "$JS.API.STREAM.PURGE.VM", "$JS.API.STREAM.MSG.DELETE.VM",
		"$JS.API.CONSUMER.DURABLE.CREATE.VM.x", "sched.dns.sync", "tick.lifecycle.sweep", "tail.vm.w1-1",
	}
	work := map[string]string{
		"cmd.lifecycle.create.w1-1": "gateway", "$KV.IPAM.public.x": "ipam", "$KV.VMID.dc1.100": "provisioner", "$KV.REFUSAL.op": "lifecycle",
	}
	for subject, owner := range work {
		if owner != service {
			list = append(list, subject)
		}
	}
	if service == "gateway" {
		list = append(list, "vm.w1-1")
	}
	return list
}

// others are all ways to another service's messages, and to changing anybody's consumer.
func others(service string) []string {
	var list []string
	for _, c := range bus.Consumers {
		name := c.Config.Durable
		list = append(list, fmt.Sprintf("$JS.API.CONSUMER.CREATE.%s.%s.%s", c.Stream, name, c.Config.FilterSubject),
			fmt.Sprintf("$JS.API.CONSUMER.CREATE.%s.%s", c.Stream, name), fmt.Sprintf("$JS.API.CONSUMER.DELETE.%s.%s", c.Stream, name))
		if name != service && !strings.HasPrefix(name, service+"-") {
			list = append(list, fmt.Sprintf("$JS.API.CONSUMER.MSG.NEXT.%s.%s", c.Stream, name), fmt.Sprintf("$JS.ACK.%s.%s.1", c.Stream, name))
		}
	}
	return list
}

func (d *deployment) connect(user string) *nats.Conn {
	d.t.Helper()
	nc, err := nats.Connect(fmt.Sprintf("nats://%s:%s@127.0.0.1:%d", user, password(user), d.ports["nats"]), nats.Timeout(patience),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(nc.Close)
	return nc
}

// denied publishes and says whether the server refused it. The refusal comes before the answer to
// the flush.
func denied(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	if err := nc.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	return refused(t, nc, fmt.Sprintf("Publish to %q", subject))
}

func deniedToRead(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	if _, err := nc.SubscribeSync(subject); err != nil {
		t.Fatal(err)
	}
	return refused(t, nc, fmt.Sprintf("Subscription to %q", subject))
}

func refused(t *testing.T, nc *nats.Conn, what string) bool {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	err := nc.LastError()
	return err != nil && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(what))
}
