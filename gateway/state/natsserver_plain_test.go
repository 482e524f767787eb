//go:build !external

package state

// serverBinary is the nats-server that the plain tests run.
func serverBinary() (string, error) { return moduleBinary() }
