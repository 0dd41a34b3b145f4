package bgp

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/config"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// Cluster is what speakers are derived from. The maps are the caller's.
type Cluster struct {
	Nodes   map[string]*model.Node
	Configs map[string]*model.BGPConfiguration
	Peers   map[string]*model.BGPPeer
	Visited *uint64 // counts the nodes and peers that are looked at

	sorted []*model.Node // by name; nil: to be made
}

// NodesChanged makes the next call look at Nodes again.
func (c *Cluster) NodesChanged() { c.sorted = nil }

func (c *Cluster) nodes() []*model.Node {
	if c.sorted == nil {
		for _, n := range c.Nodes {
			c.sorted = append(c.sorted, n)
		}
		slices.SortFunc(c.sorted, func(a, b *model.Node) int { return cmp.Compare(a.Name, b.Name) })
	}
	return c.sorted
}

// maxLocalPref is what a route of metric 0 is announced with (store-layout §4.4).
const maxLocalPref = 2147483647

// Config is the settings of a node.
func (c *Cluster) Config(node string) model.BGPConfiguration {
	return Merge(c.Configs["default"], c.Configs[NodeConfiguration(node)])
}

// Speaker is what a node's speaker must be. A node that nobody has defined, or without address, has none.
func (c *Cluster) Speaker(name string) *intent.BGP {
	o := &intent.BGP{ID: name}
	node := c.Nodes[name]
	if node == nil {
		return o
	}
	conf := c.Config(name)
	o.AS = cmp.Or(node.ASNumber, conf.ASNumber)
	o.ListenPort, o.BindNodeIP = conf.ListenPort, conf.BindNodeIP
	o.IPv4, o.IPv6 = node.IPv4.Addr(), node.IPv6.Addr()
	o.RouterID = routerID(node)
	o.LocalPref4 = maxLocalPref - uint32(conf.NormalRoutePriority4)
	o.LocalPref6 = maxLocalPref - uint32(conf.NormalRoutePriority6)
	if node.NoBGP || !o.IPv4.IsValid() && !o.IPv6.IsValid() {
		return o
	}
	// Where BGP does not bring the cluster's own routes, the mesh is there only for who asks for it by name.
	mesh := OwnsNoEncap(conf.ClusterRoutes)
	if conf.NodeToNodeMesh != nil {
		mesh = *conf.NodeToNodeMesh
	}
	b := builder{cluster: c, node: node, speaker: o, conf: conf, taken: map[netip.AddrPort]int{}}
	for _, peer := range c.sortedPeers() {
		b.explicit(peer)
	}
	if mesh && node.RRClusterID == "" {
		b.mesh()
	}
	slices.SortFunc(o.Peerings, func(a, b intent.Peering) int { return cmp.Compare(a.Name, b.Name) })
	o.Enabled = mesh && node.RRClusterID == "" || len(o.Peerings) > 0
	return o
}

func (c *Cluster) sortedPeers() []*model.BGPPeer {
	peers := make([]*model.BGPPeer, 0, len(c.Peers))
	for _, p := range c.Peers {
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b *model.BGPPeer) int { return cmp.Compare(a.Name, b.Name) })
	return peers
}

// routerID is the node's IPv4 address, else a number made of its name.
func routerID(node *model.Node) netip.Addr {
	if node.IPv4.IsValid() {
		return node.IPv4.Addr()
	}
	h := fnv.New32a()
	h.Write([]byte(node.Name))
	sum := max(h.Sum32(), 1) // RFC 6286: not zero
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// builder collects the peerings of one node. An address has one session: a peer for some nodes goes before a global
// one, both before the mesh.
type builder struct {
	cluster *Cluster
	node    *model.Node
	speaker *intent.BGP
	conf    model.BGPConfiguration
	taken   map[netip.AddrPort]int // rank of the peering that has the address
}

// The ranks of peerings, the strongest first.
const (
	rankNode = iota + 1
	rankGlobal
	rankMesh
)

func (b *builder) add(p intent.Peering, rank int) {
	at := netip.AddrPortFrom(p.Address, p.Port)
	if before, ok := b.taken[at]; ok && before <= rank {
		return
	} else if ok {
		b.speaker.Peerings = slices.DeleteFunc(b.speaker.Peerings, func(o intent.Peering) bool {
			return o.Address == p.Address && o.Port == p.Port
		})
	}
	b.taken[at] = rank
	b.speaker.Peerings = append(b.speaker.Peerings, p)
}

// mesh adds a peering to every other node of the mesh, in each family that both have.
func (b *builder) mesh() {
	restart := restartTime(b.conf.MeshMaxRestartTime)
	for _, peer := range b.cluster.nodes() {
		*b.cluster.Visited++
		if peer.Name == b.node.Name || peer.NoBGP || peer.RRClusterID != "" {
			continue
		}
		for _, p := range b.between(peer, "Mesh_") {
			p.Restart, p.Password = restart, b.conf.MeshPassword
			b.add(p, rankMesh)
		}
	}
}

// between is the sessions from the node to another one. The side with the smaller address text waits (store-layout §4.4).
func (b *builder) between(peer *model.Node, prefix string) []intent.Peering {
	var out []intent.Peering
	conf := b.cluster.Config(peer.Name)
	for _, pair := range [][2]netip.Addr{{b.speaker.IPv4, peer.IPv4.Addr()}, {b.speaker.IPv6, peer.IPv6.Addr()}} {
		own, other := pair[0], pair[1]
		if !own.IsValid() || !other.IsValid() || own == other {
			continue
		}
		out = append(out, intent.Peering{
			Name: prefix + sanitised(other.String()), Address: other, Port: conf.ListenPort,
			AS: cmp.Or(peer.ASNumber, conf.ASNumber), Passive: other.String() > own.String(),
		})
	}
	return out
}

// explicit adds the peerings that a BGPPeer gives the node: those that it is selected for, and the other ends of those
// between nodes.
func (b *builder) explicit(peer *model.BGPPeer) {
	*b.cluster.Visited++
	prefix, rank := "Node_", rankNode
	if peer.Node == "" && peer.NodeSelector == nil {
		prefix, rank = "Global_", rankGlobal
	}
	selected := selects(peer, b.node)
	if peer.PeerSelector == nil {
		if selected && peer.PeerIP.IsValid() {
			b.toAddress(peer, prefix, rank)
		}
		return
	}
	isPeer := peer.PeerSelector.Match(selector.Map(b.node.Labels))
	for _, other := range b.cluster.nodes() {
		*b.cluster.Visited++
		if other.Name == b.node.Name || other.NoBGP {
			continue
		}
		there := selected && peer.PeerSelector.Match(selector.Map(other.Labels))
		back := isPeer && selects(peer, other)
		if !there && !back {
			continue
		}
		for _, p := range b.between(other, prefix) {
			b.finish(&p, peer, other.RRClusterID)
			b.add(p, rank)
		}
	}
}

// toAddress adds the peering with an address, which may be a node's or a router's.
func (b *builder) toAddress(peer *model.BGPPeer, prefix string, rank int) {
	own := b.speaker.IPv4
	if peer.PeerIP.Is6() {
		own = b.speaker.IPv6
	}
	if !own.IsValid() || own == peer.PeerIP {
		return
	}
	p := intent.Peering{
		Name: prefix + sanitised(peer.PeerIP.String()), Address: peer.PeerIP,
		Port: cmp.Or(peer.PeerPort, DefaultListenPort), AS: cmp.Or(peer.PeerAS, b.conf.ASNumber),
	}
	if peer.PeerPort != 0 && peer.PeerPort != DefaultListenPort {
		p.Name += "_port_" + strconv.Itoa(int(peer.PeerPort))
	}
	b.finish(&p, peer, b.clusterOf(peer.PeerIP))
	b.add(p, rank)
}

// clusterOf is the reflector cluster of the node with an address.
func (b *builder) clusterOf(a netip.Addr) string {
	if b.node.RRClusterID == "" {
		return "" // only a reflector asks
	}
	for _, n := range b.cluster.nodes() {
		if n.IPv4.Addr() == a || n.IPv6.Addr() == a {
			return n.RRClusterID
		}
	}
	return ""
}

// finish fills in what a BGPPeer says, and whether the other side is a client of this reflector: one of the same AS
// that is not in the same reflector cluster (store-layout §4.4).
func (b *builder) finish(p *intent.Peering, peer *model.BGPPeer, cluster string) {
	p.LocalAS, p.Password = peer.LocalAS, peer.Password
	p.Restart = restartTime(peer.MaxRestart)
	as := cmp.Or(peer.LocalAS, b.speaker.AS)
	p.KeepNextHop = peer.KeepNextHop && p.AS != as
	if id := b.node.RRClusterID; id != "" && p.AS == as && cluster != id {
		p.RRClient, p.ClusterID = true, id
	}
}

func selects(peer *model.BGPPeer, node *model.Node) bool {
	switch {
	case peer.Node != "":
		return peer.Node == node.Name
	case peer.NodeSelector != nil:
		return peer.NodeSelector.Match(selector.Map(node.Labels))
	}
	return true
}

func restartTime(text string) (restart config.Time) {
	if d, err := config.Duration(text); err == nil && text != "" {
		return d
	}
	return config.GracefulRestart
}

// sanitised is an address as part of a name.
func sanitised(address string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == ':' {
			return '_'
		}
		return r
	}, address)
}
