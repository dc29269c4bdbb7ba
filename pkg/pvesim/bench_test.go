package pvesim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkVMLife is one VM from clone to destroy in 12 calls, in a cluster that already has many.
func BenchmarkVMLife(b *testing.B) {
	for _, others := range []int{0, 1000, 10000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			c := New(Default())
			defer c.Close()
			for i := range others {
				if err := c.AddVM(VMSpec{VMID: 20000 + i, Node: "pve2", Name: "other", Storage: "shared1", DiskGB: 1}); err != nil {
					b.Fatal(err)
				}
			}
			vm := "/nodes/pve1/qemu/101"
			life := [][3]string{
				{"GET", "/cluster/nextid", ""}, {"POST", clonePath, "newid=101&full=1"}, {"GET", vm + "/config", ""},
				{"PUT", vm + "/config", "cores=2&memory=1024"}, {"PUT", vm + "/resize", "disk=scsi0&size=10G"},
				{"POST", vm + "/config", "scsi1=shared1:5"}, {"PUT", vm + "/config", "ciuser=x&ipconfig0=ip%3Ddhcp"},
				{"POST", vm + "/firewall/rules", "type=in&action=ACCEPT"}, {"POST", vm + "/status/start", ""},
				{"GET", vm + "/status/current", ""}, {"POST", vm + "/status/stop", ""}, {"DELETE", vm, ""},
			}
			for b.Loop() {
				for _, call := range life {
					r, _ := http.NewRequest(call[0], "http://sim/api2/json"+call[1], strings.NewReader(call[2]))
					if call[0] == "GET" || call[0] == "DELETE" {
						r.Body = http.NoBody
					}
					r.Header.Set("Authorization", "PVEAPIToken="+testToken+"="+Default().Tokens[testToken])
					if a := c.answer(r); a.code != 200 {
						b.Fatalf("%v: %d %s", call, a.code, a.reason)
					}
				}
			}
		})
	}
}
