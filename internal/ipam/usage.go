package ipam

import (
	"math/big"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/tortie-net/tortie/internal/model"
)

// Usage is how full a range is. The numbers are independent of each other: an address may be both in use and reserved.
// They are big because an IPv6 pool may hold more addresses than 64 bits count.
type Usage struct {
	CIDR     netip.Prefix
	Total    *big.Int
	InUse    *big.Int // allocated or cooling down
	Reserved *big.Int // by IPReservations
	Free     *big.Int // neither
}

// PoolUsage is a pool's, with its blocks sorted by address.
type PoolUsage struct {
	Usage
	Pool   string // name; empty for blocks that no pool contains
	Blocks []BlockUsage
}

// BlockUsage is a block's.
type BlockUsage struct {
	Usage
	Affinity string
}

// Utilisation says how full the pools are, in their order; blocks that no pool contains come last, as a pool without
// name for each family that has such blocks.
func Utilisation(pools []*model.IPPool, blocks []*model.Block, reservations []netip.Prefix) []PoolUsage {
	blocks = slices.SortedFunc(slices.Values(blocks), func(a, b *model.Block) int { return comparePrefix(a.CIDR, b.CIDR) })
	var out []PoolUsage
	placed := map[netip.Prefix]bool{}
	for _, p := range pools {
		u := PoolUsage{Pool: p.Name}
		used := newRange()
		for _, b := range blocks {
			if !p.CIDR.Overlaps(b.CIDR) {
				continue
			}
			placed[b.CIDR] = true
			u.Blocks = append(u.Blocks, blockUsage(b, reservations))
			addUsed(used, b)
		}
		u.Usage = usageOf(p.CIDR, used, reservations)
		out = append(out, u)
	}
	for _, everything := range []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		u := PoolUsage{Usage: Usage{CIDR: everything, Total: new(big.Int), InUse: new(big.Int), Reserved: new(big.Int), Free: new(big.Int)}}
		for _, b := range blocks {
			if placed[b.CIDR] || b.CIDR.Addr().Is4() != everything.Addr().Is4() {
				continue
			}
			bu := blockUsage(b, reservations)
			u.Blocks = append(u.Blocks, bu)
			u.Total.Add(u.Total, bu.Total)
			u.InUse.Add(u.InUse, bu.InUse)
			u.Reserved.Add(u.Reserved, bu.Reserved)
			u.Free.Add(u.Free, bu.Free)
		}
		if u.Blocks != nil {
			out = append(out, u)
		}
	}
	return out
}

func blockUsage(b *model.Block, reservations []netip.Prefix) BlockUsage {
	used := newRange()
	addUsed(used, b)
	return BlockUsage{Usage: usageOf(b.CIDR, used, reservations), Affinity: b.Affinity}
}

func newRange() *netipx.IPSetBuilder { return &netipx.IPSetBuilder{} }

func addUsed(set *netipx.IPSetBuilder, b *model.Block) {
	for ordinal, i := range b.Allocations {
		if i != noAttribute {
			set.Add(b.Addr(ordinal))
		}
	}
}

// usageOf counts within a range. An IPSetBuilder fails only on invalid prefixes, which then count for nothing.
func usageOf(cidr netip.Prefix, used *netipx.IPSetBuilder, reservations []netip.Prefix) Usage {
	inUse, _ := used.IPSet()
	var r, f netipx.IPSetBuilder
	for _, reservation := range reservations {
		r.AddPrefix(reservation)
	}
	reservedEverywhere, _ := r.IPSet()
	r.Intersect(prefixSet(cidr))
	reserved, _ := r.IPSet()
	f.AddPrefix(cidr)
	f.RemoveSet(inUse)
	f.RemoveSet(reservedEverywhere)
	free, _ := f.IPSet()
	return Usage{CIDR: cidr, Total: count(prefixSet(cidr)), InUse: count(inUse), Reserved: count(reserved), Free: count(free)}
}

func prefixSet(cidr netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	b.AddPrefix(cidr)
	set, _ := b.IPSet()
	return set
}

func count(set *netipx.IPSet) *big.Int {
	n := new(big.Int)
	for _, p := range set.Prefixes() {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits())))
	}
	return n
}

// Borrowed is an address that a node uses from another's block.
type Borrowed struct {
	Address netip.Addr
	Block   netip.Prefix
	From    string // the block's affinity; empty: an orphan
	Node    string // that uses it
	Owner   model.Allocation
}

// BorrowedAddresses lists them in the order of blocks and ordinals.
func BorrowedAddresses(blocks []*model.Block) []Borrowed {
	var out []Borrowed
	for _, b := range slices.SortedFunc(slices.Values(blocks), func(a, b *model.Block) int { return comparePrefix(a.CIDR, b.CIDR) }) {
		for ordinal := range b.Allocations {
			o, inUse := owner(b, ordinal)
			if node := o.Attributes[model.AttrNode]; inUse && node != "" && node != b.Node() {
				out = append(out, Borrowed{b.Addr(ordinal), b.CIDR, b.Affinity, node, o})
			}
		}
	}
	return out
}

// Lookup finds what is known of an address: its block (nil: none), its allocation, and whether somebody has it. A cool-
// down is an allocation with ReleasedAt that nobody has.
func Lookup(blocks []*model.Block, addr netip.Addr) (block *model.Block, o model.Allocation, inUse bool) {
	for _, b := range blocks {
		ordinal := b.Ordinal(addr)
		if ordinal < 0 {
			continue
		}
		if i := b.Allocations[ordinal]; i != noAttribute {
			o = b.Attributes[i]
			return b, o, o.ReleasedAt.IsZero()
		}
		return b, model.Allocation{}, false
	}
	return nil, model.Allocation{}, false
}
