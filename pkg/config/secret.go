package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Secret is a text that is never printed. string(s) is its value.
type Secret string

const hidden = "(secret)"

// String hides the value.
func (Secret) String() string { return hidden }

// GoString hides the value from %#v.
func (Secret) GoString() string { return hidden }

// MarshalText hides the value from encoders and from slog.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// maxSecret bounds a secret's file, in bytes.
const maxSecret = 4096

// ReadSecretFile reads a secret of one line from a file that is closed to others, without the white
// space around it.
func ReadSecretFile(path string) (Secret, error) { return readClosed(path, maxSecret) }

// readClosed reads a file of at most limit bytes that others than its owner and group cannot use.
func readClosed(path string, limit int64) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", plain(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", plain(err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("everybody on this machine can use %s (mode %04o); run: chmod o= %s", path, info.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return "", plain(err)
	case int64(len(data)) > limit:
		return "", fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return nonEmpty(string(data), path)
}

func nonEmpty(text, source string) (Secret, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", fmt.Errorf("%s is empty", source)
	}
	return Secret(text), nil
}

// NoFile says that a file that somebody has named is not there.
type NoFile struct{ Path string }

func (e *NoFile) Error() string { return "there is no file " + e.Path }

// plain words the errors of the file system that an operator meets.
func plain(err error) error {
	var path *fs.PathError
	switch {
	case !errors.As(err, &path):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return &NoFile{path.Path}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to read %s", path.Path)
	default:
		return fmt.Errorf("cannot read %s: %w", path.Path, path.Err)
	}
}
