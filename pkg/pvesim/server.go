package pvesim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vmline/vmline/pkg/secrets"
)

// Server is a cluster that listens on a TCP address. It speaks HTTP/1.1 itself, because net/http's
// server cannot send Proxmox VE's own reason phrases.
type Server struct {
	// URL is the base of the API: http(s)://host:port/api2/json
	URL string
	// CertPEM is the server's self-made certificate; empty without TLS.
	CertPEM []byte
	// Fingerprint is the certificate's SHA-256 as Proxmox VE shows it, "AA:BB:..."; empty without TLS.
	Fingerprint string

	cluster  *Cluster
	tls      *tls.Config // nil without TLS
	listener net.Listener
	ctx      context.Context // of the calls
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool // nil once closed
}

// Listen serves the API without TLS on a TCP address such as "127.0.0.1:0".
func (c *Cluster) Listen(addr string) (*Server, error) { return c.listen(addr, nil) }

// ListenTLS serves the API with a certificate that it makes for the address, localhost and the loopback
// addresses.
func (c *Cluster) ListenTLS(addr string) (*Server, error) {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, _, err := net.SplitHostPort(addr); err == nil && !slices.Contains(names, host) {
		names = append(names, host)
	}
	cert, err := secrets.NewCertificate(names)
	if err != nil {
		return nil, fmt.Errorf("pvesim: certificate for %s: %w", addr, err)
	}
	s, err := c.listen(addr, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	s.CertPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	s.Fingerprint = secrets.Fingerprint(cert)
	return s, nil
}

func (c *Cluster) listen(addr string, conf *tls.Config) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("pvesim: %w", err)
	}
	scheme := "http"
	if conf != nil {
		scheme = "https"
	}
	s := &Server{URL: scheme + "://" + l.Addr().String() + "/api2/json", cluster: c, tls: conf, listener: l, conns: map[net.Conn]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Add(1)
	go s.accept()
	return s, nil
}

// Close stops listening, drops all connections and the calls on them, and waits for their goroutines.
// The cluster and its tasks go on.
func (s *Server) Close() {
	_ = s.listener.Close() // an error changes nothing: it is no longer used
	s.cancel()
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for conn := range conns {
		_ = conn.Close() // as above
	}
	s.wg.Wait()
}

func (s *Server) accept() {
	defer s.wg.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			_ = conn.Close() // nothing was said on it yet
			return
		}
		s.conns[conn] = true
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serve(conn)
	}
}

// maxHeader is room for a request's header.
const maxHeader = 64 << 10

// serve answers the requests of one connection, one after the other.
func (s *Server) serve(conn net.Conn) {
	defer s.wg.Done()
	defer func() {
		_ = conn.Close() // the answers were flushed
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	if s.tls == nil {
		s.converse(conn)
	} else if stream := secure(conn, s.tls); stream != nil {
		defer stream.Close()
		s.converse(stream)
	}
}

// converse reads requests and answers them.
func (s *Server) converse(stream net.Conn) {
	limit := &io.LimitedReader{R: stream}
	in, out := bufio.NewReader(limit), bufio.NewWriter(stream)
	for {
		limit.N = maxHeader + maxBody
		r, err := http.ReadRequest(in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !isNetError(err) {
				fmt.Fprint(stream, "HTTP/1.1 400 bad request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			}
			return
		}
		if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
			fmt.Fprint(stream, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if isUpload(r) {
			limit.N = max(limit.N, r.ContentLength)
		}
		a := s.cluster.answer(r.WithContext(s.ctx))
		if a.drop || s.ctx.Err() != nil {
			return // closed while the call waited: a real server would be gone too
		}
		keep := !r.Close
		if err := a.write(out, r, keep); err != nil || !keep {
			return
		}
	}
}

func isNetError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}

// write sends an answer to a request, in the version of HTTP that it came in. Answers without a body carry no type, as the real ones.
func (a answer) write(w *bufio.Writer, r *http.Request, keep bool) error {
	fmt.Fprintf(w, "%s %d %s\r\n", r.Proto, a.code, a.reason)
	h := a.header.Clone()
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("Connection", map[bool]string{true: "Keep-Alive", false: "close"}[keep])
	if err := h.Write(w); err != nil {
		return err
	}
	fmt.Fprint(w, "\r\n")
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // Flush tells
	}
	return w.Flush()
}

// RoundTrip makes a Cluster the transport of a client in the same process: no sockets, but the same
// answers with their reason phrases. Any scheme and host will do.
func (c *Cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	ch := make(chan answer, 1)
	if done := r.Context().Done(); done == nil {
		ch <- c.answer(r)
	} else {
		go func() { ch <- c.answer(r) }()
		select {
		case a := <-ch:
			ch <- a
		case <-done:
			return nil, r.Context().Err() // the work goes on, as on a real server
		}
	}
	a := <-ch
	if a.drop {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{
		Status: strconv.Itoa(a.code) + " " + a.reason, StatusCode: a.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}, nil
}

// ServeHTTP makes a Cluster a handler for net/http. Where the connection can be taken over, the answer
// carries its reason phrase and the connection is closed; otherwise only the code arrives.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := c.answer(r)
	if hj, ok := w.(http.Hijacker); ok && r.ProtoMajor == 1 {
		if conn, rw, err := hj.Hijack(); err == nil {
			defer conn.Close()
			if !a.drop {
				_ = a.write(rw.Writer, r, false) // the client is gone: nobody to tell
			}
			return
		}
	}
	if a.drop {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body)
}
