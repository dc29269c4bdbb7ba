package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/secrets"
)

// Each service has a directory of its own for its secrets, so that a container can be given the one
// and not the other:
//
//	<data_dir>/secrets/gateway/token          what callers of the API show
//	<data_dir>/secrets/gateway/digest.key     for the digests of packages
//	<data_dir>/secrets/gateway/sealing.pub    seals passwords for the provisioner
//	<data_dir>/secrets/gateway/tls.crt, .key  the API's certificate, unless the configuration names one
//	<data_dir>/secrets/provisioner/sealing.key  opens them
func secretsOf(dataDir, service string) string { return filepath.Join(dataDir, "secrets", service) }

// TokenFile is where the gateway's token stands if the configuration names no other file.
func TokenFile(cfg *config.Config) string {
	if cfg.Gateway.TokenFile != "" {
		return cfg.Gateway.TokenFile
	}
	return filepath.Join(secretsOf(cfg.DataDir, "gateway"), secrets.FileToken)
}

// makeSecrets makes the secrets that are not there yet.
func makeSecrets(dataDir string) error {
	gateway := secretsOf(dataDir, "gateway")
	opener, err := secrets.LoadOrCreate(secretsOf(dataDir, "provisioner"))
	if err != nil {
		return err
	}
	_, errToken := secrets.LoadOrCreateToken(gateway)
	_, errDigest := secrets.LoadOrCreateDigestKey(gateway)
	if err := errors.Join(errToken, errDigest); err != nil {
		return err
	}
	return secrets.SaveSealer(gateway, opener.Sealer())
}

// gatewaySecrets are what the gateway needs.
type gatewaySecrets struct {
	token     string
	digestKey []byte
	sealer    secrets.Sealer
}

func readGatewaySecrets(cfg *config.Config) (s gatewaySecrets, err error) {
	dir := secretsOf(cfg.DataDir, "gateway")
	public, err := os.ReadFile(filepath.Join(dir, secrets.FileSealer))
	if err != nil {
		return s, missing(err)
	}
	if s.sealer, err = secrets.ParseSealer(strings.TrimSpace(string(public))); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, secrets.FileSealer), err)
	}
	if s.digestKey, err = secrets.LoadOrCreateDigestKey(dir); err != nil {
		return s, err
	}
	if cfg.Gateway.TokenFile == "" {
		s.token, err = secrets.LoadOrCreateToken(dir)
		return s, err
	}
	token, err := config.ReadSecretFile(cfg.Gateway.TokenFile)
	return gatewaySecrets{token: string(token), digestKey: s.digestKey, sealer: s.sealer}, err
}

func readOpener(cfg *config.Config) (secrets.Opener, error) {
	dir := secretsOf(cfg.DataDir, "provisioner")
	if _, err := os.Stat(filepath.Join(dir, secrets.FileSealing)); err != nil {
		// A key made here would not match the one that the gateway seals for.
		return secrets.Opener{}, missing(err)
	}
	return secrets.LoadOrCreate(dir)
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; run `vmline apply` once for this installation", err)
	}
	return err
}
