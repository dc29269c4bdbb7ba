package pve

import (
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	good := Config{URL: "https://pve1:8006", TokenID: testToken, TokenSecret: testSecret}
	for name, change := range map[string]func(*Config){
		"no URL":          func(c *Config) { c.URL = "" },
		"no scheme":       func(c *Config) { c.URL = "pve1:8006" },
		"ftp":             func(c *Config) { c.URL = "ftp://pve1" },
		"clear":           func(c *Config) { c.URL = "http://pve1:8006" },
		"other path":      func(c *Config) { c.URL = "https://pve1:8006/pve" },
		"query":           func(c *Config) { c.URL = "https://pve1:8006/?a=b" },
		"password in URL": func(c *Config) { c.URL = "https://root:hunter2@pve1:8006" },
		"broken URL":      func(c *Config) { c.URL = "https://root:hunter2@pve1:8006\x7f/" },
		"no token":        func(c *Config) { c.TokenID = "" },
		"user only":       func(c *Config) { c.TokenID = "root@pam" },
		"no realm":        func(c *Config) { c.TokenID = "root!vmline" },
		"secret in token": func(c *Config) { c.TokenID = testToken + "=" + testSecret },
		"no secret":       func(c *Config) { c.TokenSecret = "" },
		"secret, newline": func(c *Config) { c.TokenSecret = testSecret + "\n" },
		"short pin":       func(c *Config) { c.Fingerprint = "AA:BB" },
		"pin not hex":     func(c *Config) { c.Fingerprint = strings.Repeat("zz", 32) },
		"negative":        func(c *Config) { c.Timeout = -1 },
	} {
		cfg := good
		change(&cfg)
		c, err := New(cfg)
		if err == nil {
			c.Close()
			t.Errorf("%s is accepted", name)
			continue
		}
		if s := err.Error(); strings.Contains(s, "hunter2") || strings.Contains(s, testSecret) {
			t.Errorf("%s: a secret is in %s", name, s)
		}
	}
}

func TestDefaults(t *testing.T) {
	for _, url := range []string{"https://pve1:8006", "https://pve1:8006/", "https://pve1:8006/api2/json", "https://pve1:8006/api2/json/"} {
		got, err := Config{URL: url, TokenID: testToken, TokenSecret: testSecret}.checked()
		if err != nil || got.URL != "https://pve1:8006/api2/json" || got.Name != "pve1" {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
		if got.Timeout != 40*time.Second || got.MaxInFlight != 16 || got.PollEvery != 500*time.Millisecond {
			t.Errorf("%+v", got)
		}
	}
	for _, url := range []string{"http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9"} {
		if _, err := (Config{URL: url, TokenID: testToken, TokenSecret: testSecret}).checked(); err != nil {
			t.Error(err)
		}
	}
}
