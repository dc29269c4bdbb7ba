package pve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestNothingThatFailedLooksLikeSuccess answers every method in every bad way.
func TestNothingThatFailedLooksLikeSuccess(t *testing.T) {
	html := "<html><body>It works!</body></html>"
	bad := []struct {
		code         int
		reason, body string
		read, write  Kind
	}{
		{595, "Connection refused", "", Unreachable, Unreachable},
		{596, "Connection timed out", "", Unreachable, MaybeCommitted},
		{597, "Broken pipe", "", Unreachable, MaybeCommitted},
		{599, "Too many redirections", "", Unreachable, MaybeCommitted},
		{101, "Switching Protocols", "", Unreachable, MaybeCommitted},
		{507, "Insufficient Storage", html, Unreachable, MaybeCommitted},
		{524, "A Timeout Occurred", html, Unreachable, MaybeCommitted},
		{502, "Bad Gateway", html, Unreachable, MaybeCommitted},
		{504, "Gateway Timeout", html, Unreachable, MaybeCommitted},
		{503, "Service Unavailable", html, Transient, Transient},
		{429, "Too Many Requests", html, Transient, Transient},
		{404, "Not Found", html, Unreachable, Unreachable},
		{404, "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist", "", Unreachable, Unreachable},
		{301, "Moved Permanently", html, Unreachable, Unreachable},
		{304, "Not Modified", "", Unreachable, Unreachable},
		{401, "Authentication failed!", "", NoPermission, NoPermission},
		{403, "Permission check failed", `{"data":null}`, NoPermission, NoPermission},
		{500, "VM is locked (clone)", `{"data":null}`, Locked, Locked},
		{500, "Internal Server Error", html, Transient, Transient},
		{501, "Method 'GET /x' not implemented", `{"data":null}`, Refused, Refused},
		{200, "OK", "", Unreachable, MaybeCommitted},
		{204, "No Content", "", Unreachable, MaybeCommitted},
		{200, "OK", html, Unreachable, MaybeCommitted},
		{200, "OK", `{}`, Unreachable, MaybeCommitted},
		{200, "OK", `[]`, Unreachable, MaybeCommitted},
		{200, "OK", `{"data":`, Unreachable, MaybeCommitted},
		{200, "OK", `{"success":true}`, Unreachable, MaybeCommitted},
		{200, "OK", `{"data":null,"errors":{"cores":"type check failed"}}`, Unreachable, MaybeCommitted},
		{200, "OK", `{"data":null,"message":"VM is locked (clone)\n"}`, Unreachable, MaybeCommitted},
		{200, "OK", `{"data":null,"success":0,"status":500}`, Unreachable, MaybeCommitted},
		{200, "OK", `{"data":[],"success":0}`, Unreachable, MaybeCommitted},
		{200, "OK", `{"Data":null}`, Unreachable, MaybeCommitted},
		{200, "OK", `{"data":null}{"data":null}`, Unreachable, MaybeCommitted},
		{200, "OK", `null`, Unreachable, MaybeCommitted},
		{201, "Created", `{"data":null}`, Unreachable, MaybeCommitted},
		{202, "Accepted", `{"data":[]}`, Unreachable, MaybeCommitted},
		{206, "Partial Content", `{"data":{}}`, Unreachable, MaybeCommitted},
	}
	for _, b := range bad {
		for _, call := range calls {
			err := call.do(t.Context(), newTest(t, always(b.code, b.reason, b.body)))
			want := b.read
			if call.write {
				want = b.write
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != want {
				t.Errorf("%s answered with %d %s %q: %v, want %s", call.name, b.code, b.reason, b.body, err, want)
				continue
			}
			if e.Op == "" || e.Cluster != "c1" || e.Method == "" || e.Path == "" || e.Code != b.code {
				t.Errorf("%s: incomplete: %+v", call.name, e)
			}
		}
	}
}

// TestReadsWantData: null is no answer to a question.
func TestReadsWantData(t *testing.T) {
	for _, call := range calls {
		err := call.do(t.Context(), newTest(t, always(200, "OK", `{"data":null}`)))
		if !call.write && KindOf(err) != Unreachable {
			t.Errorf("%s answered with null: %v", call.name, err)
		}
		if !call.write {
			for _, data := range []string{`"x"`, `7`, `[7]`, `{"a":{}}`, `[[]]`} {
				rec := &recorder{data: data}
				if err := call.do(t.Context(), newTest(t, rec.RoundTrip)); KindOf(err) != Unreachable {
					t.Errorf("%s answered with %s: %v", call.name, data, err)
				}
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	c := newTest(t, func(*http.Request) (*http.Response, error) {
		return param("cores", "type check ('integer') failed - got 'abc'\n"), nil
	})
	_, err := c.SetVMConfig(t.Context(), "pve1", 101, Change{Set: map[string]string{"cores": "abc"}})
	want := "change cores of VM 101 on node pve1: Parameter verification failed. cores: type check ('integer') failed - got 'abc'" +
		" (cluster c1, POST /nodes/pve1/qemu/101/config, 400, refused)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

// TestOldServersSayItInTheReason: before pve-http-server 5.2.0 the body has no message.
func TestOldServersSayItInTheReason(t *testing.T) {
	reason := "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist"
	_, err := newTest(t, always(500, reason, `{"data":null}`)).VMConfig(t.Context(), "pve1", 101)
	e, _ := errors.AsType[*Error](err)
	if e == nil || e.Kind != Gone || e.Message != reason {
		t.Errorf("%+v", e)
	}
}

// TestServerTextsAreTamed: what a server says goes into logs.
func TestServerTextsAreTamed(t *testing.T) {
	body := `{"data":null,"message":"a\n\u001b[31mb\u0000c` + strings.Repeat("x", 2*maxText) + `"}`
	_, err := newTest(t, always(500, "x", body)).Version(t.Context())
	if s := err.Error(); strings.ContainsAny(s, "\n\x1b\x00") || len(s) > maxText+300 {
		t.Errorf("%d bytes: %.60q", len(s), s)
	}
}

// endless is a body that does not end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAnswerTooLong(t *testing.T) {
	body := &endless{}
	c := newTest(t, func(*http.Request) (*http.Response, error) {
		res := ok("")
		res.Body = io.NopCloser(body)
		return res, nil
	})
	_, err := c.Version(t.Context())
	if KindOf(err) != Unreachable || !strings.Contains(err.Error(), "longer than 16 MiB") {
		t.Error(err)
	}
	if body.read > maxAnswer+(1<<20) {
		t.Errorf("read %d bytes", body.read)
	}
}

// broken gives some of a body, then an error.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestAnswerCutShort(t *testing.T) {
	c := newTest(t, func(*http.Request) (*http.Response, error) {
		res := ok("null")
		res.Body = io.NopCloser(broken{strings.NewReader(`{"data":null}`)})
		return res, nil
	})
	if _, err := c.Version(t.Context()); KindOf(err) != Unreachable {
		t.Error(err)
	}
	if err := c.RegenerateCloudInit(t.Context(), "pve1", 101); KindOf(err) != MaybeCommitted || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// TestLost: only what certainly was not sent counts as not done.
func TestLost(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	read := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	for _, test := range []struct {
		err         error
		read, write Kind
	}{
		{dial, Unreachable, Unreachable},
		{read, Unreachable, MaybeCommitted},
		{io.EOF, Unreachable, MaybeCommitted},
		{errors.New("crashed here"), Unreachable, MaybeCommitted},
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return nil, test.err })
		if _, err := c.Version(t.Context()); KindOf(err) != test.read || !errors.Is(err, test.err) {
			t.Errorf("reading, %v: %v", test.err, err)
		}
		if _, err := c.Start(t.Context(), "pve1", 101); KindOf(err) != test.write || !errors.Is(err, test.err) {
			t.Errorf("writing, %v: %v", test.err, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		cancel()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	_, err := c.Start(ctx, "pve1", 101)
	if KindOf(err) != MaybeCommitted || !errors.Is(err, context.Canceled) {
		t.Errorf("under way: %v", err)
	}
	_, err = c.Start(ctx, "pve1", 101)
	if KindOf(err) != Transient || !errors.Is(err, context.Canceled) {
		t.Errorf("before it was sent: %v", err)
	}
}
