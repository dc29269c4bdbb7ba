package pvesim_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
)

// A cluster in the same process: clone tasks take a second and the first answer about them gets lost.
func ExampleNew() {
	cfg := pvesim.Default()
	cfg.Durations.Clone = time.Second
	cluster := pvesim.New(cfg)
	defer cluster.Close()
	cluster.AddFault(pvesim.Fault{Kind: pvesim.RefuseAfter, Path: "/nodes/*/qemu/*/clone", Times: 1})

	client := &http.Client{Transport: cluster}
	r, _ := http.NewRequest(http.MethodPost, "http://pve/api2/json/nodes/pve1/qemu/9000/clone?newid=101&full=1", nil)
	r.Header.Set("Authorization", "PVEAPIToken=vmline@pve!prov=00000000-0000-4000-8000-000000000001")
	answer, err := client.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	vm, exists := cluster.VM(101)
	fmt.Println(answer.Status, exists, vm.Lock)
	// Output: 596 Connection timed out true clone
}
