//go:build race

package withstand

// everyNth trial of a command is made with the race detector, which makes the whole ten times as slow: the
// trials differ in what Proxmox answers, not in what runs beside what. Without it all are made.
const everyNth = 6
