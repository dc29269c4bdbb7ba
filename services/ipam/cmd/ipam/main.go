// Command ipam runs vmline's ipam service on its own.
package main

import (
	"os"

	"github.com/vmline/vmline/services/internal/app"
)

func main() { os.Exit(app.Main(app.IPAM)) }
