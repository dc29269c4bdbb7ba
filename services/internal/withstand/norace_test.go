//go:build !race

package withstand

// everyNth trial of a command is made: all.
const everyNth = 1
