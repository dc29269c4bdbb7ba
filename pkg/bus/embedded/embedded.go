// Package embedded runs a NATS server with JetStream inside the process, for `vmline up` without a
// server of its own and for tests. It is the same server as the stand-alone one.
package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // schedules with a time zone need it, and a host may have none

	"github.com/nats-io/nats-server/v2/server"
)

// Options of an embedded server.
type Options struct {
	// Dir is where the streams are kept.
	Dir string
	// Fast acknowledges writes before they are synced to disk. A power cut may then lose them.
	Fast bool
	// Port with Host opens the server to other processes; Port 0 keeps it in the process, -1 takes
	// a free port. Host "" means this machine only, because the server asks nobody who they are.
	Host string
	Port int
}

const startTimeout = 30 * time.Second

// maxStore is how many bytes the streams may have, as in the stand-alone server's configuration. Without it
// the server allows a share of what is free on the disk just now, and refuses the streams on a nearly full one.
const maxStore = 20 << 30

// Start runs a server until its Shutdown.
func Start(o Options) (*server.Server, error) {
	// The server itself would only report a directory that it cannot use by never getting ready.
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the embedded NATS server's data directory: %w", err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName:        "vmline",
		JetStream:         true,
		StoreDir:          o.Dir,
		JetStreamMaxStore: maxStore,
		SyncAlways:        !o.Fast,
		DontListen:        o.Port == 0,
		Host:              cmp.Or(o.Host, "127.0.0.1"),
		Port:              o.Port,
		NoSigs:            true,
		NoLog:             true,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the embedded NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, errors.New("the embedded NATS server did not start in time; is another process using its data directory?")
	}
	return s, nil
}

// Stop ends the server after its streams are on disk.
func Stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}
