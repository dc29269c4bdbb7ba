package pve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A ticket is good for two hours by the server's clock (PVE::AccessControl, ticket_lifetime). It is renewed after
// one, so that a renewal that fails may be tried again.
const (
	ticketRenewed = time.Hour
	ticketLife    = 2*time.Hour - 5*time.Minute
	renewAgain    = time.Minute // after a renewal that failed
)

// session is the login of a user with a password. go-proxmox's own is not used: it logs in only after the server has
// held back a 401 for three seconds, and reads its session without a lock.
type session struct {
	user, password string
	turn           chan struct{} // held by the one that logs in
	mu             sync.Mutex
	ticket         *ticket
}

type ticket struct {
	cookie, csrf string
	renew, until time.Time
}

func newSession(user, password string) *session {
	return &session{user: user, password: password, turn: make(chan struct{}, 1)}
}

// on returns the request with the ticket, the one given unchanged.
func (t *ticket) on(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	req.Header.Set("Cookie", "PVEAuthCookie="+t.cookie)
	if req.Method != http.MethodGet {
		req.Header.Set("CSRFPreventionToken", t.csrf)
	}
	return req
}

// get returns a ticket, logging in where there is none. While an old one is renewed the others go on with it.
func (s *session) get(ctx context.Context, login func(context.Context) (*ticket, error)) (*ticket, error) {
	old := s.current()
	if old != nil && time.Now().Before(old.renew) {
		return old, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		if old != nil {
			return old, nil
		}
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if t := s.current(); t != nil && t != old { // somebody has logged in while we waited
		return t, nil
	}
	fresh, err := login(ctx)
	if err != nil && old != nil {
		fresh, err = &ticket{cookie: old.cookie, csrf: old.csrf, renew: time.Now().Add(renewAgain), until: old.until}, nil
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticket = fresh
	return fresh, nil
}

// current returns the ticket, nil if there is none that the server still takes.
func (s *session) current() *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ticket == nil || !time.Now().Before(s.ticket.until) {
		return nil
	}
	return s.ticket
}

// drop forgets a ticket that the server did not take.
func (s *session) drop(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ticket == t {
		s.ticket = nil
	}
}

// withTicket sends a request with the session's ticket. A 401 says that nothing was done, so that after a new login
// the request is sent once more, whatever it is: the server may have got new keys or another clock.
func (t *transport) withTicket(req *http.Request) (*http.Response, error) {
	ticket, err := t.session.get(req.Context(), t.login)
	if err != nil {
		return nil, t.notLoggedIn(req, err)
	}
	res, err := t.answer(ticket.on(req))
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != http.StatusUnauthorized {
		return res, err
	}
	t.session.drop(ticket)
	if ticket, err = t.session.get(req.Context(), t.login); err != nil {
		return nil, t.notLoggedIn(req, err)
	}
	again := ticket.on(req)
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return t.answer(again)
}

// notLoggedIn is the error of a request that was not sent because the login failed.
func (t *transport) notLoggedIn(req *http.Request, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := t.newError(req)
	e.Kind, e.Message, e.cause = Transient, "not sent: "+err.Error(), err
	return e
}

// login asks for a ticket. Whatever fails, the request that needs it was not sent.
func (t *transport) login(ctx context.Context) (*ticket, error) {
	form := url.Values{"username": {t.session.user}, "password": {t.session.password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/access/ticket", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "vmline")
	at := time.Now()
	res, err := t.answer(req)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			t.loginFailed(ctx, e)
		}
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Ticket  string `json:"ticket"`
			CSRF    string `json:"CSRFPreventionToken"`
			NeedTFA yesNo  `json:"NeedTFA"`
		} `json:"data"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	e := t.newError(req)
	switch d := answer.Data; {
	case err != nil || d.Ticket == "" || d.CSRF == "" || strings.ContainsFunc(d.Ticket+d.CSRF, notInHeader):
		e.Kind, e.Message = Unreachable, "this is no ticket of Proxmox VE"
	case bool(d.NeedTFA) || strings.HasPrefix(d.Ticket, "PVE:!tfa!"):
		e.Kind, e.Message = Refused, "the user has a second factor; use an API token instead"
	default:
		return &ticket{cookie: d.Ticket, csrf: d.CSRF, renew: at.Add(ticketRenewed), until: at.Add(ticketLife)}, nil
	}
	t.loginFailed(ctx, e)
	return nil, e
}

func (t *transport) loginFailed(ctx context.Context, e *Error) {
	e.Message = "login of " + t.session.user + ": " + e.Message
	if e.Kind == MaybeCommitted {
		e.Kind = Unreachable
	}
	if e.fate == leave && ctx.Err() == nil {
		e.fate = next
	}
}

// notInHeader reports what would end a cookie or a header.
func notInHeader(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' || r == ',' || r == '"' }
