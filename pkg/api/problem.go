package api

import "strings"

// The types of problems. They are stable: a client may decide by them.
const (
	TypeBadRequest          = "urn:vmline:problem:bad-request"
	TypeUnauthenticated     = "urn:vmline:problem:unauthenticated"
	TypeForbidden           = "urn:vmline:problem:forbidden"
	TypeNotFound            = "urn:vmline:problem:not-found"
	TypeMethodNotAllowed    = "urn:vmline:problem:method-not-allowed"
	TypeOperationInProgress = "urn:vmline:problem:operation-in-progress"
	TypeConflict            = "urn:vmline:problem:conflict"
	TypeTooLarge            = "urn:vmline:problem:too-large"
	TypeTimeout             = "urn:vmline:problem:timeout"
	TypeMediaType           = "urn:vmline:problem:unsupported-media-type"
	TypeValidation          = "urn:vmline:problem:validation"
	TypeQueueFull           = "urn:vmline:problem:queue-full"
	TypeBrokerUnavailable   = "urn:vmline:problem:broker-unavailable"
	TypeServiceUnavailable  = "urn:vmline:problem:service-unavailable"
	TypeBusy                = "urn:vmline:problem:busy"
	TypeInternal            = "urn:vmline:problem:internal"
)

// Problem is an error as RFC 9457 shapes it, application/problem+json. It is what every failed
// call of the client returns when the gateway answered.
type Problem struct {
	Type   string       `json:"type" format:"uri"`
	Title  string       `json:"title"`
	Status int          `json:"status" doc:"HTTP status code."`
	Detail string       `json:"detail,omitempty" doc:"What happened, in words for a person."`
	Next   string       `json:"next,omitempty" doc:"What the caller can do."`
	Errors []FieldError `json:"errors,omitempty" nullable:"false"`
}

// FieldError is what is wrong with one value of a request.
type FieldError struct {
	Location string `json:"location" doc:"For example body.network.bridge."`
	Message  string `json:"message"`
}

// Error says what happened, each wrong value, and what the caller can do, each in a line of its own.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	if p.Detail == "" {
		b.WriteString(p.Title)
	}
	for _, e := range p.Errors {
		b.WriteString("\n  " + e.Location + ": " + e.Message)
	}
	if p.Next != "" {
		b.WriteString("\n  " + p.Next)
	}
	return b.String()
}

// GetStatus is the HTTP status code.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of a problem (RFC 9457, section 3).
func (p *Problem) ContentType(string) string { return "application/problem+json" }
