package pvesim

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
)

// peeked is a connection of which the first bytes were looked at.
type peeked struct {
	net.Conn
	io.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// handshake is the first byte of a connection with TLS.
const handshake = 0x16

// secure begins TLS on a connection. Who speaks without is told to come back with it, as Proxmox VE does, and
// nil is returned.
func secure(conn net.Conn, conf *tls.Config) net.Conn {
	in := bufio.NewReader(conn)
	first, err := in.Peek(1)
	switch {
	case err != nil:
		return nil // nothing was said
	case first[0] == handshake:
		return tls.Server(peeked{conn, in}, conf)
	}
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(in, maxHeader)))
	if err != nil {
		return nil // as above
	}
	a := answer{code: http.StatusPermanentRedirect, reason: "Permanent Redirect", header: headers("")}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		a.code, a.reason = http.StatusMovedPermanently, "Moved Permanently"
	}
	a.header.Set("Location", "https://"+r.Host+r.URL.RequestURI())
	_ = a.write(bufio.NewWriter(conn), r, false) // the caller is gone: nobody to tell
	return nil
}
