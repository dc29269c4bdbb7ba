package pve

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// These tests speak over real sockets, where the net/http transport and TLS have their say.

func version(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(`{"data":{"version":"9.2.11"}}`))
}

// overTLS serves h over TLS and returns a configuration that trusts nothing yet.
func overTLS(t *testing.T, h http.HandlerFunc, change ...func(*http.Server)) (Config, *httptest.Server) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, f := range change {
		f(srv.Config)
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return Config{Name: "c1", URL: srv.URL, TokenID: testToken, TokenSecret: testSecret}, srv
}

func dial(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTLS(t *testing.T) {
	cfg, srv := overTLS(t, version)
	sum := sha256.Sum256(srv.Certificate().Raw)
	pin := hex.EncodeToString(sum[:])
	wrong := "00" + pin[2:]
	if strings.HasPrefix(pin, "00") {
		wrong = "11" + pin[2:]
	}
	trusted, empty := x509.NewCertPool(), x509.NewCertPool()
	trusted.AddCert(srv.Certificate())
	for _, test := range []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"nothing trusted", func(*Config) {}, false},
		{"authority", func(c *Config) { c.RootCAs = trusted }, true},
		{"another authority", func(c *Config) { c.RootCAs = empty }, false},
		{"pin", func(c *Config) { c.Fingerprint = pin }, true},
		{"pin with colons", func(c *Config) { c.Fingerprint = colons(sum[:]) }, true},
		{"wrong pin", func(c *Config) { c.Fingerprint = wrong }, false},
		{"wrong pin, authority", func(c *Config) { c.Fingerprint, c.RootCAs = wrong, trusted }, false},
		{"pin, wrong authority", func(c *Config) { c.Fingerprint, c.RootCAs = pin, empty }, false},
		{"pin and authority", func(c *Config) { c.Fingerprint, c.RootCAs = pin, trusted }, true},
		{"wrong pin, insecure", func(c *Config) { c.Fingerprint, c.InsecureSkipVerify = wrong, true }, false},
		{"insecure", func(c *Config) { c.InsecureSkipVerify = true }, true},
	} {
		cfg := cfg
		test.change(&cfg)
		c := dial(t, cfg)
		_, err := c.Version(t.Context())
		if (err == nil) != test.ok || (!test.ok && KindOf(err) != Unreachable) {
			t.Errorf("%s: %v", test.name, err)
		}
		// Nothing was sent, so nothing was done.
		if _, err := c.Start(t.Context(), "pve1", 101); !test.ok && KindOf(err) != Unreachable {
			t.Errorf("%s, writing: %v", test.name, err)
		}
	}
}

// raw answers every connection's requests with bytes; "" closes the connection after the request was read.
func raw(t *testing.T, reply string) (Config, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	requests := &atomic.Int32{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				requests.Add(1)
				_ = req.Body.Close()
				_, _ = conn.Write([]byte(reply))
			}()
		}
	}()
	return Config{Name: "c1", URL: "http://" + l.Addr().String(), TokenID: testToken, TokenSecret: testSecret}, requests
}

// TestOnTheWire answers as pveproxy does, byte by byte.
func TestOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name, reply string
		read, write Kind
	}{
		{"closed", "", Unreachable, MaybeCommitted},
		{"rubbish", "220 mail.example ESMTP\r\n", Unreachable, MaybeCommitted},
		{"cut in the head", "HTTP/1.1 200 O", Unreachable, MaybeCommitted},
		{"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":null}", Unreachable, MaybeCommitted},
		{"no length, empty", "HTTP/1.1 401 No ticket\r\nConnection: close\r\n\r\n", NoPermission, NoPermission},
		{"595", "HTTP/1.1 595 Connection refused\r\nContent-Length: 0\r\n\r\n", Unreachable, Unreachable},
		{"596", "HTTP/1.1 596 Connection timed out\r\nContent-Length: 0\r\n\r\n", Unreachable, MaybeCommitted},
		{"locked", "HTTP/1.1 500 VM is locked (clone)\r\nContent-Length: 13\r\n\r\n{\"data\":null}", Locked, Locked},
		{"to the login", "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", Unreachable, Unreachable},
	} {
		cfg, requests := raw(t, test.reply)
		if _, err := dial(t, cfg).Version(t.Context()); KindOf(err) != test.read {
			t.Errorf("%s, reading: %v", test.name, err)
		}
		before := requests.Load()
		c := dial(t, cfg) // not on the connection that the server is about to close
		if _, err := c.Start(t.Context(), "pve1", 101); KindOf(err) != test.write {
			t.Errorf("%s, writing: %v", test.name, err)
		}
		if n := requests.Load() - before; n != 1 {
			t.Errorf("%s: a writing call was sent %d times", test.name, n)
		}
	}
}

// TestKeptConnectionBreaks: a writing call on a connection that the server closes under it is not sent again, although
// net/http repeats reads.
func TestKeptConnectionBreaks(t *testing.T) {
	var writes atomic.Int32
	cfg, _ := overTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			version(w, r)
			return
		}
		writes.Add(1)
		panic(http.ErrAbortHandler)
	})
	cfg.InsecureSkipVerify = true
	c := dial(t, cfg)
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, call := range []func() error{
		func() error { _, err := c.Start(t.Context(), "pve1", 101); return err },
		func() error { _, err := c.Resize(t.Context(), "pve1", 101, "scsi0", 2, ""); return err },
		func() error { _, err := c.Destroy(t.Context(), "pve1", 101, DestroyOptions{}); return err },
	} {
		if err := call(); KindOf(err) != MaybeCommitted || int(writes.Load()) != i+1 {
			t.Errorf("sent %d times in all: %v", writes.Load(), err)
		}
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	cfg, _ := raw(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.URL = "http://" + l.Addr().String()
	_ = l.Close()
	if _, err := dial(t, cfg).Start(t.Context(), "pve1", 101); KindOf(err) != Unreachable {
		t.Error(err)
	}
}

// TestCancelledOnTheWire: a call that was sent and then given up may have been carried out.
func TestCancelledOnTheWire(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg, _ := overTLS(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	cfg.InsecureSkipVerify = true
	if _, err := dial(t, cfg).Start(ctx, "pve1", 101); KindOf(err) != MaybeCommitted {
		t.Error(err)
	}
}

// TestConnectionsAreKept: one after the other, the calls share a connection.
func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	cfg, _ := overTLS(t, version, func(s *http.Server) {
		s.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
	})
	cfg.InsecureSkipVerify = true
	c := dial(t, cfg)
	for i := range 20 {
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(fmt.Sprint(i), err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
