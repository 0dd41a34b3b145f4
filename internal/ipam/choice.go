package ipam

import (
	"hash/fnv"
	"math/big"
	"math/rand"
	"net/netip"

	"go4.org/netipx"

	"github.com/tortie-net/tortie/internal/model"
)

// firstBlock is where a node begins to look for a block in a pool: a block index drawn from math/rand's sequence seeded
// with the FNV-1 hash (32 bits) of its name. Nodes thus begin far apart and seldom collide, and a node finds its old
// blocks again (spec/store-layout.md §1.6, with test vectors).
func firstBlock(node string, pool *model.IPPool) netip.Prefix {
	h := fnv.New32()
	h.Write([]byte(node))
	width := pool.CIDR.Addr().BitLen()
	blocks := new(big.Int).Lsh(big.NewInt(1), uint(pool.BlockSize-pool.CIDR.Bits()))
	index := new(big.Int).Rand(rand.New(rand.NewSource(int64(h.Sum32()))), blocks)

	raw := pool.CIDR.Addr().As16()
	address := new(big.Int).SetBytes(raw[:])
	address.Add(address, index.Lsh(index, uint(width-pool.BlockSize)))
	address.FillBytes(raw[:])
	addr := netip.AddrFrom16(raw)
	if width == 32 {
		addr = addr.Unmap()
	}
	return netip.PrefixFrom(addr, pool.BlockSize)
}

// nextBlock is the block after the one that ends where skip ends (skip covers or equals a block), wrapping at the
// pool's end.
func nextBlock(pool *model.IPPool, skip netip.Prefix) netip.Prefix {
	next := netipx.PrefixLastIP(skip).Next()
	if !next.IsValid() || !pool.CIDR.Contains(next) {
		next = pool.CIDR.Addr()
	}
	return netip.PrefixFrom(next, pool.BlockSize).Masked()
}

// unclaimed is the first block of a pool, from the node's first one onwards, that overlaps no taken block and holds an
// address that is not reserved.
func unclaimed(node string, pool *model.IPPool, taken map[netip.Prefix]struct{}, reserved []netip.Prefix) (netip.Prefix, bool) {
	var odd []netip.Prefix // blocks of another size: left by a pool that was deleted and made anew
	for cidr := range taken {
		if cidr.Bits() != pool.BlockSize && cidr.Overlaps(pool.CIDR) {
			odd = append(odd, cidr)
		}
	}
	reserved = overlapping(reserved, pool.CIDR)
	first := firstBlock(node, pool)
	wrapped := false
	for block := first; ; {
		skip := block
		if _, is := taken[block]; !is {
			cover, blocked := covering(block, odd, reserved)
			if !blocked {
				return block, true
			}
			skip = cover
		}
		next := nextBlock(pool, skip)
		if next.Addr().Compare(block.Addr()) <= 0 {
			if wrapped {
				return netip.Prefix{}, false
			}
			wrapped = true
		}
		if wrapped && next.Addr().Compare(first.Addr()) >= 0 {
			return netip.Prefix{}, false
		}
		block = next
	}
}

// covering says whether a block may not be claimed, and up to where to skip: a reservation of a whole IPv6 /64 holds
// more blocks than can be visited one by one.
func covering(block netip.Prefix, odd, reserved []netip.Prefix) (skip netip.Prefix, blocked bool) {
	for _, o := range odd {
		if o.Overlaps(block) {
			if o.Bits() < block.Bits() {
				return o, true
			}
			return block, true
		}
	}
	inside := overlapping(reserved, block)
	for _, r := range inside {
		if r.Bits() <= block.Bits() {
			return r, true
		}
	}
	if len(inside) == 0 {
		return block, false
	}
	for addr := block.Addr(); addr.IsValid() && block.Contains(addr); addr = addr.Next() {
		if !contains(inside, addr) {
			return block, false
		}
	}
	return block, true
}

func overlapping(prefixes []netip.Prefix, with netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		if p.Overlaps(with) {
			out = append(out, p)
		}
	}
	return out
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
