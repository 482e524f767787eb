package server

import "time"

// WithPatience returns the options with another limit for the bodies of
// requests.
func WithPatience(o Options, patience time.Duration) Options {
	o.patience = patience
	return o
}
