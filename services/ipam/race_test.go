//go:build race

package ipam

// stride is how far the switches of a race move on from scene to scene with the race detector, which makes it
// ten times as slow: the scenes differ in what overtakes what, not in what runs beside what. Without it every
// scene is played.
const stride = 4
