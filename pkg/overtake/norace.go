//go:build !race

package overtake

// stride is how far the switches move on from scene to scene: all are played.
const stride = 1
