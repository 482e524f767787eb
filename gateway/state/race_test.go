//go:build race

package state

// raceDetector says that the tests run with the race detector.
const raceDetector = true
