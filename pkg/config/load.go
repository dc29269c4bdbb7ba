package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Environment variables that stand above the file, for containers. A URL from the environment may
// hold a password; one in the file may not.
const (
	// EnvFile is read by programs that were given no --config.
	EnvFile     = "VMLINE_CONFIG"
	EnvNATSURL  = "VMLINE_NATS_URL"
	EnvRedisURL = "VMLINE_REDIS_URL"
	EnvListen   = "VMLINE_LISTEN"
	EnvDataDir  = "VMLINE_DATA_DIR"
)

// overrides says which variable stands above which key.
var overrides = []struct {
	env, key string
	value    func(*Config) *string
}{
	{EnvNATSURL, "nats.url", func(c *Config) *string { return &c.NATS.URL }},
	{EnvRedisURL, "redis.url", func(c *Config) *string { return &c.Redis.URL }},
	{EnvListen, "gateway.listen", func(c *Config) *string { return &c.Gateway.Listen }},
	{EnvDataDir, "data_dir", func(c *Config) *string { return &c.DataDir }},
}

// Part is a part of the configuration whose secrets and files a program reads. What a program does
// not use, its container need not have.
type Part int

// The parts.
const (
	// PartGateway reads the API's certificate.
	PartGateway Part = iota
	// PartClusters reads the tokens and authorities of the Proxmox clusters.
	PartClusters
	// PartDNS reads the TSIG keys.
	PartDNS
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Load reads a file, puts the environment above it, checks everything and reads the secrets of the
// given parts. Its error is Problems where the file's content is to blame, and a *NoFile
// where it is not there.
func Load(path string, lookup func(string) (string, bool), parts ...Part) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data, lookup, parts)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(data) > maxFile {
		return nil, Problems{{File: path, Reason: "longer than 1 MiB: this cannot be a configuration"}}
	}
	return data, nil
}

func parse(path string, data []byte, lookup func(string) (string, bool), parts []Part) (*Config, error) {
	r := &report{file: path, lines: map[string]int{}, env: map[string]string{}}
	body, err := document(path, data)
	if err != nil {
		return nil, err
	}
	for _, o := range overrides {
		if v, ok := lookup(o.env); ok && v != "" {
			r.env[o.key] = o.env
		}
	}
	c := &Config{}
	binder{r}.bind(body, reflect.ValueOf(c).Elem(), "", "")
	for _, o := range overrides {
		if r.env[o.key] != "" {
			*o.value(c), _ = lookup(o.env)
		}
	}
	(&checker{report: r, c: c}).check()
	(&reader{report: r, c: c, dir: filepath.Dir(path), lookup: lookup}).read(parts)
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// document parses the one YAML document of a file. An empty one is a section without keys.
func document(path string, data []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, Problems{syntaxProblem(path, err)}
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, Problems{{File: path, Line: doc.Body.GetToken().Position.Line, Reason: "a second document; want one"}}
		}
		body = doc.Body
	}
	if _, comment := body.(*ast.CommentGroupNode); body == nil || comment {
		body = &ast.MappingNode{BaseNode: &ast.BaseNode{}}
	}
	return body, nil
}

func syntaxProblem(path string, err error) Problem {
	p := Problem{File: path, Reason: err.Error()}
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		p.Reason = syntax.GetMessage()
		if token := syntax.GetToken(); token != nil && token.Position != nil {
			p.Line = token.Position.Line
		}
	}
	p.Reason, _, _ = strings.Cut(p.Reason, "\n")
	p.Reason = "not YAML: " + p.Reason
	return p
}
