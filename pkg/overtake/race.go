//go:build race

package overtake

// stride is how far the switches move on from scene to scene with the race detector, which makes all ten times
// as slow: the scenes differ in what overtakes what, not in what runs beside what. Without it every scene is
// played.
const stride = 4
