// Package redistest starts a real redis-server for a test. It is imported by tests only.
package redistest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// startTime is how long a redis-server may take until it answers.
const startTime = time.Minute

// Server is a redis-server that keeps nothing on disk and ends with its test.
type Server struct {
	// Socket is the path of the Unix socket that it listens on.
	Socket  string
	t       testing.TB
	process *os.Process
}

// Installed says whether there is a redis-server on this machine.
func Installed() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}

// Start returns a server that answers, or skips the test where none is installed. With further arguments for
// redis-server it also listens on a port, without any on its socket alone.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the test is over
	socket := filepath.Join(dir, "socket")
	if len(args) == 0 {
		args = []string{"--port", "0"}
	}
	args = append(args, "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no")
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // G204: the path is that of redis-server; it ends with the test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
	})
	s := &Server{Socket: socket, t: t, process: cmd.Process}
	s.await()
	return s
}

func (s *Server) await() {
	s.t.Helper()
	for deadline := time.Now().Add(startTime); ; <-time.After(5 * time.Millisecond) {
		conn, err := net.Dial("unix", s.Socket) //nolint:noctx // it is this machine
		if err == nil {
			_ = conn.Close() // nothing was said
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server did not start: %v", err)
		}
	}
}

// Hang has connections stay open and nothing answer, until Resume.
func (s *Server) Hang() { s.signal(syscall.SIGSTOP) }

// Resume ends a Hang.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
