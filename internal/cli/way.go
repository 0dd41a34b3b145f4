package cli

import (
	"fmt"
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// route is the way that the packets take, as the store's objects say it.
type route struct {
	From    string   `json:"fromNode,omitempty"`
	To      string   `json:"toNode,omitempty"`
	Prefix  string   `json:"prefix,omitempty"`
	Pool    string   `json:"pool,omitempty"`
	By      string   `json:"by"` // local, store, bgp, overlay, direct, outside, unknown, none
	NextHop string   `json:"nextHop,omitempty"`
	Notes   []string `json:"notes"`
}

func (r *route) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// route follows the decisions that the source's node makes of blocks, nodes, pools and settings.
func (g *engine) route(src, dst *side, p model.Packet) route {
	r := route{From: src.node, To: dst.node}
	pool := g.poolOf(p.Dst)
	if pool != nil {
		r.Pool = pool.ID
	}
	switch {
	case src.assumed || dst.assumed:
		r.By = "unknown"
		r.note("not known: addresses are assumed")
		return r
	case src.node == "":
		r.By = "outside"
		r.note("the source is on no node of the cluster: which way its packets come is not known")
		if dst.node != "" {
			r.note("they arrive at node %s", dst.node)
		}
		return r
	case src.node == dst.node && dst.workload != nil:
		r.By = "local"
		r.note("both are on node %s: a route to the interface%s of %s", src.node, named(dst.workload.Interface), dst.name())
		return r
	case dst.host && src.node == dst.node:
		r.By = "local"
		r.note("to the node itself")
		return r
	case dst.host:
		r.By, r.NextHop = "direct", p.Dst.String()
		r.note("to node %s, by the routes that the network between the nodes has", dst.node)
		g.translation(&r, src, p, pool)
		return r
	}
	block := g.blockOf(p.Dst)
	if block == nil {
		g.beyond(&r, src, p, pool)
		return r
	}
	r.Prefix, r.To = block.Prefix.String(), block.Node
	what := "block"
	if block.Borrowed {
		what = "borrowed address"
	}
	r.note("%s %s is at node %s%s", what, block.Prefix, block.Node, inPool(pool))
	if dst.workload != nil && dst.node != block.Node {
		r.note("but the workload is on node %s: its packets go to the wrong node", dst.node)
	}
	if block.Node == src.node {
		r.By = "local"
		r.note("no workload of the node has the address: the block's blackhole route drops the packets")
		return r
	}
	g.toNode(&r, src.node, block)
	return r
}

func named(text string) string {
	if text == "" {
		return ""
	}
	return " " + text
}

func inPool(p *intent.Pool) string {
	if p == nil {
		return ", in no pool"
	}
	return ", in pool " + p.ID
}

// toNode says how one node reaches a block of another.
func (g *engine) toNode(r *route, from string, b *intent.BlockRoute) {
	cfg, hop := g.configs[from], g.addressOf(b.Node, b.Prefix)
	if hop.IsValid() {
		r.NextHop = hop.String()
	}
	if cfg == nil {
		r.By = "none"
		r.note("node %s is not registered: its settings are not known", from)
		return
	}
	speaker := g.speakers[from]
	switch {
	case g.encapsulated(from, b):
		r.By = "overlay"
		r.note("encapsulated: VXLAN or IP in IP to node %s", b.Node)
	case cfg.ProgramNoEncapRoutes && !hop.IsValid():
		r.By = "none"
		r.note("no route: node %s has no address of that family", b.Node)
	case cfg.ProgramNoEncapRoutes:
		r.By = "store"
		r.note("by the store's blocks: next hop %s, not encapsulated", hop)
	case cfg.BGPClusterRoutes && speaker != nil && speaker.Enabled:
		r.By = "bgp"
		for _, peering := range speaker.Peerings {
			if peering.Address == hop {
				r.note("by BGP: node %s announces it with next hop %s (peering %s), not encapsulated", b.Node, hop, peering.Name)
				return
			}
		}
		r.note("by BGP, not encapsulated; node %s is no direct peer: a reflector or router passes it on", b.Node)
	default:
		r.By = "none"
		r.note("no route: neither programClusterRoutes of FelixConfiguration nor BGP brings it to node %s", from)
	}
}

func (g *engine) addressOf(node string, like netip.Prefix) netip.Addr {
	n := g.facts[node]
	switch {
	case n == nil:
		return netip.Addr{}
	case like.Addr().Is4():
		return n.IPv4.Addr()
	}
	return n.IPv6.Addr()
}

// encapsulated says whether the pool has packets between two nodes encapsulated.
func (g *engine) encapsulated(from string, b *intent.BlockRoute) bool {
	if b.VXLAN == model.EncapAlways || b.IPIP == model.EncapAlways {
		return true
	}
	if b.VXLAN == model.EncapNever && b.IPIP == model.EncapNever {
		return false
	}
	own, hop := g.facts[from], g.addressOf(b.Node, b.Prefix)
	if own == nil || !hop.IsValid() {
		return true
	}
	if hop.Is4() {
		return !own.IPv4.IsValid() || !own.IPv4.Masked().Contains(hop)
	}
	return !own.IPv6.IsValid() || !own.IPv6.Masked().Contains(hop)
}

// beyond is the way to an address that no block holds.
func (g *engine) beyond(r *route, src *side, p model.Packet, pool *intent.Pool) {
	if pool != nil && !pool.LoadBalancerOnly {
		r.By = "none"
		r.note("the address is in pool %s, and no node has a block for it: there is no route", pool.ID)
		return
	}
	r.By = "outside"
	r.note("out of the cluster, by the routes of node %s", src.node)
	g.translation(r, src, p, pool)
}

// translation says whether the source's address is changed on the way (R102).
func (g *engine) translation(r *route, src *side, p model.Packet, to *intent.Pool) {
	from := g.poolOf(p.Src)
	if src.workload == nil || from == nil || !from.NATOutgoing || to != nil && !to.LoadBalancerOnly {
		return
	}
	cfg := g.configs[src.node]
	if r.By == "direct" && cfg != nil && cfg.NATExcludeHosts {
		return
	}
	r.note("with the node's address as source: pool %s has natOutgoing", from.ID)
}
