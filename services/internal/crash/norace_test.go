//go:build !race

package crash

// everyNth scene is played: all.
const everyNth = 1
