package pve

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Perl has one type for numbers and texts, so the same field comes as 1, "1" or true. These types take all of them.

// text takes a JSON string, number or boolean as text, booleans as 1 and 0; null is "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch s := string(b); {
	case s == "null":
		*t = ""
	case s == "true":
		*t = "1"
	case s == "false":
		*t = "0"
	case strings.HasPrefix(s, `"`):
		return json.Unmarshal(b, (*string)(t))
	case strings.HasPrefix(s, "{"), strings.HasPrefix(s, "["):
		return fmt.Errorf("want a single value, have %.40s", s)
	default:
		*t = text(s)
	}
	return nil
}

// number takes a JSON number or a string with one. Fractions are cut off; "" and null are 0.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	if t == "" {
		*n = 0
		return nil
	}
	if i, err := strconv.ParseInt(string(t), 10, 64); err == nil {
		*n = number(i)
		return nil
	}
	f, err := strconv.ParseFloat(string(t), 64)
	if err != nil || f != f || f < -(1<<62) || f > 1<<62 {
		return fmt.Errorf("want a number, have %.40q", string(t))
	}
	*n = number(f)
	return nil
}

// yesNo takes 1, "1" and true as set; 0, "0", "", false and null as not.
type yesNo bool

func (f *yesNo) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	switch t {
	case "1", "true", "yes", "on":
		*f = true
	case "0", "", "false", "no", "off":
		*f = false
	default:
		return fmt.Errorf("want 0 or 1, have %.40q", string(t))
	}
	return nil
}

// bit is a boolean as Proxmox reads it.
func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
