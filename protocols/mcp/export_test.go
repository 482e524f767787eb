package mcp

import "time"

// ListingOften returns options with which what a server's lists change is seen as
// soon as it has settled.
func ListingOften(o UpstreamOptions) UpstreamOptions {
	o.listEvery = time.Millisecond
	return o
}
