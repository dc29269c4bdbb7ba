package pvesim

import (
	"encoding/hex"
	"strings"
)

// listSeparator joins the values of a parameter that was sent more than once, or as a list in JSON.
const listSeparator = "\x00"

// undefined is the kind of a parameter in a form that was sent without a value. It counts as not sent,
// unless it is a text that may be anything.
const undefined = "undef"

// addForm reads a query or a form the way Proxmox VE does, which is not quite the standard's: a field
// also ends at a semicolon, a value at its second "=", and a "%" that encodes nothing is a percent sign.
func addForm(sent sentParams, text string) {
	for _, pair := range strings.FieldsFunc(text, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		value, _, _ = strings.Cut(value, "=")
		name = unescape(strings.ReplaceAll(name, "+", " "))
		value = unescape(strings.ReplaceAll(value, "+", " "))
		old, repeated := sent.values[name]
		switch {
		case name == "_dc": // browsers send it to get around their cache
			continue
		case value == "":
			sent.kinds[name] = undefined
		case repeated && old != "":
			value = old + listSeparator + value
			fallthrough
		default:
			delete(sent.kinds, name)
		}
		sent.values[name] = value
	}
}

// unescape decodes %XX wherever it makes sense.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
