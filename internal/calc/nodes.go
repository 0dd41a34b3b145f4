package calc

import (
	"maps"
	"net/netip"

	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// part is a set of a node's own objects.
type part uint8

const (
	partConfig part = 1 << iota
	partBGP
	partIPAM
	partAll = partConfig | partBGP | partIPAM
)

// setNode takes in a node: what others must know of it, and what of the span depends on it.
func (c *Calc) setNode(name string, n *model.Node) {
	c.visited++
	old := c.cluster.Nodes[name]
	set(c.cluster.Nodes, name, n)
	c.cluster.NodesChanged()
	ref := intent.Ref{Kind: intent.KindNode, ID: name}
	if n == nil {
		c.out.removeRef(ref)
	} else {
		c.out.put(&intent.NodeFacts{ID: name, IPv4: n.IPv4, IPv6: n.IPv6}, nil)
	}
	if (old == nil) != (n == nil) {
		c.dirtyNodes[name] |= partAll
		c.dirtyAll |= partBGP
		c.touchNode(name)
		return
	}
	if n == nil {
		return
	}
	relabelled := !maps.Equal(old.Labels, n.Labels)
	if relabelled {
		c.dirtyNodes[name] |= partIPAM
		c.touchNode(name)
	}
	if old.IPv4 != n.IPv4 || old.IPv6 != n.IPv6 || old.ASNumber != n.ASNumber || old.RRClusterID != n.RRClusterID ||
		old.NoBGP != n.NoBGP || relabelled && len(c.cluster.Peers) > 0 {
		c.dirtyAll |= partBGP
	}
}

// touchNode makes the next Flush look at the endpoints of a node again.
func (c *Calc) touchNode(name string) {
	for id := range c.byNode[name] {
		c.touch(id)
	}
}

func (c *Calc) setPool(name string, p *model.IPPool) {
	c.visited++
	if old := c.alloc.Pools[name]; old == p || old != nil && p != nil && equalPools(old, p) {
		return
	}
	set(c.alloc.Pools, name, p)
	c.alloc.PoolsChanged()
	c.routes.SetPool(name, p)
	c.dirtyAll |= partIPAM
	for ref := range c.local {
		c.dirtyEndpoints[ref] = struct{}{}
	}
	if p == nil {
		c.out.removeRef(intent.Ref{Kind: intent.KindPool, ID: name})
		return
	}
	c.out.put(&intent.Pool{
		ID: name, CIDR: p.CIDR, IPIP: p.IPIP, VXLAN: p.VXLAN, NATOutgoing: p.NATOutgoing, Disabled: p.Disabled,
		LoadBalancerOnly: p.LoadBalancer && !p.Workload && !p.Tunnel, DisableBGPExport: p.DisableBGPExport,
	}, nil)
}

// setBlock takes in a block: routes, and the addresses of the pods that it names.
func (c *Calc) setBlock(key model.Key, b *model.Block) {
	c.visited++
	cidr, err := netip.ParsePrefix(key.Name)
	if err != nil {
		return // no block can have this name: convert refuses it
	}
	c.routes.SetBlock(cidr, b)
	c.owners.SetBlock(cidr, b, func(pod ipset.PodID) {
		c.visited++
		if id, ok := c.pods.Item(pod); ok {
			c.contribute(id)
		}
		for _, id := range c.rivals[pod] {
			c.contribute(id)
		}
	})
}

func (c *Calc) setAffinity(key model.Key, a *model.Affinity) {
	c.visited++
	if cidr, err := netip.ParsePrefix(key.Name); err == nil {
		c.routes.SetAffinity(key, cidr, a)
	}
}

// flushNodes makes the own objects of the nodes of the span that changed.
func (c *Calc) flushNodes() {
	dirty := c.dirtyNodes
	if c.dirtyAll != 0 {
		if c.span.All {
			for name := range c.cluster.Nodes {
				dirty[name] |= c.dirtyAll
			}
		} else {
			dirty[c.span.Node] |= c.dirtyAll
		}
	}
	for name, parts := range dirty {
		if c.span.Has(name) {
			c.flushNode(name, parts)
		}
	}
	clear(dirty)
	c.dirtyAll = 0
}

func (c *Calc) flushNode(name string, parts part) {
	node := c.cluster.Nodes[name]
	if node == nil && c.span.All {
		for _, kind := range []intent.Kind{intent.KindConfig, intent.KindBGP, intent.KindIPAM} {
			c.out.removeRef(intent.Ref{Kind: kind, ID: name})
		}
		return
	}
	nodes := []string{name}
	if parts&partConfig != 0 {
		c.out.put(c.settings.Config(name), nodes)
	}
	if parts&partBGP != 0 {
		c.out.put(c.cluster.Speaker(name), nodes)
	}
	if parts&partIPAM != 0 {
		var labels map[string]string
		if node != nil {
			labels = node.Labels
		}
		c.out.put(c.alloc.IPAM(name, labels), nodes)
	}
}
