//go:build race

package schema

// raceEnabled is set under the race detector, which makes sync.Pool forget at random.
const raceEnabled = true
