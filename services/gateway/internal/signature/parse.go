package signature

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// maxInput bounds Signature-Input in bytes. The profile needs about 250.
const maxInput = 1024

// input is the only member of Signature-Input (RFC 9421, section 4.1).
type input struct {
	label      string
	components []string
	params     map[string]any // string or int64
	// raw is the value of @signature-params: the member as it was received.
	raw string
}

var errSyntax = errors.New("not the syntax of RFC 9421 without optional spaces, with one signature")

// parseInput reads the part of Structured Fields (RFC 9651) that the profile needs: a dictionary of one
// member that is a list of strings with parameters that are strings or whole numbers. Its canonical
// form is the only one accepted, so that what is verified is what was read.
func parseInput(field string) (input, error) {
	if len(field) > maxInput {
		return input{}, errSyntax
	}
	s := scanner{rest: field}
	in := input{label: s.key(), params: map[string]any{}}
	if in.label == "" || !s.take("=") {
		return input{}, errSyntax
	}
	in.raw = s.rest
	if !s.take("(") {
		return input{}, errSyntax
	}
	for !s.take(")") {
		component, ok := s.text()
		if !ok || !strings.HasPrefix(s.rest, " ") && !strings.HasPrefix(s.rest, ")") {
			return input{}, errSyntax
		}
		in.components = append(in.components, component)
		if s.take(" ") && strings.HasPrefix(s.rest, ")") {
			return input{}, errSyntax
		}
	}
	for s.take(";") {
		name := s.key()
		if _, twice := in.params[name]; name == "" || twice || !s.take("=") {
			return input{}, errSyntax
		}
		value, ok := s.value()
		if !ok {
			return input{}, errSyntax
		}
		in.params[name] = value
	}
	if s.rest != "" {
		return input{}, errSyntax
	}
	return in, nil
}

// parseBytes reads a dictionary of one member of bytes, `key=:base64:`. It is the form of Signature
// and of Content-Digest.
func parseBytes(field string) (key string, value []byte, err error) {
	s := scanner{rest: field}
	key = s.key()
	if key == "" || !s.take("=:") || !strings.HasSuffix(s.rest, ":") {
		return "", nil, errSyntax
	}
	text := strings.TrimSuffix(s.rest, ":")
	value, err = base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(value) != text { // the decoder passes over line ends
		return "", nil, errSyntax
	}
	return key, value, nil
}

// scanner reads a field from the left.
type scanner struct{ rest string }

func (s *scanner) take(prefix string) bool {
	rest, ok := strings.CutPrefix(s.rest, prefix)
	s.rest = rest
	return ok
}

// key reads a key (RFC 9651, section 3.1.2), empty if there is none.
func (s *scanner) key() string {
	n := 0
	for n < len(s.rest) {
		c := s.rest[n]
		lower := c >= 'a' && c <= 'z' || c == '*'
		inner := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
		if !lower && (n == 0 || !inner) {
			break
		}
		n++
	}
	key := s.rest[:n]
	s.rest = s.rest[n:]
	return key
}

func (s *scanner) value() (any, bool) {
	if strings.HasPrefix(s.rest, `"`) {
		text, ok := s.text()
		return text, ok
	}
	return s.number()
}

// text reads a string (section 3.3.3). No component, key id, algorithm or nonce of the profile has a
// character that would be escaped, so an escape is refused.
func (s *scanner) text() (string, bool) {
	if !s.take(`"`) {
		return "", false
	}
	for i := range len(s.rest) {
		switch c := s.rest[i]; {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		case c < 0x20 || c > 0x7e || c == '\\':
			return "", false
		}
	}
	return "", false
}

// maxDigits of a whole number (section 3.3.1).
const maxDigits = 15

// number reads a whole number that is not negative and has no leading zero.
func (s *scanner) number() (int64, bool) {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	digits := s.rest[:n]
	s.rest = s.rest[n:]
	if n == 0 || n > maxDigits || n > 1 && digits[0] == '0' {
		return 0, false
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, err == nil
}
