// Package leaktest finds the goroutines that the tests of a package leave behind. It is imported by tests only.
package leaktest

import (
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end after the last test. One that leaks takes for ever; one that ends
// needs a processor to do so, and goleak by itself waits for less than half a second.
const patience = 30 * time.Second

// Main runs the tests of a package and ends the process: with an error where a test failed or goroutines do not end.
func Main(m goleak.TestingM) { goleak.VerifyTestMain(patient{TestingM: m}) }

type patient struct {
	goleak.TestingM
	ignored []goleak.Option
}

// Run gives the goroutines of tests that passed their time; whether they took it is for goleak to say.
func (p patient) Run() int {
	code := p.TestingM.Run()
	if code == 0 {
		p.awaitEnd()
	}
	return code
}

// awaitEnd waits until no goroutine but the caller's is left, or patience ends. Each look takes goleak up to half a
// second, so none follows another at once.
func (p patient) awaitEnd() {
	for deadline := time.Now().Add(patience); goleak.Find(p.ignored...) != nil && time.Now().Before(deadline); {
		continue
	}
}
