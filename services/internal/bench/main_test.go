// Package bench measures the whole of vmline against the simulator: chains, calls, time beside the
// tasks, memory and start-up. Every figure stands beside its ceiling, because absolute ones say
// more about the machine.
package bench

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		createSheet.write(os.Stdout)
		terminateSheet.write(os.Stdout)
		os.Exit(code)
	}))
}

const (
	create    = vmlinev1.Operation_KIND_CREATE
	terminate = vmlinev1.Operation_KIND_TERMINATE
)

// stepsOfCreate are the steps of one chain: every status of create after the first.
func stepsOfCreate() int {
	route, _ := chain.RouteOf(create)
	return len(route.Statuses) - 1
}
