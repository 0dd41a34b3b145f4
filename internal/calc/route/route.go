package route

import (
	"net/netip"
	"slices"
	"strings"
	"unique"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Routes is the state. It is made by New.
type Routes struct {
	blocks     map[netip.Prefix]*block
	affinities map[netip.Prefix][]claim
	pools      map[string]*model.IPPool
	sorted     []*model.IPPool         // most specific first, then by name; nil: to be made
	stated     owners                  // one of the workloads that state an address
	also       map[netip.Addr][]uint32 // the others, where there are several
	nodeOf     func(owner uint32) string
	borrowed   map[netip.Addr]unique.Handle[string] // by allocations: the node that uses it
	lengths    map[int]int                          // prefix lengths of blocks, with how many; IPv4 as they are, IPv6 plus 256
	dirty      map[netip.Prefix]struct{}
	visited    *uint64
}

// block is what is kept of one: who uses its addresses.
type block struct {
	node  string // that the block itself names
	users []user
}

type user struct {
	ordinal int32
	node    unique.Handle[string]
}

// claim is a confirmed affinity.
type claim struct {
	key  model.Key
	node string
}

// New makes an empty one. nodeOf is asked, by Flush only, for the node of a workload that states an address; visited counts
// the addresses that are looked at.
func New(nodeOf func(owner uint32) string, visited *uint64) *Routes {
	return &Routes{
		blocks: map[netip.Prefix]*block{}, affinities: map[netip.Prefix][]claim{}, pools: map[string]*model.IPPool{},
		stated: newOwners(), also: map[netip.Addr][]uint32{}, nodeOf: nodeOf,
		borrowed: map[netip.Addr]unique.Handle[string]{}, lengths: map[int]int{},
		dirty: map[netip.Prefix]struct{}{}, visited: visited,
	}
}

// SetPool says what a pool is now; nil: gone. Every route inside it may change, or have changed, with it.
func (r *Routes) SetPool(name string, pool *model.IPPool) {
	old := r.pools[name]
	if pool == nil {
		delete(r.pools, name)
	} else {
		r.pools[name] = pool
	}
	r.sorted = nil
	see := func(p netip.Prefix) {
		if old != nil && old.CIDR.Contains(p.Addr()) || pool != nil && pool.CIDR.Contains(p.Addr()) {
			r.dirty[p] = struct{}{}
		}
	}
	for cidr := range r.blocks {
		see(cidr)
	}
	for cidr := range r.affinities {
		see(cidr)
	}
	for addr := range r.borrowed {
		see(host(addr))
	}
	r.stated.each(func(addr netip.Addr) { see(host(addr)) })
}

// SetAffinity says what a claim is now; nil: gone. Only confirmed claims of hosts count (R141); an empty state of an old
// store means confirmed.
func (r *Routes) SetAffinity(key model.Key, cidr netip.Prefix, a *model.Affinity) {
	list := slices.DeleteFunc(r.affinities[cidr], func(c claim) bool { return c.key == key })
	if a != nil && !a.Deleted && (a.State == model.AffinityConfirmed || a.State == "") {
		if node, ok := strings.CutPrefix(a.Owner, "host:"); ok && node != "" {
			list = append(list, claim{key, node})
			slices.SortFunc(list, func(a, b claim) int { return strings.Compare(a.node, b.node) })
		}
	}
	if len(list) == 0 {
		delete(r.affinities, cidr)
	} else {
		r.affinities[cidr] = list
	}
	r.dirty[cidr] = struct{}{}
	r.borrow(cidr)
}

// SetBlock says what a block is now; nil: gone. The block itself is not kept.
func (r *Routes) SetBlock(cidr netip.Prefix, b *model.Block) {
	old := r.blocks[cidr]
	if b == nil || b.Deleted {
		if old == nil {
			return
		}
		for _, u := range old.users {
			r.lend(cidr, u.ordinal, unique.Handle[string]{})
		}
		delete(r.blocks, cidr)
		r.countLength(cidr, -1)
		r.restate(cidr)
		r.dirty[cidr] = struct{}{}
		return
	}
	fresh := &block{node: b.Node(), users: users(b)}
	*r.visited += uint64(len(fresh.users))
	if old != nil {
		for _, u := range old.users {
			if _, still := slices.BinarySearchFunc(fresh.users, u, compareUsers); !still {
				r.lend(cidr, u.ordinal, unique.Handle[string]{})
			}
		}
	}
	r.blocks[cidr] = fresh
	if old == nil {
		r.countLength(cidr, 1)
		r.restate(cidr)
	}
	r.dirty[cidr] = struct{}{}
	r.borrow(cidr)
}

func compareUsers(a, b user) int { return int(a.ordinal - b.ordinal) }

// users are a block's allocations that name a node, in order.
func users(b *model.Block) []user {
	if strings.HasPrefix(b.Affinity, "virtual:") {
		return nil
	}
	out := make([]user, 0, max(len(b.Allocations)-len(b.Unallocated), 0))
	for ordinal, i := range b.Allocations {
		if i < 0 || i >= len(b.Attributes) || !b.Attributes[i].ReleasedAt.IsZero() {
			continue
		}
		if node := b.Attributes[i].Attributes[model.AttrNode]; node != "" {
			out = append(out, user{int32(ordinal), unique.Make(node)})
		}
	}
	return out
}

// home is the node that a block's route leads to: that of its confirmed affinity; where several claim it, the one that
// the block itself names, else the first.
func (r *Routes) home(cidr netip.Prefix) string {
	claims := r.affinities[cidr]
	if len(claims) == 0 {
		return ""
	}
	if b := r.blocks[cidr]; b != nil {
		for _, c := range claims {
			if c.node == b.node {
				return c.node
			}
		}
	}
	return claims[0].node
}

// borrow enters the addresses of a block that other nodes than its home use.
func (r *Routes) borrow(cidr netip.Prefix) {
	b := r.blocks[cidr]
	if b == nil {
		return
	}
	home := unique.Make(r.home(cidr))
	for _, u := range b.users {
		if u.node == home {
			r.lend(cidr, u.ordinal, unique.Handle[string]{})
		} else {
			r.lend(cidr, u.ordinal, u.node)
		}
	}
}

// lend notes who borrows an address; the zero handle: nobody.
func (r *Routes) lend(cidr netip.Prefix, ordinal int32, node unique.Handle[string]) {
	addr := (&model.Block{CIDR: cidr}).Addr(int(ordinal))
	before := r.borrowed[addr]
	if before == node {
		return
	}
	if node == (unique.Handle[string]{}) {
		delete(r.borrowed, addr)
	} else {
		r.borrowed[addr] = node
	}
	r.dirty[host(addr)] = struct{}{}
}

// State says which addresses a workload states; none: it is gone. What nodeOf says of it must not change while it states
// any.
func (r *Routes) State(owner uint32, was, addrs []netip.Addr) {
	for _, a := range was {
		list := slices.DeleteFunc(r.statements(a), func(o uint32) bool { return o == owner })
		r.setStatements(a, list)
	}
	for _, a := range addrs {
		r.setStatements(a, append(r.statements(a), owner))
	}
}

// statements are all that state an address.
func (r *Routes) statements(a netip.Addr) []uint32 {
	first, ok := r.stated.get(a)
	if !ok {
		return nil
	}
	return append([]uint32{first}, r.also[a]...)
}

func (r *Routes) setStatements(a netip.Addr, list []uint32) {
	switch len(list) {
	case 0:
		r.stated.remove(a)
		delete(r.also, a)
	case 1:
		r.stated.set(a, list[0])
		delete(r.also, a)
	default:
		r.stated.set(a, list[0])
		r.also[a] = list[1:]
	}
	r.dirty[host(a)] = struct{}{}
}

// restate looks again at the stated addresses inside a block that came or went.
func (r *Routes) restate(cidr netip.Prefix) {
	size := 1 << min(cidr.Addr().BitLen()-cidr.Bits(), 16)
	if size > r.stated.len() {
		r.stated.each(func(a netip.Addr) {
			if cidr.Contains(a) {
				r.dirty[host(a)] = struct{}{}
			}
		})
		return
	}
	b := model.Block{CIDR: cidr}
	for i := range size {
		a := b.Addr(i)
		if _, ok := r.stated.get(a); ok {
			r.dirty[host(a)] = struct{}{}
		}
	}
}

func (r *Routes) countLength(cidr netip.Prefix, n int) {
	bits := cidr.Bits()
	if cidr.Addr().Is6() {
		bits += 256
	}
	if r.lengths[bits] += n; r.lengths[bits] == 0 {
		delete(r.lengths, bits)
	}
}

// inBlock tells whether an address is inside a known block.
func (r *Routes) inBlock(a netip.Addr) bool {
	for bits := range r.lengths {
		if (bits >= 256) != a.Is6() {
			continue
		}
		if p, err := a.Prefix(bits & 255); err == nil && r.blocks[p] != nil {
			return true
		}
	}
	return false
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Flush calls f with what changed since the last call, in order of prefixes; nil: no route. It may come with what was
// there before.
func (r *Routes) Flush(f func(netip.Prefix, *intent.BlockRoute)) {
	prefixes := make([]netip.Prefix, 0, len(r.dirty))
	for p := range r.dirty {
		prefixes = append(prefixes, p)
	}
	r.dirty = map[netip.Prefix]struct{}{} // a first flush is large: its map is not kept
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	for _, p := range prefixes {
		*r.visited++
		f(p, r.route(p))
	}
}

// route is what a prefix's route is now. A block of one address and that address are the same prefix: a borrower comes
// first.
func (r *Routes) route(p netip.Prefix) *intent.BlockRoute {
	if p.IsSingleIP() {
		if node, ok := r.borrowed[p.Addr()]; ok {
			return r.make(p, node.Value(), true)
		}
	}
	if node := r.home(p); node != "" {
		return r.make(p, node, false)
	}
	if !p.IsSingleIP() {
		return nil
	}
	statements := r.statements(p.Addr())
	if len(statements) == 0 || r.inBlock(p.Addr()) || r.poolOf(p) == nil {
		return nil
	}
	node := r.nodeOf(statements[0])
	for _, owner := range statements[1:] {
		node = min(node, r.nodeOf(owner))
	}
	return r.make(p, node, true)
}

func (r *Routes) make(p netip.Prefix, node string, borrowed bool) *intent.BlockRoute {
	o := &intent.BlockRoute{ID: p.String(), Prefix: p, Node: node, Borrowed: borrowed}
	if pool := r.poolOf(p); pool != nil {
		o.IPIP, o.VXLAN = pool.IPIP, pool.VXLAN
	}
	return o
}

// poolOf is the most specific pool that holds a prefix, disabled or not.
func (r *Routes) poolOf(p netip.Prefix) *model.IPPool {
	if r.sorted == nil {
		for _, pool := range r.pools {
			r.sorted = append(r.sorted, pool)
		}
		slices.SortFunc(r.sorted, func(a, b *model.IPPool) int {
			if a.CIDR.Bits() != b.CIDR.Bits() {
				return b.CIDR.Bits() - a.CIDR.Bits()
			}
			return strings.Compare(a.Name, b.Name)
		})
	}
	for _, pool := range r.sorted {
		if pool.CIDR.Bits() <= p.Bits() && pool.CIDR.Contains(p.Addr()) {
			return pool
		}
	}
	return nil
}
