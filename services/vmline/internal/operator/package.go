package operator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// maxPackage bounds a package's file, in bytes.
const maxPackage = 1 << 20

// readPackage reads a package from a file in YAML, of which JSON is a part. A key that no package has is
// refused: what it was meant to do would not happen. The gateway checks the values.
func readPackage(path string, stdin io.Reader) (*api.Package, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, exit.BadUsage(err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPackage+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxPackage {
		return nil, exit.BadUsagef("%s is longer than 1 MiB: this cannot be a package", path)
	}
	p := &api.Package{}
	decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.UseJSONUnmarshaler())
	if err := decoder.Decode(p); errors.Is(err, io.EOF) {
		return nil, exit.BadUsagef("%s is empty", path)
	} else if err != nil {
		// Line and column only: the text around the mistake may hold a password.
		return nil, exit.BadUsagef("%s is no package: %s", path, yaml.FormatError(err, false, false))
	}
	return p, nil
}
