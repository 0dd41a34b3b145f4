package ipset

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/slab"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Sets is every set that some active rule refers to. It is made by New.
type Sets struct {
	index    *index.Index
	sets     map[intent.SetID]*set
	bySel    map[index.SelectorID][]*set
	bySvc    map[model.ServiceRef][]*set
	items    slab.Of[contribution] // by item number
	ports    portLists
	services Services
	dirty    map[*set]struct{}
	idle     map[*set]struct{} // nobody refers to them; dropped by Sweep
	visited  *uint64
}

// contribution is what an item adds to each set that it is in.
type contribution struct {
	prefixes prefixes // masked, no duplicates
	ports    *portList
}

type set struct {
	id       intent.SetID
	spec     Spec
	selector index.SelectorID
	refs     int
	nodes    Audience
	counts   map[intent.Member]uint32 // contributors (R68)
	changed  map[intent.Member]bool   // since the last flush: whether it was a member then
	told     []string                 // nodes that have the set as it was at the last flush
	gained   []string                 // nodes that the audience gained or lost since Sweep
}

// New makes the empty collection. visited counts the members that are touched.
func New(x *index.Index, visited *uint64) *Sets {
	return &Sets{
		index: x, sets: map[intent.SetID]*set{}, bySel: map[index.SelectorID][]*set{},
		bySvc: map[model.ServiceRef][]*set{}, dirty: map[*set]struct{}{}, idle: map[*set]struct{}{}, visited: visited,
		services: newServices(), ports: portLists{},
	}
}

// Acquire takes a reference of a set, which it makes if there is none, for the rules that the nodes have.
func (s *Sets) Acquire(id intent.SetID, spec Spec, nodes []string) {
	t := s.sets[id]
	if t == nil {
		t = &set{id: id, spec: spec, counts: map[intent.Member]uint32{}}
		s.sets[id] = t
		s.populate(t)
	}
	t.refs++
	delete(s.idle, t)
	for _, node := range nodes {
		if t.nodes.Add(node) {
			t.gained = append(t.gained, node)
		}
	}
	s.dirty[t] = struct{}{}
}

// Release gives a reference back. The set itself goes with Sweep, if nobody acquires it until then.
func (s *Sets) Release(id intent.SetID, nodes []string) {
	t := s.sets[id]
	for _, node := range nodes {
		if t.nodes.Remove(node) {
			t.gained = append(t.gained, node)
		}
	}
	if t.refs--; t.refs == 0 {
		s.idle[t] = struct{}{}
	}
	s.dirty[t] = struct{}{}
}

// populate fills a new set with what is known.
func (s *Sets) populate(t *set) {
	if t.spec.Service != (model.ServiceRef{}) {
		s.bySvc[t.spec.Service] = append(s.bySvc[t.spec.Service], t)
		for _, slice := range s.services.of(t.spec.Service) {
			s.contributeSlice(t, slice, 1)
		}
		return
	}
	t.selector = s.index.Add(index.Members, t.spec.Selector, func(item index.ItemID) { s.contribute(t, item, 1) })
	s.bySel[t.selector] = append(s.bySel[t.selector], t)
}

// Sweep drops the sets that nobody refers to. It calls regained with the selector and the node for each change of an
// audience since the last call: the memberships of that node's endpoints are other ones now.
func (s *Sets) Sweep(regained func(sel index.SelectorID, node string)) {
	for t := range s.dirty {
		if t.spec.Service == (model.ServiceRef{}) {
			for _, node := range t.gained {
				regained(t.selector, node)
			}
		}
		t.gained = nil
	}
	for t := range s.idle {
		if t.spec.Service != (model.ServiceRef{}) {
			s.bySvc[t.spec.Service] = without(s.bySvc[t.spec.Service], t)
			if len(s.bySvc[t.spec.Service]) == 0 {
				delete(s.bySvc, t.spec.Service)
			}
		} else {
			s.bySel[t.selector] = without(s.bySel[t.selector], t)
			if len(s.bySel[t.selector]) == 0 {
				delete(s.bySel, t.selector)
			}
			s.index.Release(t.selector)
		}
		delete(s.sets, t.id)
	}
	clear(s.idle)
}

func without(list []*set, t *set) []*set {
	return slices.DeleteFunc(list, func(o *set) bool { return o == t })
}

// Started enters an item's members into the sets of a selector that it matches now.
func (s *Sets) Started(sel index.SelectorID, item index.ItemID) {
	for _, t := range s.bySel[sel] {
		s.contribute(t, item, 1)
	}
}

// Stopped takes them out again.
func (s *Sets) Stopped(sel index.SelectorID, item index.ItemID) {
	for _, t := range s.bySel[sel] {
		s.contribute(t, item, -1)
	}
}

// SetItem says what an item contributes now, to the sets that it is in already too.
func (s *Sets) SetItem(item index.ItemID, list []netip.Prefix, ports []model.NamedPort) {
	s.items.Grow(uint32(item) + 1)
	// One more user of the ports that it has had, so that they are the same if they are equal.
	s.set(item, contribution{packPrefixes(list), s.ports.use(ports)})
}

// SetPrefixes says which prefixes an item contributes now, and leaves its ports as they are.
func (s *Sets) SetPrefixes(item index.ItemID, list []netip.Prefix) {
	s.items.Grow(uint32(item) + 1)
	was := s.items.At(uint32(item)).ports
	if was != nil {
		was.uses++
	}
	s.set(item, contribution{packPrefixes(list), was})
}

func (s *Sets) set(item index.ItemID, now contribution) {
	was := *s.items.At(uint32(item))
	if was != now {
		for sel := range s.index.Matches(item) {
			for _, t := range s.bySel[sel] {
				s.contribute(t, item, -1)
			}
		}
		*s.items.At(uint32(item)) = now
		for sel := range s.index.Matches(item) {
			for _, t := range s.bySel[sel] {
				s.contribute(t, item, 1)
			}
		}
	}
	s.ports.drop(was.ports)
}

// Addresses are the addresses of the prefixes that an item contributes, in the order in which they were given.
func (s *Sets) Addresses(item index.ItemID) []netip.Addr {
	if uint32(item) >= s.items.Len() {
		return nil
	}
	var out []netip.Addr
	for p := range s.items.At(uint32(item)).prefixes.all() {
		out = append(out, p.Addr())
	}
	return out
}

// contribute adds (1) or takes away (-1) what an item gives a set.
func (s *Sets) contribute(t *set, item index.ItemID, sign int) {
	if uint32(item) >= s.items.Len() {
		return
	}
	c := *s.items.At(uint32(item))
	if t.spec.Type == intent.SetAddrs {
		for p := range c.prefixes.all() {
			s.count(t, intent.Member{Prefix: p}, sign)
		}
		return
	}
	for _, port := range c.ports.all() {
		if !t.spec.wants(port) {
			continue
		}
		for p := range c.prefixes.all() {
			if p.IsSingleIP() {
				s.count(t, intent.Member{Prefix: p, Proto: port.Protocol, Port: port.Port}, sign)
			}
		}
	}
}

// count changes the number of a member's contributors.
func (s *Sets) count(t *set, m intent.Member, sign int) {
	*s.visited++
	before := t.counts[m]
	after := uint32(int(before) + sign)
	if after == 0 {
		delete(t.counts, m)
	} else {
		t.counts[m] = after
	}
	if (before == 0) == (after == 0) {
		return
	}
	if t.told != nil { // nobody has it: it will be sent whole
		if _, ok := t.changed[m]; ok {
			delete(t.changed, m)
		} else {
			if t.changed == nil {
				t.changed = map[intent.Member]bool{}
			}
			t.changed[m] = before != 0
		}
	}
	s.dirty[t] = struct{}{}
}

// Memberships are the sets of a node that an item is in, by set.
func (s *Sets) Memberships(item index.ItemID, node string) []intent.Membership {
	var out []intent.Membership
	ports := s.items.At(uint32(item)).ports.all()
	for sel := range s.index.Matches(item) {
		for _, t := range s.bySel[sel] {
			if !t.nodes.Has(node) {
				continue
			}
			if t.spec.Type == intent.SetAddrs {
				out = append(out, intent.Membership{Set: t.id})
				continue
			}
			var named []model.NamedPort
			for _, p := range ports {
				if t.spec.wants(p) && !slices.Contains(named, p) {
					named = append(named, p)
				}
			}
			if len(named) > 0 {
				out = append(out, intent.Membership{Set: t.id, Ports: named})
			}
		}
	}
	slices.SortFunc(out, func(a, b intent.Membership) int { return cmp.Compare(a.Set, b.Set) })
	return out
}
