package pve

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestUPID(t *testing.T) {
	for _, test := range []struct{ in, node, kind, id, user string }{
		{"UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam!test:", "pve1", "qmclone", "9000", "root@pam!test"},
		{"UPID:pve1:00002421:000348B6:6B04D1CF:imgdel:101@local:root@pam:", "pve1", "imgdel", "101@local", "root@pam"},
		{"UPID:pve-1:00003265:10003EFEB:6B04D37B:qmmove:160-unused0>105-unused0:root@pam:", "pve-1", "qmmove", "160-unused0>105-unused0", "root@pam"},
		{"UPID:p:00003265:0003EFEB:6B04D37B:aptupdate::root@pam:", "p", "aptupdate", "", "root@pam"},
	} {
		u, err := ParseUPID(test.in)
		if err != nil || u.Node() != test.node || u.Type() != test.kind || u.ID() != test.id || u.User() != test.user {
			t.Errorf("%s: %s %s %s %s, %v", test.in, u.Node(), u.Type(), u.ID(), u.User(), err)
		}
	}
	for _, bad := range []string{"", "UPID:", "UPID:pve1:zz", "UPID:../x:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam:",
		"UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:9000:root@pam", "UPID:pve1:000008A5:00028172:6B04CFD1:qm/x:9000:root@pam:",
		"UPID:pve1:000008A5:00028172:6B04CFD1:qmclone:" + strings.Repeat("9", 600) + ":root@pam:"} {
		if u, err := ParseUPID(bad); err == nil {
			t.Errorf("%q is accepted as %s", bad, u)
		}
	}
	if u := UPID("rubbish"); u.Node() != "" || !u.Started().IsZero() {
		t.Errorf("%s %s", u.Node(), u.Started())
	}
}

func TestScalars(t *testing.T) {
	var v struct {
		T text   `json:"t"`
		N number `json:"n"`
		Y yesNo  `json:"y"`
	}
	for _, test := range []struct {
		in   string
		t    text
		n    number
		y    bool
		good bool
	}{
		{`{"t":1,"n":"7","y":"1"}`, "1", 7, true, true},
		{`{"t":"a","n":7.9,"y":true}`, "a", 7, true, true},
		{`{"t":false,"n":null,"y":0}`, "0", 0, false, true},
		{`{"t":null,"n":"","y":""}`, "", 0, false, true},
		{`{"t":1.5,"n":1e3,"y":"0"}`, "1.5", 1000, false, true},
		{`{"n":"x"}`, "", 0, false, false},
		{`{"n":"NaN"}`, "", 0, false, false},
		{`{"n":1e40}`, "", 0, false, false},
		{`{"y":2}`, "", 0, false, false},
		{`{"t":{}}`, "", 0, false, false},
		{`{"n":[]}`, "", 0, false, false},
	} {
		v.T, v.N, v.Y = "", 0, false
		err := json.Unmarshal([]byte(test.in), &v)
		if (err == nil) != test.good || test.good && (v.T != test.t || v.N != test.n || bool(v.Y) != test.y) {
			t.Errorf("%s: %+v, %v", test.in, v, err)
		}
	}
}
