package pvesim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sort"
	"strconv"
	"strings"
)

// params are checked parameters: name to value, booleans as "0" and "1".
type params map[string]string

func (p params) has(name string) bool  { _, ok := p[name]; return ok }
func (p params) bool(name string) bool { return p[name] == "1" }

func (p params) str(name, otherwise string) string {
	if v, ok := p[name]; ok {
		return v
	}
	return otherwise
}

// over are settings with what a call changes of them: without those that it deletes, and with every parameter
// but names, which only say what is changed.
func (p params) over(old map[string]string, names ...string) map[string]string {
	set := map[string]string{}
	maps.Copy(set, old)
	for _, k := range listOf(p["delete"]) {
		delete(set, k)
	}
	for k, v := range p {
		if k != "delete" && k != "digest" && !contains(names, k) {
			set[k] = v
		}
	}
	return set
}

func (p params) int(name string, otherwise int) int {
	if v, ok := p[name]; ok {
		n, _ := strconv.Atoi(v)
		return n
	}
	return otherwise
}

// sentParams are parameters as sent. kinds names the Perl type of those that JSON sent as something
// other than a string or number, and is "undef" for what a form sent without a value.
type sentParams struct {
	values params
	kinds  map[string]string
}

// has reports whether a parameter was sent, with a value.
func (s sentParams) has(name string) bool {
	_, ok := s.values[name]
	return ok && s.kinds[name] != undefined
}

// maxBody is the largest body that pveproxy accepts.
const maxBody = 1 << 20

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = &apiError{code: 413, reason: "for request body too large", exact: true}
	}
	return b, err
}

// parseParams reads the query and the body of a request.
func parseParams(r *http.Request, came content) (sentParams, error) {
	if came.err != nil {
		return sentParams{}, came.err
	}
	sent := sentParams{params{}, map[string]string{}}
	addForm(sent, r.URL.RawQuery)
	if came.file != nil {
		return sent, merge(sent, sentParams{came.file.fields, map[string]string{}})
	}
	body := came.body
	if len(bytes.TrimSpace(body)) == 0 {
		return sent, nil
	}
	inBody := sentParams{params{}, map[string]string{}}
	switch contentType(r) {
	case "application/json":
		if err := addJSON(inBody, body); err != nil {
			return sent, err
		}
	case "application/x-www-form-urlencoded", "":
		addForm(inBody, string(body))
	default:
		return sent, &apiError{code: 506, reason: "upload 'Content-Type '" + r.Header.Get("Content-Type") + "' not implemented", empty: true}
	}
	return sent, merge(sent, inBody)
}

// contentType is the type of a request's body, without its parameters.
func contentType(r *http.Request) string {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind)
}

func merge(sent, inBody sentParams) error {
	for _, k := range sortedKeys(inBody.values) {
		v := inBody.values[k]
		if have, ok := sent.values[k]; ok && have != v {
			return badParam(k, "duplicate parameter (already defined in URI) with conflicting values!")
		}
		sent.values[k] = v
		if kind, ok := inBody.kinds[k]; ok {
			sent.kinds[k] = kind
		}
	}
	return nil
}

func addJSON(sent sentParams, body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return malformed(body, err)
	}
	for k, v := range values {
		switch v := v.(type) {
		case string:
			sent.values[k] = v
		case json.Number:
			sent.values[k] = v.String()
		case bool:
			sent.values[k], sent.kinds[k] = "0", "JSON::PP::Boolean"
			if v {
				sent.values[k] = "1"
			}
		case []any:
			parts := make([]string, len(v))
			for i, x := range v {
				parts[i] = fmt.Sprint(x)
			}
			sent.values[k], sent.kinds[k] = strings.Join(parts, listSeparator), "ARRAY"
		case map[string]any:
			sent.values[k], sent.kinds[k] = "", "HASH"
		}
	}
	return nil
}

// malformed is the answer to a body that is no JSON object, in the words of the parser that Proxmox VE uses.
func malformed(body []byte, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok && !errors.Is(err, io.ErrUnexpectedEOF) {
		return &apiError{code: 500, reason: "Not a HASH reference", plain: true}
	}
	offset, rest := len(body), "(end of string)"
	if ok && int(syntax.Offset) < len(body) {
		offset = max(0, int(syntax.Offset)-1)
		rest = `"` + string(body[offset:min(len(body), offset+20)]) + `"`
	}
	return &apiError{code: 500, plain: true, reason: fmt.Sprintf(
		"malformed JSON string, neither tag, array, object, number, string or atom, at character offset %d (before %s)", offset, rest)}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// listOf splits a list at commas, semicolons and blanks, as Proxmox VE does everywhere.
func listOf(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == 0 || r == '\t' || r == '\n' })
}
