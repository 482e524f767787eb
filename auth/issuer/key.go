package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const pemType = "PRIVATE KEY" // PKCS #8, RFC 5208

// openKey returns the key in the file, or a new one.
func openKey(path string, existing bool) (*ecdsa.PrivateKey, error) {
	if path != "" {
		key, err := readKey(path)
		if existing || !errors.Is(err, fs.ErrNotExist) {
			return key, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil || path == "" {
		return key, err
	}
	if err := writeKey(path, key); errors.Is(err, fs.ErrExist) {
		return readKey(path) // Another process was first.
	} else if err != nil {
		return nil, err
	}
	return key, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %#o): chmod 600 it, or remove it if others may have read it", path, info.Mode().Perm())
	}
	if info.Size() > 16<<10 {
		return nil, fmt.Errorf("%s is too large for a key", path)
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file.
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%s is not a private key in PEM form", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s is not a P-256 key", path)
	}
	return key, nil
}

// writeKey makes the file, whole or not at all. It fails with fs.ErrExist when
// the file exists.
func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // Mode 0600.
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // what is left of it harms no one.
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // Unlike a rename, it never replaces.
}
