package update

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/services/dns/internal/record"
)

// Kind says what kind of failure an Error is.
type Kind string

// The kinds. Unreachable, Failing and Changed pass by themselves; the others need a person.
const (
	Unreachable      Kind = "the server cannot be reached"
	Failing          Kind = "the server fails"
	Changed          Kind = "the name changed at the same moment"
	Refused          Kind = "the server refuses"
	NotAuthoritative Kind = "the server is not authoritative for the zone"
	BadKey           Kind = "the server does not accept the TSIG key"
	BadClock         Kind = "the clocks of this machine and the server differ too much"
	Unsupported      Kind = "the server does not understand the message"
	BadAnswer        Kind = "the answer is not signed with the zone's key or does not belong to the question"

	// prerequisite never leaves the package.
	prerequisite Kind = "a name is not as expected"
)

// next is what a person can do.
var next = map[Kind]string{
	Refused:          "allow the TSIG key to update and query the zone (BIND: update-policy or allow-update, allow-query)",
	NotAuthoritative: "check the zone's name and that the server is its primary",
	BadKey:           "compare the key's name, algorithm and secret with the server's",
	BadClock:         "set the clocks (NTP)",
	Unsupported:      "check that the server takes dynamic updates (RFC 2136) with TSIG",
	BadAnswer:        "check that the zone's server address leads to the server itself",
}

// rcodes are answers that mean that nothing was done.
var rcodes = map[int]Kind{
	dns.RcodeFormatError:    Unsupported,
	dns.RcodeServerFailure:  Failing,
	dns.RcodeNotImplemented: Unsupported,
	dns.RcodeRefused:        Refused,
	dns.RcodeNotAuth:        NotAuthoritative,
	dns.RcodeNotZone:        NotAuthoritative,
}

// Error is a failure of a server or of the way to it. What was to be done may be tried again.
type Error struct {
	Kind   Kind
	Zone   string
	Server string
	// Doing is what was being done, to which VM or name.
	Doing string
	// Rcode is the server's answer, where it gave one.
	Rcode int
	// Err is the cause below, if any.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("DNS zone %s on %s: %s: %s", e.Zone, e.Server, e.Doing, e.Kind)
	if e.Rcode != dns.RcodeSuccess {
		text += " (" + dns.RcodeToString[e.Rcode] + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if hint := next[e.Kind]; hint != "" {
		text += "; " + hint
	}
	return text
}

// Unwrap implements errors.Unwrap.
func (e *Error) Unwrap() error { return e.Err }

// NeedsPerson tells whether trying again alone will not help.
func (e *Error) NeedsPerson() bool { return next[e.Kind] != "" }

// ConflictError says that a name is in use and not by the VM. Nothing was changed there.
type ConflictError struct {
	Name string
	// Mark is the VM that should have the name.
	Mark record.Mark
	// Holder is the VM whose mark stands there; empty when it is none of vmline's.
	Holder record.Mark
	// Standing are the records at the name: type and value.
	Standing []string
	Zone     string
}

// Error implements error.
func (e *ConflictError) Error() string {
	stands := strings.Join(e.Standing, ", ")
	if stands == "" {
		stands = "no records"
	}
	if e.Holder != (record.Mark{}) {
		return fmt.Sprintf("DNS name %s of VM %s belongs to VM %s (uid %s) and holds %s; it is left alone until that VM gives it up",
			e.Name, e.Mark.Ref, e.Holder.Ref, e.Holder.UID, stands)
	}
	return fmt.Sprintf("DNS name %s of VM %s is in use without a mark of vmline and holds %s; remove these records or give the VM another name",
		e.Name, e.Mark.Ref, stands)
}

// Conflicts are the conflicts in an error of Apply.
func Conflicts(err error) []*ConflictError {
	var all []*ConflictError
	for _, one := range single(err) {
		var conflict *ConflictError
		if errors.As(one, &conflict) {
			all = append(all, conflict)
		}
	}
	return all
}

// Passes tells whether some part of an error of Apply or Lookup goes away when it is tried again. What
// remains needs a person.
func Passes(err error) bool {
	for _, one := range single(err) {
		var e *Error
		var conflict *ConflictError
		if errors.As(one, &e) && e.NeedsPerson() || errors.As(one, &conflict) {
			continue
		}
		return true
	}
	return false
}

// single takes joined errors apart.
func single(err error) []error {
	var joined interface{ Unwrap() []error }
	if err == nil {
		return nil
	}
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, single(one)...)
	}
	return all
}

func isPrerequisite(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == prerequisite
}
