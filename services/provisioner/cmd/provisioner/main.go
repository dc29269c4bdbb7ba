// Command provisioner runs vmline's provisioner service on its own.
package main

import (
	"os"

	"github.com/vmline/vmline/services/internal/app"
)

func main() { os.Exit(app.Main(app.Provisioner)) }
