package secrets

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files in a secrets directory. All are readable by their owner alone.
const (
	// FileSealing holds the private key of the Opener.
	FileSealing = "sealing.key"
	// FileSealer holds the public key of its Sealer.
	FileSealer = "sealing.pub"
	// FileToken holds the gateway's bearer token.
	FileToken = "token"
	// FileDigest holds the gateway's key for package digests and operation ids.
	FileDigest = "digest.key"
)

// maxFile bounds what is read of a secret file; each holds one short line.
const maxFile = 4 << 10

// LoadOrCreate returns the key pair in dir, and makes it on the first call.
func LoadOrCreate(dir string) (Opener, error) {
	text, err := loadOrCreate(dir, FileSealing, func() (string, error) {
		o, err := GenerateKey()
		return base64.StdEncoding.EncodeToString(o.private[:]), err
	})
	if err != nil {
		return Opener{}, err
	}
	o, err := parseOpener(text)
	if err != nil {
		return Opener{}, fmt.Errorf("%s: %w", filepath.Join(dir, FileSealing), err)
	}
	return o, nil
}

// SaveSealer writes the public key of a Sealer into dir, in the place of the one that is there. Who reads the
// file meanwhile finds the one or the other.
func SaveSealer(dir string, s Sealer) error {
	return put(filepath.Join(dir, FileSealer), s.String(), os.Rename)
}

// LoadOrCreateToken returns the bearer token in dir, and makes it on the first call.
func LoadOrCreateToken(dir string) (string, error) {
	return loadOrCreate(dir, FileToken, func() (string, error) { return NewToken(), nil })
}

// LoadOrCreateDigestKey returns the gateway's 32-byte digest key in dir, and makes it on the first
// call. Every gateway of an installation needs the same one.
func LoadOrCreateDigestKey(dir string) ([]byte, error) {
	text, err := loadOrCreate(dir, FileDigest, func() (string, error) {
		return base64.StdEncoding.EncodeToString(random(keySize)), nil
	})
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("%s: a digest key is %d bytes in base64", filepath.Join(dir, FileDigest), keySize)
	}
	return key, nil
}

// readFile returns the text of a secret file without the white space around it. It refuses a file
// that others can read.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("others can read the secret in %s (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("the secret in %s is longer than %d bytes", path, maxFile)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("the secret in %s is empty", path)
	}
	return text, nil
}

// loadOrCreate returns the secret in a file of dir. Two processes that start at once agree on the
// one that was there first: a finished file is linked to its name, which only one of them can.
func loadOrCreate(dir, name string, create func() (string, error)) (string, error) {
	path := filepath.Join(dir, name)
	text, err := readFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = create(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory for secrets: %w", err)
	}
	if err := put(path, text, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("write secret: %w", err)
	}
	return readFile(path)
}

// put writes a file under another name and gives it its own when it is whole: os.Link does so where there is
// none yet, os.Rename replaces it.
func put(path, text string, place func(from, to string) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // its content lives on under the other name
	_, err = io.WriteString(tmp, text+"\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return place(tmp.Name(), path)
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails: it ends the process where the system has no randomness
	return b
}
