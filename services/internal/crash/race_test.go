//go:build race

package crash

// everyNth scene is played with the race detector, which makes the whole ten times as slow: the
// scenes differ in where a service dies, not in what runs beside what. Without it all are played.
const everyNth = 5

// everyNthPlay is the same for whole plays, which are longer.
const everyNthPlay = 8
