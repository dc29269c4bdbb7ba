package pvesim

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTranscripts plays what clients send that are not here: see testdata/clients. A line is a method, a path,
// perhaps a body (JSON or a form) and, after an arrow, what must come back: a code with a part of the reason
// phrase or the body, or a task with its end.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newSim(t, func(cfg *Config) { cfg.Passwords = map[string]string{"root@pam": "hello"} })
			p := &player{sim: s, base: "http://" + listen(t, s.Cluster), client: &http.Transport{}}
			defer p.client.CloseIdleConnections()
			for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				p.play(line)
			}
		})
	}
}

// player sends the lines of one transcript.
type player struct {
	*sim
	base   string
	client *http.Transport
	header http.Header
}

func (p *player) play(line string) {
	p.t.Helper()
	if how, ok := strings.CutPrefix(line, "auth "); ok {
		p.header = p.login(how)
		return
	}
	if strings.HasPrefix(line, "#") {
		return
	}
	request, want, ok := strings.Cut(line, " => ")
	if !ok {
		p.t.Fatalf("no arrow in %s", line)
	}
	if got := p.send(request); !p.fits(got, want) {
		p.t.Errorf("%s\n got %d %s %s\nwant %s", request, got.code, got.reason, got.body, want)
	}
}

// login says which headers prove who calls.
func (p *player) login(how string) http.Header {
	switch how {
	case "token":
		return http.Header{"Authorization": {"PVEAPIToken=" + p.token}}
	case "spaced":
		return http.Header{"Authorization": {"PVEAPIToken " + p.token}, "Cookie": {"PVEAuthCookie="}}
	case "ticket":
		got := p.data("POST", "/access/ticket", "username=root@pam&password=hello").(map[string]any)
		return http.Header{"Cookie": {"PVEAuthCookie=" + got["ticket"].(string)}, "Csrfpreventiontoken": {got["CSRFPreventionToken"].(string)}}
	}
	p.t.Fatalf("no way to log in called %s", how)
	return nil
}

func (p *player) send(request string) reply {
	p.t.Helper()
	parts := append(strings.SplitN(request, " ", 3), "")
	path, body := parts[1], parts[2]
	if !strings.HasPrefix(path, "/api2/") {
		path = "/api2/json" + path
	}
	r, err := http.NewRequestWithContext(p.t.Context(), parts[0], p.base+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header = p.header.Clone()
	if body != "" {
		r.Header.Set("Content-Type", map[bool]string{true: "application/json", false: "application/x-www-form-urlencoded"}[body[0] == '{'])
	}
	resp, err := p.client.RoundTrip(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	_, reason, _ := strings.Cut(resp.Status, " ")
	return reply{resp.StatusCode, reason, b}
}

func (p *player) fits(got reply, want string) bool {
	p.t.Helper()
	code, text, _ := strings.Cut(want, " ")
	if code != "task" {
		return code == itoa(got.code) && strings.Contains(got.reason+" "+string(got.body), text)
	}
	var v struct{ Data string }
	if err := json.Unmarshal(got.body, &v); err != nil || !upidFormat.MatchString(v.Data) {
		return false
	}
	return p.ended(v.Data) == text
}
