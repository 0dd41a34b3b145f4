package localize

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Localizer holds the intent and the facts of one node. Not safe for concurrent use.
type Localizer struct {
	node string

	config    *intent.Config
	endpoints map[string]*intent.Endpoint
	bindings  map[string]Binding // by endpoint ID
	sets      setTable
	nodes     map[string]*intent.NodeFacts
	pools     map[string]*intent.Pool
	blocks    map[string]*intent.BlockRoute
	learned   map[netip.Prefix]Learned
	bgp       *intent.BGP
	ipam      *intent.IPAM

	// byNode finds the block routes whose next hop is a node's.
	byNode map[string]map[string]bool

	given   map[intent.Ref]intent.Object // what the planes have been told, but for sets
	pending map[intent.Ref]intent.Object // what they are to be told; nil: gone
	parts   map[string][]intent.Ref      // endpoint ID → the objects made of it
	routes  map[netip.Prefix]bool        // prefixes whose route must be decided anew

	own map[intent.SetID]bool // localize's own sets that must be made anew

	workload map[intent.Ref]int // routes that lead to workloads of this node; they win over all others
}

// New returns the Localizer of a node, without any intent.
func New(node string) *Localizer {
	return &Localizer{
		node:      node,
		endpoints: map[string]*intent.Endpoint{},
		bindings:  map[string]Binding{},
		sets:      newSetTable(),
		nodes:     map[string]*intent.NodeFacts{},
		pools:     map[string]*intent.Pool{},
		blocks:    map[string]*intent.BlockRoute{},
		learned:   map[netip.Prefix]Learned{},
		byNode:    map[string]map[string]bool{},
		given:     map[intent.Ref]intent.Object{},
		pending:   map[intent.Ref]intent.Object{},
		parts:     map[string][]intent.Ref{},
		routes:    map[netip.Prefix]bool{},
		own:       map[intent.SetID]bool{},
		workload:  map[intent.Ref]int{},
	}
}

// Apply takes changes of the intent; Change.Nodes must already have been looked at.
func (l *Localizer) Apply(changes ...intent.Change) {
	for _, c := range changes {
		switch c.Ref.Kind {
		case intent.KindConfig:
			l.setConfig(c.Object)
		case intent.KindSet:
			l.sets.apply(intent.SetID(c.Ref.ID), c.Object)
		case intent.KindPolicy, intent.KindProfile:
			l.want(c.Ref, c.Object)
		case intent.KindEndpoint:
			e, _ := c.Object.(*intent.Endpoint)
			l.setEndpoint(c.Ref.ID, e)
		case intent.KindNode:
			n, _ := c.Object.(*intent.NodeFacts)
			l.setNode(c.Ref.ID, n)
		case intent.KindPool:
			p, _ := c.Object.(*intent.Pool)
			l.setPool(c.Ref.ID, p)
		case intent.KindBlockRoute:
			b, _ := c.Object.(*intent.BlockRoute)
			l.setBlock(c.Ref.ID, b)
		case intent.KindBGP:
			l.bgp, _ = c.Object.(*intent.BGP)
		case intent.KindIPAM:
			l.ipam, _ = c.Object.(*intent.IPAM)
		}
	}
}

// Bind makes a binding a fact; it replaces the workload's former one.
func (l *Localizer) Bind(b Binding) {
	id := b.Workload.String()
	l.bindings[id] = b
	l.remake(id)
}

// Unbind takes a workload's binding back if it is still the container's. It tells whether there was one.
func (l *Localizer) Unbind(w model.WorkloadID, containerID string) bool {
	id := w.String()
	b, ok := l.bindings[id]
	if !ok || b.ContainerID != containerID {
		return false
	}
	delete(l.bindings, id)
	l.remake(id)
	return true
}

// Learn takes changes of BGP's learned routes.
func (l *Localizer) Learn(routes ...Learned) {
	for _, r := range routes {
		r.Prefix = r.Prefix.Masked()
		if len(r.NextHops) == 0 {
			delete(l.learned, r.Prefix)
		} else {
			l.learned[r.Prefix] = r
		}
		l.routes[r.Prefix] = true
	}
}

// Endpoint returns a workload of this node as the intent has it, or nil.
func (l *Localizer) Endpoint(id model.WorkloadID) *intent.Endpoint { return l.endpoints[id.String()] }

// Bound returns a workload's binding.
func (l *Localizer) Bound(id model.WorkloadID) (Binding, bool) {
	b, ok := l.bindings[id.String()]
	return b, ok
}

// Bindings lists every binding, in no order.
func (l *Localizer) Bindings() []Binding {
	out := make([]Binding, 0, len(l.bindings))
	for _, b := range l.bindings {
		out = append(out, b)
	}
	return out
}

// Config, BGP and IPAM are the node's own objects, nil while the intent has none.
func (l *Localizer) Config() *intent.Config { return l.config }

// BGP is the speaker's desired state, nil while the intent has none.
func (l *Localizer) BGP() *intent.BGP { return l.bgp }

// IPAM is the allocator's input, nil while the intent has none.
func (l *Localizer) IPAM() *intent.IPAM { return l.ipam }

// Adverts is what this node announces by BGP: its confirmed blocks, and the addresses that it borrowed, unless their
// pool says otherwise (store-layout §4.4). Sorted.
func (l *Localizer) Adverts() []netip.Prefix {
	var out []netip.Prefix
	for id := range l.byNode[l.node] {
		b := l.blocks[id]
		if p := l.poolOf(b.Prefix); p != nil && !p.DisableBGPExport {
			out = append(out, b.Prefix)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// Flush returns what changed for the planes since the last Flush: additions in the order of intent's kinds, removals
// after them in reverse, so that nothing refers to what is not there.
func (l *Localizer) Flush() []intent.KernelChange {
	l.decideRoutes()
	for id := range l.own {
		l.rebuildSet(id)
	}
	clear(l.own)
	l.sets.flush(func(ref intent.Ref, o intent.Object) { l.pending[ref] = o })

	var put, del []intent.KernelChange
	for ref, o := range l.pending {
		if o == nil {
			del = append(del, intent.KernelChange{Ref: ref})
			delete(l.given, ref)
		} else {
			put = append(put, intent.KernelChange{Ref: ref, Object: o})
			if ref.Kind != intent.KindSet {
				l.given[ref] = o
			}
		}
	}
	clear(l.pending)
	slices.SortFunc(put, func(a, b intent.KernelChange) int { return compareRefs(a.Ref, b.Ref) })
	slices.SortFunc(del, func(a, b intent.KernelChange) int { return compareRefs(b.Ref, a.Ref) })
	return append(put, del...)
}

func compareRefs(a, b intent.Ref) int {
	if rank(a.Kind) != rank(b.Kind) {
		return rank(a.Kind) - rank(b.Kind)
	}
	return strings.Compare(a.ID, b.ID)
}

// rank puts the host's settings first; the other kinds are numbered in order of reference.
func rank(k intent.Kind) int {
	if k == intent.KindHost {
		return 0
	}
	return int(k)
}

// want records what the planes are to have under a ref; nil: nothing.
func (l *Localizer) want(ref intent.Ref, o intent.Object) {
	if o == nil {
		if _, ok := l.given[ref]; !ok {
			delete(l.pending, ref)
			return
		}
		l.pending[ref] = nil
		return
	}
	l.pending[ref] = o
}

func (l *Localizer) setConfig(o intent.Object) {
	old := l.config
	l.config, _ = o.(*intent.Config)
	if l.config == nil {
		l.want(intent.Ref{Kind: intent.KindHost}, nil)
		return
	}
	host := &intent.Host{Config: *l.config, NodeName: l.node}
	l.want(host.Ref(), host)
	l.wantSysctl("net/ipv4/ip_forward", "1", l.config.IPForwarding, false)
	l.wantSysctl("net/ipv6/conf/all/forwarding", "1", l.config.IPForwarding && l.config.IPv6, true)

	if old == nil || old.RoutePriority4 != l.config.RoutePriority4 || old.RoutePriority6 != l.config.RoutePriority6 ||
		old.IPv6 != l.config.IPv6 {
		for id := range l.endpoints {
			l.remake(id)
		}
	}
	if old == nil || old.ProgramNoEncapRoutes != l.config.ProgramNoEncapRoutes || old.BGPClusterRoutes != l.config.BGPClusterRoutes {
		for p := range l.learned {
			l.routes[p] = true
		}
		for _, b := range l.blocks {
			l.routes[b.Prefix] = true
		}
	}
}

func (l *Localizer) wantSysctl(path, value string, on, optional bool) {
	s := &intent.Sysctl{Path: path, Value: value, Optional: optional}
	if on {
		l.want(s.Ref(), s)
	} else {
		l.want(s.Ref(), nil)
	}
}
