package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// binder writes a YAML document into a struct and reports every value that does not fit. The YAML
// library's own strict decoder ends at the first one.
type binder struct{ *report }

// wanted describes the types that are written as text, for error messages.
var wanted = map[reflect.Type]string{
	reflect.TypeFor[time.Duration](): "a time span like 30s or 5m",
	reflect.TypeFor[netip.Addr]():    "an IP address like 203.0.113.7",
	reflect.TypeFor[netip.Prefix]():  "a network like 203.0.113.0/24",
	reflect.TypeFor[slog.Level]():    "debug, info, warn or error",
	reflect.TypeFor[string]():        "text; put it in quotes if it is meant as text",
	reflect.TypeFor[int]():           "a whole number",
	reflect.TypeFor[uint32]():        "a whole number from 0",
	reflect.TypeFor[bool]():          "true or false",
}

func (b binder) bind(node ast.Node, v reflect.Value, key, oneOf string) {
	switch node := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		b.add(key, "anchors, aliases and tags are not supported; write the value out")
	case *ast.NullNode:
		// A key with nothing behind it, or only comments, is a key that is not there.
	default:
		switch {
		case v.Kind() == reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			b.bind(node, v.Elem(), key, oneOf)
		case wanted[v.Type()] != "":
			b.scalar(node, v, key, oneOf)
		case v.Kind() == reflect.Slice:
			b.sequence(node, v, key)
		default:
			b.mapping(node, v, key)
		}
	}
}

func (b binder) mapping(node ast.Node, v reflect.Value, key string) {
	var values []*ast.MappingValueNode
	switch node := node.(type) {
	case *ast.MappingNode:
		values = node.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{node}
	default:
		b.add(key, "want a section with keys, got %s", got(node))
		return
	}
	fields := fieldsOf(v.Type())
	given := map[string]bool{}
	for _, value := range values {
		name := value.Key.GetToken().Value
		at := join(key, name)
		b.lines[at] = value.Key.GetToken().Position.Line
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			b.add(at, "unknown key; known here: %s", names(fields))
		case given[name]:
			b.add(at, "this key stands here twice")
		default:
			_, null := value.Value.(*ast.NullNode)
			given[name] = !null
			b.bind(value.Value, v.Field(fields[i].index), at, fields[i].oneOf)
		}
	}
	for _, f := range fields {
		if f.required && !given[f.name] && b.env[join(key, f.name)] == "" {
			b.add(join(key, f.name), "missing")
		}
	}
}

func (b binder) sequence(node ast.Node, v reflect.Value, key string) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		b.add(key, "want a list, got %s", got(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		at := fmt.Sprintf("%s[%d]", key, i)
		b.lines[at] = item.GetToken().Position.Line
		if _, null := item.(*ast.NullNode); null {
			b.add(at, "empty list item")
			continue
		}
		if m, ok := item.(*ast.MappingNode); ok && len(m.Values) > 0 {
			b.lines[at] = m.Values[0].Key.GetToken().Position.Line
		}
		b.bind(item, v.Index(i), at, "")
	}
}

func (b binder) scalar(node ast.Node, v reflect.Value, key, oneOf string) {
	text, fits := scalarText(node, v.Type())
	if !fits {
		b.add(key, "want %s, got %s", wanted[v.Type()], got(node))
		return
	}
	if err := setText(v, text); err != nil {
		b.add(key, "want %s, got %q", wanted[v.Type()], text)
		return
	}
	if oneOf != "" && text != "" && !slices.Contains(strings.Fields(oneOf), text) {
		b.add(key, "want one of %s, got %q", strings.Join(strings.Fields(oneOf), ", "), text)
	}
}

// scalarText returns a scalar as it was written, if YAML takes it for what the type wants.
func scalarText(node ast.Node, t reflect.Type) (text string, fits bool) {
	number, truth := t == reflect.TypeFor[int]() || t == reflect.TypeFor[uint32](), t == reflect.TypeFor[bool]()
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, !number && !truth
	case *ast.LiteralNode:
		return strings.TrimSpace(node.Value.Value), !number && !truth
	case *ast.IntegerNode:
		return node.GetToken().Value, number
	case *ast.BoolNode:
		return strconv.FormatBool(node.Value), truth
	default:
		return "", false
	}
}

func setText(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		*p = d
		return err
	case *string:
		*p = text
	case *int:
		n, err := strconv.Atoi(text)
		*p = n
		return err
	case *uint32:
		n, err := strconv.ParseUint(text, 10, 32)
		*p = uint32(n)
		return err
	case *bool:
		*p = text == "true"
	case encoding.TextUnmarshaler:
		if text == "" {
			return errors.New("empty")
		}
		return p.UnmarshalText([]byte(text))
	}
	return nil
}

// got describes a node without printing it whole: it may be a secret in the wrong place.
func got(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode:
		return "the number " + node.GetToken().Value
	case *ast.BoolNode:
		return "the truth value " + node.GetToken().Value
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	default:
		return "something else"
	}
}

// field is one key that a section may have.
type field struct {
	name     string
	index    int
	required bool
	oneOf    string
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "-" {
			fields = append(fields, field{name: name, index: i, required: option == "required", oneOf: f.Tag.Get("oneof")})
		}
	}
	return fields
}

func names(fields []field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return strings.Join(list, ", ")
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
