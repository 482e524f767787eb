//go:build external

package state

import (
	"errors"
	"os"
	"os/exec"
)

// serverBinary is Debian's nats-server, the oldest that the package supports.
func serverBinary() (string, error) {
	if path, err := exec.LookPath("nats-server"); err == nil {
		return path, nil
	}
	const path = "/usr/sbin/nats-server"
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("no nats-server: apt-get install nats-server")
	}
	return path, nil
}
