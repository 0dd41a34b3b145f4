package localize

import (
	"math"
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

func (l *Localizer) setNode(id string, n *intent.NodeFacts) {
	old := l.nodes[id]
	if n == nil {
		delete(l.nodes, id)
	} else {
		l.nodes[id] = n
	}
	for block := range l.byNode[id] {
		l.routes[l.blocks[block].Prefix] = true
	}
	if id == l.node {
		for _, b := range l.blocks { // whether a node is in our subnet may have changed
			l.routes[b.Prefix] = true
		}
	}
	if old == nil {
		old = &intent.NodeFacts{}
	}
	if n == nil {
		n = &intent.NodeFacts{}
	}
	if old.IPv4 != n.IPv4 || old.IPv6 != n.IPv6 {
		l.own[intent.SetHosts] = true
	}
}

func (l *Localizer) setPool(id string, p *intent.Pool) {
	if p == nil {
		delete(l.pools, id)
	} else {
		l.pools[id] = p
	}
	l.own[intent.SetMasqueradePools], l.own[intent.SetAllPools] = true, true
	for prefix := range l.learned { // whose mode may have changed
		l.routes[prefix] = true
	}
}

// rebuildSet makes one of localize's own sets anew; they are as small as the number of pools or nodes.
func (l *Localizer) rebuildSet(id intent.SetID) {
	set := &intent.Set{ID: id, Type: intent.SetAddrs}
	seen := map[netip.Prefix]bool{}
	add := func(p netip.Prefix) {
		if p.IsValid() && !seen[p] {
			seen[p] = true
			set.Members = append(set.Members, intent.Member{Prefix: p})
		}
	}
	switch id {
	case intent.SetHosts:
		set.Selector = "addresses of nodes"
		for _, n := range l.nodes {
			for _, p := range []netip.Prefix{n.IPv4, n.IPv6} {
				if p.IsValid() {
					add(netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
				}
			}
		}
	case intent.SetMasqueradePools:
		set.Selector = "pools with natOutgoing"
		for _, p := range l.pools {
			if p.NATOutgoing && !p.LoadBalancerOnly {
				add(p.CIDR)
			}
		}
	case intent.SetAllPools:
		set.Selector = "pools"
		for _, p := range l.pools {
			if !p.LoadBalancerOnly {
				add(p.CIDR)
			}
		}
	}
	l.sets.apply(id, set)
}

// poolOf is the most specific pool that holds a prefix, or nil.
func (l *Localizer) poolOf(prefix netip.Prefix) *intent.Pool {
	var best *intent.Pool
	for _, p := range l.pools {
		if p.CIDR.Bits() <= prefix.Bits() && p.CIDR.Contains(prefix.Addr()) && (best == nil || p.CIDR.Bits() > best.CIDR.Bits()) {
			best = p
		}
	}
	return best
}

func (l *Localizer) setBlock(id string, b *intent.BlockRoute) {
	if old := l.blocks[id]; old != nil {
		delete(l.byNode[old.Node], id)
		if len(l.byNode[old.Node]) == 0 {
			delete(l.byNode, old.Node)
		}
		l.routes[old.Prefix] = true
	}
	if b == nil {
		delete(l.blocks, id)
		return
	}
	l.blocks[id] = b
	if l.byNode[b.Node] == nil {
		l.byNode[b.Node] = map[string]bool{}
	}
	l.byNode[b.Node][id] = true
	l.routes[b.Prefix] = true
}

// decideRoutes makes anew the routes of the prefixes that something changed for.
func (l *Localizer) decideRoutes() {
	for prefix := range l.routes {
		ref := intent.Ref{Kind: intent.KindRoute, ID: prefix.String()}
		if l.workload[ref] > 0 {
			continue
		}
		r := l.routeFor(prefix)
		if r == nil {
			l.want(ref, nil)
		} else if old, ok := l.given[ref].(*intent.Route); ok && sameRoute(old, r) {
			delete(l.pending, ref)
		} else {
			l.want(ref, r)
		}
	}
	clear(l.routes)
}

func sameRoute(a, b *intent.Route) bool {
	if len(a.NextHops) != len(b.NextHops) {
		return false
	}
	for i := range a.NextHops {
		if a.NextHops[i] != b.NextHops[i] {
			return false
		}
	}
	return a.Prefix == b.Prefix && a.Type == b.Type && a.Owner == b.Owner && a.Device == b.Device && a.OnLink == b.OnLink &&
		a.Metric == b.Metric && a.Neighbour == b.Neighbour && a.MTU == b.MTU
}

// routeFor says what the route of a prefix that is not a local workload's is: the blackhole of an own block (R142), the
// way to another node's block from the store or from BGP, or none. nil also leaves a local workload's route alone.
func (l *Localizer) routeFor(prefix netip.Prefix) *intent.Route {
	if l.config == nil {
		return nil
	}
	r := &intent.Route{ID: prefix.String(), Prefix: prefix, Type: intent.RouteUnicast, Metric: l.priority(prefix)}
	if b := l.blocks[prefix.String()]; b != nil {
		if b.Node == l.node {
			if b.Borrowed || prefix.IsSingleIP() {
				return nil // the workload's own route
			}
			r.Type, r.Owner = intent.RouteBlackhole, intent.RouteBlock
			return r
		}
		if hop := l.nodeAddr(b.Node, prefix); hop.IsValid() && l.config.ProgramNoEncapRoutes && l.direct(b, hop) {
			r.Owner, r.NextHops = intent.RouteCluster, []netip.Addr{hop}
			return r
		}
	}
	learned, ok := l.learned[prefix]
	if !ok || !l.config.BGPClusterRoutes {
		return nil
	}
	if p := l.poolOf(prefix); p != nil && (p.VXLAN != model.EncapNever || p.IPIP != model.EncapNever) {
		return nil // the overlay's, not BGP's (store-layout §4.4)
	}
	r.Owner, r.NextHops = intent.RouteBGP, learned.NextHops
	if learned.LocalPref > 0 && learned.LocalPref < math.MaxInt32 {
		r.Metric = math.MaxInt32 - int(learned.LocalPref)
	}
	return r
}

func (l *Localizer) priority(prefix netip.Prefix) int {
	if prefix.Addr().Is4() {
		return l.config.RoutePriority4
	}
	return l.config.RoutePriority6
}

func (l *Localizer) nodeAddr(node string, like netip.Prefix) netip.Addr {
	n := l.nodes[node]
	if n == nil {
		return netip.Addr{}
	}
	if like.Addr().Is4() {
		return n.IPv4.Addr()
	}
	return n.IPv6.Addr()
}

// direct tells whether packets for a block go to its node as they are: its pool encapsulates never, or only across
// subnets and the node is in ours.
func (l *Localizer) direct(b *intent.BlockRoute, hop netip.Addr) bool {
	if b.VXLAN == model.EncapAlways || b.IPIP == model.EncapAlways {
		return false
	}
	if b.VXLAN == model.EncapNever && b.IPIP == model.EncapNever {
		return true
	}
	own := l.nodes[l.node]
	if own == nil {
		return false
	}
	if hop.Is4() {
		return own.IPv4.IsValid() && own.IPv4.Masked().Contains(hop)
	}
	return own.IPv6.IsValid() && own.IPv6.Masked().Contains(hop)
}
