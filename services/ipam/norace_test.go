//go:build !race

package ipam

// stride is how far the switches of a race move on from scene to scene: all are played.
const stride = 1
