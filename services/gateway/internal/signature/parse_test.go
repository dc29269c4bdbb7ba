package signature

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const goodInput = `sig1=("@method" "@path");created=1618884473;keyid="whmcs-1";alg="hmac-sha256";nonce="0123456789abcdef01234567"`

func TestParseInput(t *testing.T) {
	in, err := parseInput(goodInput)
	if err != nil {
		t.Fatal(err)
	}
	want := `{sig1 [@method @path] map[alg:hmac-sha256 created:1618884473 keyid:whmcs-1 nonce:0123456789abcdef01234567] ` + goodInput[len("sig1="):] + "}"
	if got := fmt.Sprint(in); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if in, err := parseInput(`*a.b-c_9=()`); err != nil || in.label != "*a.b-c_9" || len(in.components) != 0 {
		t.Errorf("the least: %v, %v", in, err)
	}
}

func TestWhatIsNoInput(t *testing.T) {
	for name, field := range map[string]string{
		"nothing": "", "no label": `=()`, "label in capitals": `Sig=()`, "no list": `a`, "no value": `a=`, "a token": `a=b`,
		"open list": `a=("x"`, "space first": `a=( "x")`, "space last": `a=("x" )`, "two spaces": `a=("x"  "y")`, "no space": `a=("x""y")`,
		"component parameter": `a=("x";req)`, "token component": `a=(x)`, "escape": `a=("x\"")`, "open string": `a=("x)`, "control character": "a=(\"x\t\")",
		"not ASCII": `a=("ü")`, "space before parameter": `a=() ;b=1`, "space in parameter": `a=(); b=1`, "bare parameter": `a=();b`, "parameter twice": `a=();b=1;b=1`,
		"negative": `a=();b=-1`, "leading zero": `a=();b=01`, "too long a number": `a=();b=1234567890123456`, "decimal": `a=();b=1.5`, "bytes": `a=();b=:AA==:`,
		"two signatures": `a=(), b=()`, "rest": `a=()x`, "too long": `a=("` + strings.Repeat("x", maxInput) + `")`,
	} {
		if in, err := parseInput(field); err == nil {
			t.Errorf("%s: %s became %+v", name, field, in)
		}
	}
}

func TestParseBytes(t *testing.T) {
	if key, value, err := parseBytes("sha-256=:AQI=:"); err != nil || key != "sha-256" || string(value) != "\x01\x02" {
		t.Errorf("got %q %q %v", key, value, err)
	}
	for _, field := range []string{
		"", "a", "a=", "a=:", "=:AQI=:", "a=AQI=", "a=:AQI:", "a=:AQJ=:", "a=:AQ\nI=:", "a=:AQ I=:", "a=:AQI=:;x", "a=:AQI=:, b=:AQI=:", "A=:AQI=:", "a=:-_I=:",
	} {
		if key, value, err := parseBytes(field); err == nil {
			t.Errorf("%q became %q %q", field, key, value)
		}
	}
}

// FuzzParseInput: what is read says the same again, so nothing was passed over.
func FuzzParseInput(f *testing.F) {
	f.Add(goodInput)
	f.Add(`sig=("a" "b");x=1;y="z"`)
	f.Add(`a=();b=0`)
	param := regexp.MustCompile(`;([a-z*][a-z0-9_.*-]*)=("[^"]*"|[0-9]+)`)
	f.Fuzz(func(t *testing.T, field string) {
		in, err := parseInput(field)
		if err != nil {
			return
		}
		again := in.label + "=("
		for i, c := range in.components {
			if i > 0 {
				again += " "
			}
			again += `"` + c + `"`
		}
		again += ")"
		params := param.FindAllStringSubmatch(field[len(again):], -1)
		if len(params) != len(in.params) {
			t.Fatalf("%q has %d parameters, read %d", field, len(params), len(in.params))
		}
		for _, p := range params {
			switch v := in.params[p[1]].(type) {
			case string:
				again += fmt.Sprintf(`;%s="%s"`, p[1], v)
			case int64:
				again += fmt.Sprintf(`;%s=%d`, p[1], v)
			}
		}
		if again != field || in.label+"="+in.raw != field {
			t.Fatalf("%q was read as %q", field, again)
		}
	})
}

func FuzzParseBytes(f *testing.F) {
	f.Add("sig1=:AQI=:")
	f.Fuzz(func(t *testing.T, field string) {
		key, value, err := parseBytes(field)
		if err == nil && key+"=:"+base64.StdEncoding.EncodeToString(value)+":" != field {
			t.Fatalf("%q was read as %q %x", field, key, value)
		}
	})
}
