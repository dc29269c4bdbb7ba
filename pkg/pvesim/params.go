package pvesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
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

func (p params) int(name string, otherwise int) int {
	if v, ok := p[name]; ok {
		n, _ := strconv.Atoi(v)
		return n
	}
	return otherwise
}

// sentParams are parameters as sent. kinds names the Perl type of those that JSON sent as something
// other than a string or number.
type sentParams struct {
	values params
	kinds  map[string]string
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
func parseParams(r *http.Request, body []byte, bodyErr error) (sentParams, error) {
	if bodyErr != nil {
		return sentParams{}, bodyErr
	}
	sent := sentParams{params{}, map[string]string{}}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return sent, &apiError{code: 400, reason: "bad query"}
	}
	addForm(sent, query)
	if len(bytes.TrimSpace(body)) == 0 {
		return sent, nil
	}
	inBody := sentParams{params{}, map[string]string{}}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		err = addJSON(inBody, body)
	case "application/x-www-form-urlencoded", "":
		var form url.Values
		if form, err = url.ParseQuery(string(body)); err == nil {
			addForm(inBody, form)
		}
	default:
		err = &apiError{code: 501, reason: "upload not allowed", exact: true}
	}
	if err != nil {
		return sent, err
	}
	return sent, merge(sent, inBody)
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

func addForm(sent sentParams, form url.Values) {
	for k, v := range form {
		// Proxmox VE joins repeated form fields with a NUL; only lists use them.
		sent.values[k] = strings.Join(v, ",")
	}
}

func addJSON(sent sentParams, body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return fail("malformed JSON string, neither tag, array, object, number, string or atom: %v", err)
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
			sent.values[k], sent.kinds[k] = strings.Join(parts, ","), "ARRAY"
		case map[string]any:
			sent.values[k], sent.kinds[k] = "", "HASH"
		}
	}
	return nil
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
