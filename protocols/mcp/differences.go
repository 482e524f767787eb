package mcp

import (
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// differences are what differs between views of principals, found out once for
// all streams that go from the same view to the same view. The zero value is
// ready to use.
type differences struct {
	mu     sync.Mutex
	newest uint64 // the generation of the views in it
	by     map[[2]*gateway.Snapshot]filter
}

// maxDifferences bounds the pairs, so that what many principals saw is not kept
// for the sake of one stream each.
const maxDifferences = 256

// between returns the lists that are not the same in both views.
func (d *differences) between(seen, view *gateway.Snapshot) filter {
	d.mu.Lock()
	defer d.mu.Unlock()
	pair := [2]*gateway.Snapshot{seen, view}
	if f, ok := d.by[pair]; ok {
		return f
	}
	if d.by == nil || view.Generation > d.newest || len(d.by) == maxDifferences {
		d.by, d.newest = map[[2]*gateway.Snapshot]filter{}, max(d.newest, view.Generation)
	}
	f := filter{tools: !view.SameTools(seen), prompts: !view.SamePrompts(seen), resources: !view.SameResources(seen)}
	d.by[pair] = f
	return f
}
