package signature

import (
	"encoding/base64"
	"net/http"
	"testing"
)

// The request of RFC 9421, appendix B.2.
func vectorMessage() message {
	return message{method: "POST", authority: "example.com", target: "/foo?param=Value&Pet=dog", header: http.Header{
		"Date":           {"Tue, 20 Apr 2021 02:07:55 GMT"},
		"Content-Type":   {"application/json"},
		"Content-Digest": {"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
		"Content-Length": {"18"},
	}}
}

// TestVectorB25 is appendix B.2.5: signing a request using hmac-sha256.
func TestVectorB25(t *testing.T) {
	const params = `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`
	in, err := parseInput("sig-b25=" + params)
	if err != nil {
		t.Fatal(err)
	}
	const want = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@authority": example.com
"content-type": application/json
"@signature-params": ` + params
	base := vectorMessage().base(in.components, in.raw)
	if base != want {
		t.Fatalf("the base is\n%s", base)
	}
	secret, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	if got := "sig-b25=" + encodeBytes(mac(secret, base)); got != "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:" {
		t.Errorf("the signature is %s", got)
	}
}

// TestVectorB23 is the base of appendix B.2.3, which covers every kind of component; its signature is
// of another algorithm.
func TestVectorB23(t *testing.T) {
	const params = `("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`
	in, err := parseInput("sig-b23=" + params)
	if err != nil {
		t.Fatal(err)
	}
	const want = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@query": ?param=Value&Pet=dog
"@authority": example.com
"content-type": application/json
"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
"content-length": 18
"@signature-params": ` + params
	if base := vectorMessage().base(in.components, in.raw); base != want {
		t.Errorf("the base is\n%s", base)
	}
}

// TestDerivedComponents are examples of sections 2.2.3, 2.2.6 and 2.2.7.
func TestDerivedComponents(t *testing.T) {
	for _, tt := range []struct{ target, path, query string }{
		{"/path?param=value&foo=bar&baz=batman", "/path", "?param=value&foo=bar&baz=batman"},
		{"/path?queryString", "/path", "?queryString"},
		{"/path", "/path", "?"},
		{"/", "/", "?"},
		{"/a%2Fb?x=%20?y", "/a%2Fb", "?x=%20?y"},
	} {
		m := message{target: tt.target}
		if path, query := m.component("@path"), m.component("@query"); path != tt.path || query != tt.query {
			t.Errorf("%s: path %s, query %s", tt.target, path, query)
		}
	}
	for _, tt := range []struct {
		host, want string
		tls        bool
	}{
		{"WWW.Example.com", "www.example.com", true}, {"www.example.com:443", "www.example.com", true}, {"www.example.com:80", "www.example.com", false},
		{"www.example.com:8443", "www.example.com:8443", true}, {"www.example.com:80", "www.example.com:80", true}, {"[::1]:443", "[::1]", true},
	} {
		if got := normalAuthority(tt.host, tt.tls); got != tt.want {
			t.Errorf("%s is %s", tt.host, got)
		}
	}
}

// TestDigestVectors are of RFC 9530, appendices B.1 and D.
func TestDigestVectors(t *testing.T) {
	for body, want := range map[string]string{
		"{\"hello\": \"world\"}":   "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
		"{\"hello\": \"world\"}\n": "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
	} {
		if got := digest([]byte(body)); got != want {
			t.Errorf("%q: %s", body, got)
		}
	}
}
