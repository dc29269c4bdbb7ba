package pve_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
)

// TestSimFaults orders one failure for a clone and looks at what the driver says and at what is there.
func TestSimFaults(t *testing.T) {
	const clone, tasks = "/nodes/*/qemu/*/clone", "/nodes/*/tasks/**"
	for _, test := range []struct {
		name  string
		fault pvesim.Fault
		want  pve.Kind // of the call or of the task; "" is success
		made  bool     // the machine exists in the end
	}{
		{"596 and committed", pvesim.Fault{Kind: pvesim.RefuseAfter, Path: clone}, pve.MaybeCommitted, true},
		{"dropped and committed", pvesim.Fault{Kind: pvesim.DropAfter, Path: clone}, pve.MaybeCommitted, true},
		{"dropped before", pvesim.Fault{Kind: pvesim.DropBefore, Path: clone}, pve.MaybeCommitted, false},
		{"node down", pvesim.Fault{Kind: pvesim.NodeDown, Path: clone}, pve.Unreachable, false},
		{"595", pvesim.Fault{Kind: pvesim.Refuse, Path: clone, Code: 595, Text: "No route to host"}, pve.Unreachable, false},
		{"503", pvesim.Fault{Kind: pvesim.Refuse, Path: clone, Code: 503, Text: "Service Unavailable"}, pve.Transient, false},
		{"500 unknown", pvesim.Fault{Kind: pvesim.Refuse, Path: clone, Text: "never heard of"}, pve.Transient, false},
		{"404 that sounds like it", pvesim.Fault{Kind: pvesim.Refuse, Path: clone, Code: 404,
			Text: "unable to find configuration file for VM 9000 on node 'pve1'"}, pve.Unreachable, false},
		{"lock", pvesim.Fault{Kind: pvesim.LockTimeout, Path: clone}, pve.Locked, false},
		{"storage full", pvesim.Fault{Kind: pvesim.StorageFull, Path: clone}, pve.Refused, false},
		{"task fails", pvesim.Fault{Kind: pvesim.TaskError, Path: clone,
			Text: "clone failed: cfs-lock 'storage-shared1' error: got lock request timeout"}, pve.Locked, false},
		{"task lost", pvesim.Fault{Kind: pvesim.TaskError, Path: clone, Text: "unexpected status"}, pve.TaskUnknown, false},
		{"warnings", pvesim.Fault{Kind: pvesim.TaskWarnings, Path: clone, Warnings: 2}, "", true},
		{"polls dropped", pvesim.Fault{Kind: pvesim.DropBefore, Path: tasks, Times: 9}, "", true},
		{"polls refused", pvesim.Fault{Kind: pvesim.Refuse, Path: tasks, Code: 595, Text: "No route to host", Times: 20}, "", true},
		{"polls refused for long", pvesim.Fault{Kind: pvesim.Refuse, Path: tasks, Code: 595, Text: "No route to host"}, pve.Transient, true},
		{"polls 502", pvesim.Fault{Kind: pvesim.Refuse, Path: tasks, Code: 502, Text: "Bad Gateway", Times: 9}, "", true},
		{"slow", pvesim.Fault{Kind: pvesim.Slow, Path: clone, Delay: 20 * time.Second}, "", true},
		{"too slow", pvesim.Fault{Kind: pvesim.Slow, Path: clone, Delay: time.Minute}, pve.MaybeCommitted, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			onSim(t, func(t *testing.T, c *pve.Client, sim *pvesim.Cluster) {
				sim.AddFault(test.fault)
				u, err := c.Clone(t.Context(), "pve1", 9000, pve.CloneOptions{NewID: 101, Full: true})
				var res pve.TaskResult
				if err == nil {
					res, err = c.Wait(t.Context(), u)
				}
				if pve.KindOf(err) != test.want || (err == nil) != (test.want == "") {
					t.Errorf("%v, want %q", err, test.want)
				}
				if strings.HasPrefix(test.name, "warn") && (res.Warnings != "WARNINGS: 2" || len(res.Log) == 0) {
					t.Errorf("%+v", res)
				}
				<-time.After(2 * time.Minute) // whatever goes on, goes on
				if _, made := sim.VM(101); made != test.made {
					t.Errorf("made: %v", made)
				}
			})
		})
	}
}

// TestSimOverTLS speaks with the simulator over a real socket, with its certificate trusted and pinned.
func TestSimOverTLS(t *testing.T) {
	cfg := pvesim.Default()
	sim := pvesim.New(cfg)
	srv, err := sim.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close(); srv.Close() })
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(srv.CertPEM) {
		t.Fatal("no certificate")
	}
	c, err := pve.New(pve.Config{URL: srv.URL, TokenID: "vmline@pve!prov", TokenSecret: cfg.Tokens["vmline@pve!prov"], RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	must := done(t, c)
	must(c.Clone(t.Context(), "pve1", 9000, pve.CloneOptions{NewID: 101, Name: "a.example", Full: true}))
	must(c.SetVMConfig(t.Context(), "pve1", 101, pve.Change{Set: map[string]string{"description": "a\nü=&%", "tags": "x;vmline"}}))
	v, err := c.VMConfig(t.Context(), "pve1", 101)
	if err != nil || v.Description() != "a\nü=&%" || !slices.Equal(v.Tags(), []string{"vmline", "x"}) {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = c.SetVMConfig(t.Context(), "pve1", 101, pve.Change{Set: map[string]string{"cores": "0"}})
	if pve.KindOf(err) != pve.Refused {
		t.Error(err)
	}
	must(c.Destroy(t.Context(), "pve1", 101, pve.DestroyOptions{Purge: true}))
	if _, err := c.VMConfig(t.Context(), "pve1", 101); pve.KindOf(err) != pve.Gone {
		t.Error(err)
	}
}
