package pve

import (
	"fmt"
	"slices"
	"strings"
)

// Option is one key=value of a drive or network string.
type Option struct{ Key, Value string }

// Options are the options of a drive or network card in their order, known or not: what is left out of a string that
// is written back, Proxmox drops.
type Options []Option

// Get returns the value of key and whether it is set.
func (o Options) Get(key string) (string, bool) {
	i := o.index(key)
	if i < 0 {
		return "", false
	}
	return o[i].Value, true
}

// Set sets key, in its place or at the end. Copies made before keep what they had.
func (o *Options) Set(key, value string) {
	*o = slices.Clone(*o)
	if i := o.index(key); i >= 0 {
		(*o)[i].Value = value
		return
	}
	*o = append(*o, Option{key, value})
}

// Delete removes key. Copies made before keep what they had.
func (o *Options) Delete(key string) {
	*o = slices.DeleteFunc(slices.Clone(*o), func(x Option) bool { return x.Key == key })
}

func (o Options) index(key string) int {
	return slices.IndexFunc(o, func(x Option) bool { return x.Key == key })
}

// Equal reports whether both have the same options, in whatever order: Proxmox sorts them.
func (o Options) Equal(other Options) bool {
	if len(o) != len(other) {
		return false
	}
	return !slices.ContainsFunc(o, func(x Option) bool {
		v, ok := other.Get(x.Key)
		return !ok || v != x.Value
	})
}

// join prints first and the options, separated by commas.
func (o Options) join(first string) string {
	var b strings.Builder
	b.WriteString(first)
	for _, x := range o {
		b.WriteString("," + x.Key + "=" + x.Value)
	}
	return b.String()
}

// splitOptions takes a property string apart (PVE::JSONSchema parse_property_string). bare is the one part without a
// key, which stands for the format's default key.
func splitOptions(s string) (bare string, opts Options, err error) {
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, keyed := strings.Cut(part, "=")
		switch {
		case keyed && isKey(key) && value != "":
			if opts.index(key) >= 0 {
				return "", nil, fmt.Errorf("%s is given twice", key)
			}
			opts = append(opts, Option{key, value})
		case bare == "":
			bare = part
		default:
			return "", nil, fmt.Errorf("%.40q is no option", part)
		}
	}
	return bare, opts, nil
}

// isKey reports whether s can be the name of an option, so that a volume with = in its name is not taken for one.
func isKey(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}
