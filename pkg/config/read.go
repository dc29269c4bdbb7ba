package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// reader makes paths absolute and reads what the file only names.
type reader struct {
	*report
	c      *Config
	dir    string
	lookup func(string) (string, bool)
}

func (r *reader) read(parts []Part) {
	r.paths()
	if slices.Contains(parts, PartGateway) {
		r.certificate()
	}
	if slices.Contains(parts, PartClusters) {
		for i := range r.c.Clusters {
			r.cluster(fmt.Sprintf("clusters[%d].", i), &r.c.Clusters[i])
		}
	}
	if slices.Contains(parts, PartDNS) {
		for i := range r.c.DNS.Zones {
			r.tsig(fmt.Sprintf("dns.zones[%d].tsig.", i), r.c.DNS.Zones[i].TSIG)
		}
	}
}

// paths makes relative paths relative to the configuration file, wherever the program was started.
// What the environment says is relative to where the program was started, as everywhere.
func (r *reader) paths() {
	list := []*string{
		&r.c.NATS.CredentialsFile, &r.c.NATS.NKeyFile, &r.c.NATS.CAFile,
		&r.c.Gateway.TLSCertFile, &r.c.Gateway.TLSKeyFile, &r.c.Gateway.TokenFile,
	}
	if r.env["data_dir"] == "" {
		list = append(list, &r.c.DataDir)
	}
	for i := range r.c.Clusters {
		list = append(list, &r.c.Clusters[i].TokenSecretFile, &r.c.Clusters[i].PasswordFile, &r.c.Clusters[i].CAFile)
	}
	for _, z := range r.c.DNS.Zones {
		if z.TSIG != nil {
			list = append(list, &z.TSIG.SecretFile)
		}
	}
	for _, p := range list {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(r.dir, *p)
		}
	}
}

func (r *reader) certificate() {
	g := &r.c.Gateway
	if g.TLSCertFile == "" || g.TLSKeyFile == "" {
		return
	}
	key, err := readClosed(g.TLSKeyFile, maxPEM)
	if err != nil {
		r.add("gateway.tls_key_file", "%s", err)
		return
	}
	cert, err := readPEM(g.TLSCertFile)
	if err != nil {
		r.add("gateway.tls_cert_file", "%s", err)
		return
	}
	pair, err := tls.X509KeyPair(cert, []byte(key))
	if err != nil {
		r.add("gateway.tls_cert_file", "certificate and key do not work together: %s", err)
		return
	}
	g.Certificate = &pair
}

func (r *reader) cluster(at string, c *Cluster) {
	c.TokenSecret = r.secret(at+"token_secret", c.TokenSecretFile, c.TokenSecretEnv)
	c.Password = r.secret(at+"password", c.PasswordFile, c.PasswordEnv)
	if c.CAFile == "" {
		return
	}
	pem, err := readPEM(c.CAFile)
	if err != nil {
		r.add(at+"ca_file", "%s", err)
		return
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		r.add(at+"ca_file", "%s holds no certificate in PEM form", c.CAFile)
	}
}

func (r *reader) tsig(at string, t *TSIG) {
	if t == nil {
		return
	}
	t.Secret = r.secret(at+"secret", t.SecretFile, t.SecretEnv)
	if key, err := base64.StdEncoding.DecodeString(string(t.Secret)); err != nil || (t.Secret != "" && len(key) == 0) {
		r.add(at+"secret_file", "the secret is not base64")
	}
}

// secret reads a secret from its one source. None or two were reported before.
func (r *reader) secret(key, file, env string) Secret {
	var (
		secret Secret
		err    error
	)
	switch {
	case file != "" && env == "":
		key += "_file"
		secret, err = ReadSecretFile(file)
	case env != "" && file == "":
		key += "_env"
		text, _ := r.lookup(env)
		secret, err = nonEmpty(text, "the environment variable "+env)
	}
	if err != nil {
		r.add(key, "%s", err)
	}
	return secret
}

// maxPEM bounds a file of certificates or keys, in bytes.
const maxPEM = 1 << 20

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(data) > maxPEM {
		return nil, errors.New(path + " is too long for a file of certificates")
	}
	return data, nil
}
