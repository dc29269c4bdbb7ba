// Package crash has only tests: they run whole chains against the simulator and kill the services
// right before and right after every call that leaves them, run every step twice, and terminate in
// every status.
//
// A call is known by its name and by how many of that name came before it, because what a service
// does at the same time comes in no fixed order: "vm.append #3", "POST /nodes/*/qemu/*/clone #1".
// The name server of the dns service is BIND; where that is not installed, its scenes are skipped.
//
// Every scene is played without the race detector; with it, which makes them ten times as slow, every
// fifth. So both belong into a full run: go test ./internal/crash and go test -race ./internal/crash.
package crash
