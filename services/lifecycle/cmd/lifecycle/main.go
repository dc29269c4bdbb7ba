// Command lifecycle runs vmline's lifecycle service on its own.
package main

import (
	"os"

	"github.com/vmline/vmline/services/internal/app"
)

func main() { os.Exit(app.Main(app.Lifecycle)) }
