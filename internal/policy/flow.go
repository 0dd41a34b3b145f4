package policy

import (
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
)

// Flow is what becomes of a packet between workloads: the egress verdict of the source's workload, the ingress verdict
// of the destination's, and whether both allow it (R3). A side whose address no workload owns passes, with an empty
// verdict of rule -1. Where several workloads own an address (R68), one that denies speaks for all of them.
func (c *Cluster) Flow(p model.Packet) (src, dst model.Verdict, allowed bool) {
	src = c.side(p.Src, model.Egress, p)
	dst = c.side(p.Dst, model.Ingress, p)
	return src, dst, src.Allowed && dst.Allowed
}

func (c *Cluster) side(addr netip.Addr, dir model.Direction, p model.Packet) model.Verdict {
	verdict, first := undecided(true), true
	for _, key := range c.Owners(addr) {
		v := c.Verdict(key, dir, p)
		if first || verdict.Allowed && !v.Allowed {
			verdict, first = v, false
		}
	}
	return verdict
}

// Owners is the keys of the workloads that own an address (R145), in order; more than one only while an address changes
// hands (R68).
func (c *Cluster) Owners(addr netip.Addr) []model.Key {
	var owners []model.Key
	for _, o := range c.objects {
		if w, ok := o.Value.(*model.WorkloadEndpoint); ok && slices.Contains(c.owned(w), addr) {
			owners = append(owners, o.Key)
		}
	}
	return owners
}
