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
		"negative read":   func(c *Config) { c.ReadTimeout = -1 },
		"bad endpoint":    func(c *Config) { c.Endpoints = []string{"https://pve2:8006", "pve3"} },
		"clear endpoint":  func(c *Config) { c.Endpoints = []string{"http://pve2:8006"} },
		"twice":           func(c *Config) { c.Endpoints = []string{"https://pve1:8006/"} },
		"second pin bad":  func(c *Config) { c.Fingerprint = strings.Repeat("ab", 32) + ",cd" },
		"both":            func(c *Config) { c.User, c.Password = "root@pam", "hunter2" },
		"no realm, user":  func(c *Config) { c.TokenID, c.TokenSecret, c.User, c.Password = "", "", "root", "hunter2" },
		"no password":     func(c *Config) { c.TokenID, c.TokenSecret, c.User = "", "", "root@pam" },
		"no user":         func(c *Config) { c.TokenID, c.TokenSecret, c.Password = "", "", "hunter2" },
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
		if got.Timeout != 40*time.Second || got.ReadTimeout != 35*time.Second || got.PollTimeout != 15*time.Second || got.MaxInFlight != 16 || got.PollEvery != 500*time.Millisecond {
			t.Errorf("%+v", got)
		}
	}
	if got, err := (Config{URL: "https://pve1", TokenID: testToken, TokenSecret: testSecret, Timeout: 10 * time.Second}).checked(); err != nil ||
		got.ReadTimeout != 10*time.Second || got.PollTimeout != 10*time.Second {
		t.Errorf("no time-out is longer than the one that was set: %+v, %v", got, err)
	}
	for _, url := range []string{"http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9"} {
		if _, err := (Config{URL: url, TokenID: testToken, TokenSecret: testSecret}).checked(); err != nil {
			t.Error(err)
		}
	}
}
