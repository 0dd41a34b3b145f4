package calc

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/intent"
)

// Flush returns what changed since the last call, in an order in which it may be applied: additions and changes, what is
// referred to before what refers to it, then removals the other way round. It is deterministic, and empty if nothing is
// another than before.
func (c *Calc) Flush() []intent.Change {
	c.flushPolicies()
	c.flushProfiles()
	// The memberships of a node's endpoints are those in the sets that the node has.
	c.sets.Sweep(func(sel index.SelectorID, node string) {
		for id := range c.byNode[node] {
			c.visited++
			if c.index.Has(id, sel) {
				c.touch(id)
			}
		}
	})
	c.flushEndpoints()
	c.flushNodes()
	c.routes.Flush(func(p netip.Prefix, r *intent.BlockRoute) {
		if r == nil {
			c.out.removeRef(intent.Ref{Kind: intent.KindBlockRoute, ID: p.String()})
		} else {
			c.out.put(r, nil)
		}
	})
	changes, removals := c.sets.Flush()
	more, less := c.out.flush()
	return order(append(changes, more...), append(removals, less...))
}
