package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// keyName is the file with the key of the arguments' HMAC. Whoever destroys it
// makes the HMACs meaningless.
const keyName = "arguments.key"

// macs compute HMACs under one key and, for each tenant, under one that is derived
// from it: what two tenants sent cannot be compared.
type macs struct {
	key  []byte
	pool sync.Pool // of *mac under key

	mu      sync.RWMutex
	tenants map[string]*macs // their pools; at most maxTenants
}

// maxTenants bounds the tenants whose keys are kept. They can be derived again.
const maxTenants = 1024

type mac struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// openKey reads the key in dir, or makes one.
func openKey(dir string) (*macs, error) {
	path := filepath.Join(dir, keyName)
	key, err := os.ReadFile(path) //nolint:gosec // the operator names the directory.
	if missing(err) {
		key, err = makeKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	if err := private(path); err != nil {
		return nil, err
	}
	if len(key) != sha256.Size {
		return nil, fmt.Errorf("audit key: %s is not %d bytes long", path, sha256.Size)
	}
	return newMacs(key), nil
}

func newMacs(key []byte) *macs {
	m := &macs{key: key, tenants: map[string]*macs{}}
	m.pool.New = func() any { return &mac{hash: hmac.New(sha256.New, key)} }
	return m
}

// of returns what computes the HMACs of a tenant; "" has the key itself.
func (m *macs) of(tenant string) *macs {
	if tenant == "" {
		return m
	}
	m.mu.RLock()
	own := m.tenants[tenant]
	m.mu.RUnlock()
	if own != nil {
		return own
	}
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte("tenant/" + tenant))
	own = newMacs(h.Sum(nil))
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.tenants) >= maxTenants {
		clear(m.tenants)
	}
	m.tenants[tenant] = own
	return own
}

func makeKey(dir, path string) ([]byte, error) {
	key := make([]byte, sha256.Size)
	rand.Read(key) // It never fails.
	return key, errors.Join(replaceFile(path, key), syncDir(dir))
}

// private fails where others than its owner may read a file.
func private(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("audit key: %w", err)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("audit key: others than its owner may use %s (chmod 600 it)", path)
	}
	return nil
}

// sum returns the HMAC-SHA-256 of data in hex.
func (m *macs) sum(data []byte) string {
	mac := m.pool.Get().(*mac) //nolint:forcetypeassert // the pool holds nothing else.
	defer m.pool.Put(mac)
	mac.hash.Reset()
	mac.hash.Write(data)
	return hex.EncodeToString(mac.hash.Sum(mac.sum[:0]))
}
