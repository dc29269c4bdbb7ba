package crash

import (
	"fmt"
	"os"
	"testing"

	"github.com/vmline/vmline/pkg/leaktest"
)

// TestMain is also where a process starts that a test will kill.
func TestMain(m *testing.M) {
	if order := os.Getenv(childOrder); order != "" {
		if err := runChild(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}
