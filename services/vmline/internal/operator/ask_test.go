package operator

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/vmline/vmline/services/vmline/internal/exit"
)

func TestConfirm(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		there       bool
		code        int
	}{
		{"yes", "y\n", true, exit.Done},
		{"in full", "YES\n", true, exit.Done},
		{"no", "n\n", true, exit.Failed},
		{"only Enter", "\n", true, exit.Failed},
		{"the end of the input", "", true, exit.Failed},
		{"nobody there", "y\n", false, exit.Usage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := person{in: strings.NewReader(tt.typed), out: &out, there: tt.there}.confirm("terminate of w1-1: deletes it.")
			if exit.Code(err) != tt.code {
				t.Errorf("%v", err)
			}
			if err != nil && !strings.Contains(strings.ToLower(err.Error()), "nothing was sent") {
				t.Errorf("it does not say what was kept: %v", err)
			}
			if asked := out.String() == "terminate of w1-1: deletes it.\nGo on? [y/N] "; asked != tt.there {
				t.Errorf("asked %q", out.String())
			}
		})
	}
}

func TestPassword(t *testing.T) {
	lost := errors.New("the terminal is gone")
	for _, tt := range []struct {
		name, in string
		typed    []string
		fails    error
		want     string
		code     int
	}{
		{name: "first line of the input", in: "s3cret word\r\nmore\n", want: "s3cret word"},
		{name: "without a line's end", in: "s3cret", want: "s3cret"},
		{name: "nothing", in: "", code: exit.Usage},
		{name: "typed twice", typed: []string{"s3cret", "s3cret"}, want: "s3cret"},
		{name: "mistyped", typed: []string{"s3cret", "s3cert"}, code: exit.Usage},
		{name: "only Enter", typed: []string{"", ""}, code: exit.Usage},
		{name: "no terminal any more", typed: []string{""}, fails: lost, code: exit.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			p := person{in: strings.NewReader(tt.in), out: &out, there: tt.typed != nil}
			p.secret = func() (string, error) {
				text := tt.typed[0]
				tt.typed = tt.typed[1:]
				return text, tt.fails
			}
			got, err := p.password()
			if exit.Code(err) != tt.code || (err == nil && got != tt.want) {
				t.Errorf("%q, %v", got, err)
			}
			if strings.Contains(out.String(), "s3c") {
				t.Errorf("the password is shown: %q", out.String())
			}
		})
	}
}
