package host

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// Allocation is the stored objects that allocators act on. The maps are the caller's.
//
// Of the two forms of the IPAM settings, Config, the key that Calico's allocator reads with etcd, goes before Resource;
// with Kubernetes there is the resource alone. Without either the settings are those of an empty etcd: not strict,
// blocks claimed as needed, no limit but the allocator's.
type Allocation struct {
	Pools        map[string]*model.IPPool
	Reservations map[string]*model.IPReservation
	Config       *model.IPAMConfig
	Resource     *model.IPAMConfig

	sorted []*model.IPPool // by name; nil: to be made
}

// PoolsChanged makes the next call look at Pools again.
func (a *Allocation) PoolsChanged() { a.sorted = nil }

func (a *Allocation) pools() []*model.IPPool {
	if a.sorted == nil {
		for _, p := range a.Pools {
			a.sorted = append(a.sorted, p)
		}
		slices.SortFunc(a.sorted, func(a, b *model.IPPool) int { return cmp.Compare(a.Name, b.Name) })
	}
	return a.sorted
}

// IPAM is what the allocator of a node must know. labels are the node's.
func (a *Allocation) IPAM(node string, labels map[string]string) *intent.IPAM {
	o := &intent.IPAM{ID: node, Config: model.IPAMConfig{AutoAllocateBlocks: true}}
	switch {
	case a.Config != nil:
		o.Config = *a.Config
	case a.Resource != nil:
		o.Config = *a.Resource
	}
	for _, p := range a.pools() {
		o.Pools = append(o.Pools, p)
		if onNode(p, labels) {
			o.Selected = append(o.Selected, p.Name)
		}
	}
	for _, r := range a.Reservations {
		o.Reservations = append(o.Reservations, r.CIDRs...)
	}
	slices.SortFunc(o.Reservations, netip.Prefix.Compare)
	o.Reservations = slices.Compact(o.Reservations)
	return o
}

// For is the names of the pools that automatic assignment may use for a workload, by family, in order of their names.
func (a *Allocation) For(node map[string]string, namespace selector.Labels) (pools4, pools6 []string) {
	for _, p := range a.pools() {
		if p.Disabled || p.Manual || !p.Workload || !onNode(p, node) ||
			p.NamespaceSelector != nil && !p.NamespaceSelector.Match(namespace) {
			continue
		}
		if p.CIDR.Addr().Is4() {
			pools4 = append(pools4, p.Name)
		} else {
			pools6 = append(pools6, p.Name)
		}
	}
	return pools4, pools6
}

func onNode(p *model.IPPool, labels map[string]string) bool {
	return p.NodeSelector == nil || p.NodeSelector.Match(selector.Map(labels))
}
