//go:build !race

package crash

// everyNth scene is played: all.
const everyNth = 1

// everyNthPlay is the same for whole plays, which are longer.
const everyNthPlay = 1
