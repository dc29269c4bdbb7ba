package pvesim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyValue is a parameter's value, right or wrong.
func anyValue(f field) *rapid.Generator[string] {
	wild := []*rapid.Generator[string]{
		rapid.String(),
		rapid.SampledFrom([]string{"", "0", "1", "100", "101", "9000", "-1", "+5", "007", "2.5", "a\r\nb", "local:1", "shared1:cloudinit", "shared1:0", "none", "virtio,bridge=vmbr0", "virtio=x", "ip=dhcp", "scsi0", "scsi1", "unused0", "pve1", "pve2", "local", "shared1", "+1G", "3G", "a,b", ",", "=", "a=b", "s1", "current", "0000"}),
	}
	if len(f.enum) > 0 {
		wild = append(wild, rapid.SampledFrom(f.enum))
	}
	return rapid.OneOf(wild...)
}

// TestNoRequestBreaksTheSimulator sends random requests, one after the other, to one cluster: each is
// answered with one of Proxmox VE's codes and a JSON object, and no VM is left without its node.
func TestNoRequestBreaksTheSimulator(t *testing.T) {
	places := map[string][]string{
		"node": {"pve1", "pve2", "nowhere"}, "vmid": {"101", "102", "9000", "7", "x"}, "storage": {"local", "shared1", "none"}, "snapname": {"s1", "current"},
		"pos": {"0", "7", "x"}, "name": {"s1"}, "cidr": {"192.0.2.1"}, "volume": {"shared1:101/vm-101-disk-0.raw", "backup/vzdump-qemu-101-x", "x"}, "upid": {"UPID:x", "UPID:pve1:00000001:00000001:00000001:qmclone:9000:root@pam:"},
	}
	rapid.Check(t, func(t *rapid.T) {
		c := New(Default())
		defer c.Close()
		if err := c.AddVM(VMSpec{VMID: 101, Node: "pve1", Storage: "shared1", DiskGB: 1, CloudInit: true, Running: rapid.Bool().Draw(t, "running"), Config: map[string]string{"net0": "virtio,bridge=vmbr0", "agent": "1"}}); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(t, "requests") {
			rt := rapid.SampledFrom(routeTable).Draw(t, "route")
			parts := strings.Split(rt.path, "/")
			for i, p := range parts {
				if name := strings.Trim(p, "{}"); name != p {
					parts[i] = rapid.SampledFrom(append(places[name], "x")).Draw(t, name)
				}
			}
			values := url.Values{}
			for range rapid.IntRange(0, 4).Draw(t, "parameters") {
				if len(rt.schema) > 0 {
					k := rapid.SampledFrom(sortedKeys(rt.schema)).Draw(t, "key")
					values.Set(k, anyValue(rt.schema[k]).Draw(t, "value"))
				}
			}
			checkAnswer(t, c, rt.method, strings.Join(parts, "/"), values)
		}
		for _, v := range c.VMs() {
			if v.Node != "pve1" && v.Node != "pve2" {
				t.Fatalf("VM %d is on node %q", v.VMID, v.Node)
			}
		}
	})
}

func checkAnswer(t *rapid.T, c *Cluster, method, path string, values url.Values) {
	u := url.URL{Scheme: "http", Host: "sim", Path: "/api2/json" + path}
	var body io.Reader = http.NoBody
	if method == "GET" || method == "DELETE" {
		u.RawQuery = values.Encode()
	} else {
		body = strings.NewReader(values.Encode())
	}
	r, err := http.NewRequest(method, u.String(), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "PVEAPIToken="+testToken+"="+Default().Tokens[testToken])
	a := c.answer(r)
	switch a.code {
	case 200, 400, 401, 403, 500, 501, 595:
	default:
		t.Fatalf("%s %s %v: code %d %s", method, path, values, a.code, a.reason)
	}
	if strings.ContainsAny(a.reason, "\r\n") {
		t.Fatalf("%s %s %v: reason of two lines %q", method, path, values, a.reason)
	}
	var v map[string]any
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") && json.Unmarshal(a.body, &v) != nil {
		t.Fatalf("%s %s %v: %s", method, path, values, a.body)
	}
}
