package state

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// serverDir is where moduleBinary builds; "" until it has.
var serverDir string

// moduleBinary is a nats-server built from the module that go.mod pins, so
// that the plain tests need nothing but Go.
var moduleBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nats-server-")
	if err != nil {
		return "", err
	}
	serverDir = dir
	path := filepath.Join(dir, "nats-server")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nats-server: %w: %s", err, out)
	}
	return path, nil
})

func removeServerBinary() { _ = os.RemoveAll(serverDir) }
