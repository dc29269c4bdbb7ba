package pvesim

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// schema is the parameters of one method: name to what is allowed.
type schema map[string]field

// field says what a parameter may be.
type field struct {
	kind     string // string, integer, number, boolean, array
	format   string // a name in formats
	pattern  *regexp.Regexp
	shown    string // the pattern as the error text shows it; "" for the short text
	enum     []string
	min, max string // limits of a number; "" for none
	minLen   int
	maxLen   int
	required bool
	requires string // another parameter that must be there too
}

// parseSchema reads the notation of the tables in this package: words of the form
//
//	name[!]:type[<[minlen..]maxlen][>other]
//
// with ! for required, >other for a parameter that must be there too, and the types bool, int, int(min..max), num(min..max), enum(a,b), intenum(1,2), string, or
// the name of a format. "name[n]" stands for name0 to name(n-1). A word "+x" includes table x.
func parseSchema(text string) schema {
	s := schema{}
	for _, word := range strings.Fields(text) {
		if name, ok := strings.CutPrefix(word, "+"); ok {
			for k, f := range parseSchema(sharedTables[name]) {
				s[k] = f
			}
			continue
		}
		name, typ, ok := strings.Cut(word, ":")
		if !ok {
			panic("pvesim: no type in " + word)
		}
		name, required := strings.CutSuffix(name, "!")
		f := parseField(typ)
		f.required = required
		if base, n, ok := strings.Cut(strings.TrimSuffix(name, "]"), "["); ok {
			count, _ := strconv.Atoi(n)
			for i := range count {
				s[base+strconv.Itoa(i)] = f
			}
			continue
		}
		s[name] = f
	}
	return s
}

func parseField(typ string) field {
	f := field{kind: "string"}
	typ, f.requires, _ = strings.Cut(typ, ">")
	if t, n, ok := strings.Cut(typ, "<"); ok {
		if low, high, ok := strings.Cut(n, ".."); ok {
			f.minLen, _ = strconv.Atoi(low)
			n = high
		}
		f.maxLen, _ = strconv.Atoi(n)
		typ = t
	}
	name, args, _ := strings.Cut(strings.TrimSuffix(typ, ")"), "(")
	switch name {
	case "string":
	case "bool":
		f.kind = "boolean"
	case "int", "num":
		f.kind = map[string]string{"int": "integer", "num": "number"}[name]
		f.min, f.max, _ = strings.Cut(args, "..")
	case "enum", "intenum":
		if name == "intenum" {
			f.kind = "integer"
		}
		f.enum = strings.Split(args, ",")
		if list, ok := enums[args]; ok {
			f.enum = list
		}
	case "command":
		f.kind = "array"
	case "vmid":
		f.kind, f.format, f.min, f.max = "integer", "vmid", "100", "999999999"
	default:
		p, isPattern := patterns[name]
		if isPattern {
			f.pattern, f.shown = p.re, p.shown
		} else {
			if _, ok := formats[name]; !ok {
				panic("pvesim: unknown format " + name)
			}
			f.format = name
		}
	}
	return f
}

// anyText reports whether a parameter may be any text, also none.
func (f field) anyText() bool {
	return f.kind == "string" && f.format == "" && f.pattern == nil && f.enum == nil && !f.required && f.minLen == 0
}

// undefinedProperty is the text for a parameter that a method does not have.
const undefinedProperty = "property is not defined in schema and the schema does not allow additional properties"

// check verifies what was sent and brings it into its normal form. vars are the parameters in the
// path, which are checked alongside.
func (s schema) check(sent sentParams, vars map[string]string) (params, error) {
	errs, p := map[string]string{}, params{}
	for k, v := range sent.values {
		f, ok := s[k]
		if ok && sent.kinds[k] == undefined && !f.anyText() {
			continue
		}
		if !ok {
			if _, inPath := vars[k]; !inPath || vars[k] != v {
				errs[k] = undefinedProperty
			}
			continue
		}
		value, text := f.check(k, v, sent.kinds[k])
		if text != "" {
			errs[k] = text
		}
		p[k] = value
	}
	for k, f := range s {
		if !sent.has(k) && f.required {
			errs[k] = "property is missing and it is not optional"
		}
		if sent.has(k) && f.requires != "" && !p.has(f.requires) {
			errs[f.requires] = fmt.Sprintf("missing property - '%s' requires this property", k)
		}
	}
	for k, v := range vars {
		if f, ok := pathFields[k]; ok {
			if _, text := f.check(k, v, ""); text != "" {
				errs[k] = text
			}
		}
	}
	if len(errs) > 0 {
		return nil, badParams(errs)
	}
	return p, nil
}

var (
	integer = regexp.MustCompile(`^[+-]?\d+$`)
	number  = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`)
	truths  = map[string]string{"1": "1", "on": "1", "yes": "1", "true": "1", "0": "0", "off": "0", "no": "0", "false": "0"}
)

// check verifies one value. kind is the Perl type of a JSON value that is no scalar. A value that
// passes is returned in its normal form with an empty text.
func (f field) check(name, v, kind string) (value, text string) {
	if f.kind == "array" || kind == "ARRAY" && strings.HasSuffix(f.format, "-list") {
		return v, ""
	}
	if kind == undefined {
		kind = ""
	}
	if kind == "HASH" || kind == "ARRAY" || kind != "" && f.kind != "boolean" {
		return v, fmt.Sprintf("type check ('%s') failed - got %s", f.kind, kind)
	}
	switch f.kind {
	case "boolean":
		b, ok := truths[strings.ToLower(v)]
		if !ok {
			return v, fmt.Sprintf("type check ('boolean') failed - got '%s'", v)
		}
		return b, ""
	case "integer", "number":
		if re := map[string]*regexp.Regexp{"integer": integer, "number": number}[f.kind]; !re.MatchString(v) {
			return v, fmt.Sprintf("type check ('%s') failed - got '%s'", f.kind, v)
		}
		if n, ok := new(big.Int).SetString(v, 10); ok {
			v = n.String() // without a plus and leading zeros, which JSON does not know
		}
	}
	if text := f.checkText(v); text != "" {
		return v, text
	}
	if f.format != "" {
		normal, err := formats[f.format](name, v)
		if err != nil {
			return v, "invalid format - " + err.Error() + "\n"
		}
		v = normal
	}
	return v, f.checkRange(v)
}

func (f field) checkText(v string) string {
	switch {
	case f.maxLen > 0 && len(v) > f.maxLen:
		return fmt.Sprintf("value may only be %d characters long", f.maxLen)
	case len(v) < f.minLen:
		return fmt.Sprintf("value must be at least %d characters long", f.minLen)
	case f.enum != nil && !contains(f.enum, v):
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", v, strings.Join(f.enum, ", "))
	case f.pattern != nil && !f.pattern.MatchString(v):
		if f.shown != "" {
			return fmt.Sprintf("value does not match the regex pattern '%s'", f.shown)
		}
		return "value does not match the regex pattern"
	}
	return ""
}

func (f field) checkRange(v string) string {
	if f.kind == "string" || f.min == "" && f.max == "" {
		return ""
	}
	n, _ := strconv.ParseFloat(v, 64)
	if low, err := strconv.ParseFloat(f.min, 64); err == nil && n < low {
		return "value must have a minimum value of " + f.min
	}
	if high, err := strconv.ParseFloat(f.max, 64); err == nil && n > high {
		return "value must have a maximum value of " + f.max
	}
	return ""
}
