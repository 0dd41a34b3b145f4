package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// reclaimAge is how long another node's empty block stays its own: it may be about to use it.
const reclaimAge = time.Minute

// choose finds every address that a request asks for. Nothing is allocated yet, so a request that fails in its second
// family leaves no trace.
func (p *plan) choose(r *Request) ([]pick, error) {
	var picks []pick
	if len(r.Addresses) > 0 {
		for _, addr := range r.Addresses {
			k, err := p.exactly(addr)
			if err != nil {
				return nil, err
			}
			picks = append(picks, k)
		}
		return picks, nil
	}
	for _, family := range []struct{ want, is4 bool }{{r.Want4, true}, {r.Want6, false}} {
		if !family.want {
			continue
		}
		k, err := p.any(r, family.is4)
		if err != nil {
			return nil, err
		}
		picks = append(picks, k)
	}
	return picks, nil
}

// any picks an address of a family: from blocks of this node; else from a new block; else, unless strict affinity
// forbids it, from a block of another node; else from a block taken back from a node that does not use it.
func (p *plan) any(r *Request, is4 bool) (pick, error) {
	pools, reasons, err := p.in.usable(r, is4)
	if err != nil {
		return pick{}, err
	}
	if len(pools) == 0 {
		return pick{}, &noAddressError{familyName(is4), reasons, ErrNoAddress}
	}
	for _, pool := range pools {
		if k, ok := p.fromOwn(pool); ok {
			return k, nil
		}
	}
	if err := p.recheck(); err != nil {
		return pick{}, err
	}
	if p.in.Config.AutoAllocateBlocks && p.owned(is4) >= p.in.maxBlocks() {
		for _, pool := range pools {
			reasons = append(reasons, poolReason{poolName(pool), fmt.Sprintf(
				"this node's blocks are full and it has %d, as many as maxBlocksPerHost allows", p.in.maxBlocks())})
		}
		return pick{}, &noAddressError{familyName(is4), reasons, ErrBlockLimit}
	}
	steps := []func(*model.IPPool) (pick, error){p.fromNew, p.fromOthers, p.fromUnused}
	for _, step := range steps {
		for _, pool := range pools {
			k, err := step(pool)
			if err != nil || k.draft != nil {
				return k, err
			}
		}
	}
	for _, pool := range pools {
		reasons = append(reasons, poolReason{poolName(pool), p.whyFull(pool)})
	}
	return pick{}, &noAddressError{familyName(is4), reasons, ErrNoAddress}
}

// recheck looks, once per plan, whether somebody else (garbage collection, another node that borrowed) has freed
// addresses in this node's blocks, before one believes them to be full.
func (p *plan) recheck() error {
	if p.rechecked {
		return nil
	}
	p.rechecked = true
	unchanged, err := p.standAsHeld()
	if err != nil || unchanged {
		return err
	}
	changed := false
	for _, h := range p.own {
		o, err := p.get(p.ctx, blockKey(h.cidr))
		if err != nil && !errors.Is(err, errUnreadable) {
			return fmt.Errorf("read block %s: %w", h.cidr, err)
		}
		if o.Revision != h.revision {
			h.stale, changed = true, true
		}
	}
	if changed {
		return errAgain
	}
	return nil
}

// standAsHeld says whether the store holds this node's blocks as they were last written or read here. It asks by their
// revisions alone, for all at once: the blocks themselves are not fetched, however many they are.
func (p *plan) standAsHeld() (bool, error) {
	ops := make([]store.Op, 0, len(p.own))
	for _, h := range p.own {
		ops = append(ops, store.Op{Kind: store.OpCheck, Key: blockKey(h.cidr), Revision: h.revision})
	}
	for part := range slices.Chunk(ops, maxOps) {
		_, err := p.store.Txn(p.ctx, part...)
		if errors.Is(err, store.ErrConflict) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("check this node's blocks: %w", err)
		}
	}
	return true, nil
}

func (p *plan) whyFull(pool *model.IPPool) string {
	switch {
	case !p.in.Config.AutoAllocateBlocks && p.in.Config.StrictAffinity:
		return "this node's blocks are full and autoAllocateBlocks is false"
	case !p.in.Config.AutoAllocateBlocks:
		return "every existing block is full and autoAllocateBlocks is false"
	case p.in.Config.StrictAffinity:
		return "this node's blocks are full, every other block is another node's and in use, and strictAffinity forbids to borrow"
	default:
		return "full: every address is in use, reserved or cooling down"
	}
}

// owned counts this node's blocks of a family, those that this plan claims included.
func (p *plan) owned(is4 bool) int {
	n := 0
	for _, h := range p.own {
		if h.cidr.Addr().Is4() == is4 {
			n++
		}
	}
	for _, d := range p.order {
		if d.created && d.cidr.Addr().Is4() == is4 {
			n++
		}
	}
	return n
}

// reserved is the test for addresses of a block that must not be assigned, nil when there are none.
func (p *plan) reserved(cidr netip.Prefix) func(netip.Addr) bool {
	inside := overlapping(p.in.Reservations, cidr)
	if len(inside) == 0 {
		return nil
	}
	return func(addr netip.Addr) bool { return contains(inside, addr) }
}

func (p *plan) fromOwn(pool *model.IPPool) (pick, bool) {
	for _, h := range p.own {
		if !pool.CIDR.Overlaps(h.cidr) {
			continue
		}
		if k, ok := p.first(*h); ok {
			return k, true
		}
	}
	for _, d := range p.order {
		if d.created && pool.CIDR.Overlaps(d.cidr) {
			if ordinal := nextFree(d.block, p.reserved(d.cidr)); ordinal >= 0 {
				return pick{d, ordinal}, true
			}
		}
	}
	return pick{}, false
}

// first picks the next free address of a block, if it has one.
func (p *plan) first(h held) (pick, bool) {
	d, drafted := p.drafts[h.cidr]
	switch {
	case drafted:
	case len(h.block.Unallocated) == 0 && !cooling(h.block):
		return pick{}, false
	default:
		d = p.draftOf(h)
	}
	if ordinal := nextFree(d.block, p.reserved(d.cidr)); ordinal >= 0 {
		return pick{d, ordinal}, true
	}
	return pick{}, false
}

// fromNew claims a block.
func (p *plan) fromNew(pool *model.IPPool) (pick, error) {
	if !p.in.Config.AutoAllocateBlocks {
		return pick{}, nil
	}
	for range 2 {
		if !p.listed {
			if err := p.list(); err != nil {
				return pick{}, err
			}
		}
		if cidr, ok := p.candidate(pool); ok {
			d := &draft{held: held{cidr: cidr, block: newBlock(cidr, p.affinity, p.now)}, created: true}
			p.keep(d)
			return pick{d, nextFree(d.block, p.reserved(cidr))}, nil
		}
		if p.fresh {
			return pick{}, nil
		}
		p.listed = false // what seemed taken may be free by now
	}
	return pick{}, nil
}

func (p *plan) candidate(pool *model.IPPool) (netip.Prefix, bool) {
	taken := make(map[netip.Prefix]struct{}, len(p.taken)+len(p.own)+len(p.order))
	for cidr := range p.taken {
		taken[cidr] = struct{}{}
	}
	for _, h := range p.own {
		taken[h.cidr] = struct{}{}
	}
	for _, d := range p.order {
		taken[d.cidr] = struct{}{}
	}
	return unclaimed(p.node, pool, taken, p.in.Reservations)
}

// list reads every block of the cluster.
func (p *plan) list() error {
	if p.fresh {
		return nil
	}
	objects, _, err := p.store.List(p.ctx, store.Query{Kinds: []model.Kind{model.KindBlock}})
	if err != nil {
		return fmt.Errorf("list blocks: %w", err)
	}
	clear(p.taken)
	p.listing, p.fresh, p.listed = nil, true, true
	for _, o := range objects {
		cidr, err := netip.ParsePrefix(o.Key.Name)
		if err != nil {
			continue
		}
		block, ok := o.Value.(*model.Block)
		if ok && sound(block) != nil {
			ok = false
		}
		if ok && block.Affinity == p.affinity && !slices.ContainsFunc(p.own, func(h *held) bool { return h.cidr == cidr }) {
			if _, err := p.adopt(p.ctx, block, o.Revision); err != nil {
				return err
			}
			return errAgain // more room than this plan knew of
		}
		p.taken[cidr] = struct{}{}
		if ok {
			p.rememberAway(block)
			p.listing = append(p.listing, o)
		}
	}
	return nil
}

// fromOthers borrows an address of another node's block, or of an orphan, beginning anywhere, so that nodes which have
// run out do not all write the same block.
func (p *plan) fromOthers(pool *model.IPPool) (pick, error) {
	if p.in.Config.StrictAffinity {
		return pick{}, nil
	}
	if err := p.list(); err != nil {
		return pick{}, err
	}
	for _, i := range rand.Perm(len(p.listing)) {
		o := p.listing[i]
		block := o.Value.(*model.Block)
		if !pool.CIDR.Overlaps(block.CIDR) || block.Affinity == p.affinity || block.Affinity != "" && block.Node() == "" {
			continue // another pool's, ours, or a virtual owner's
		}
		if k, ok := p.first(held{cidr: block.CIDR, block: block, revision: o.Revision}); ok {
			return k, nil
		}
	}
	return pick{}, nil
}

// fromUnused takes a block from a node that has held it for a while without using it. The block is deleted at the
// revision that was seen to be empty, so the other node cannot have used it since; then it is claimed like a new one.
func (p *plan) fromUnused(pool *model.IPPool) (pick, error) {
	if !p.in.Config.AutoAllocateBlocks {
		return pick{}, nil
	}
	if err := p.list(); err != nil {
		return pick{}, err
	}
	for i, o := range p.listing {
		block := o.Value.(*model.Block)
		old := block.AffinityClaimTime.IsZero() || p.now.Sub(block.AffinityClaimTime) >= reclaimAge
		if !pool.CIDR.Overlaps(block.CIDR) || block.CIDR.Bits() != pool.BlockSize || p.drafts[block.CIDR] != nil ||
			block.Node() == "" || block.Node() == p.node || !unused(block) || !old {
			continue
		}
		if reserved := p.reserved(block.CIDR); nextFree(block, reserved) < 0 {
			continue
		}
		err := p.releaseAffinity(p.ctx, "reclaim", block, o.Revision)
		if errors.Is(err, errAgain) {
			continue // in use after all
		}
		if err != nil {
			return pick{}, fmt.Errorf("reclaim block %s of node %q: %w", block.CIDR, block.Node(), err)
		}
		p.listing = slices.Delete(p.listing, i, i+1)
		delete(p.taken, block.CIDR)
		d := &draft{held: held{cidr: block.CIDR, block: newBlock(block.CIDR, p.affinity, p.now)}, created: true}
		p.keep(d)
		return pick{d, nextFree(d.block, p.reserved(d.cidr))}, nil
	}
	return pick{}, nil
}

// exactly picks one address, wherever its block is. Reservations keep addresses from automatic assignment only.
func (p *plan) exactly(addr netip.Addr) (pick, error) {
	pool := p.in.holding(addr)
	if pool == nil {
		return pick{}, fmt.Errorf("%w: address %s: no IPPool contains it; there are %s",
			ErrBadRequest, addr, p.in.names(addr.Is4()))
	}
	if pool.Disabled {
		return pick{}, fmt.Errorf("%w: address %s: its pool %s is disabled", ErrBadRequest, addr, poolName(pool))
	}
	d, err := p.blockOf(addr, pool)
	if err != nil {
		return pick{}, err
	}
	if d.block.Affinity != p.affinity && p.in.Config.StrictAffinity {
		return pick{}, fmt.Errorf("%w: address %s: its block %s belongs to %q and strictAffinity is true",
			ErrNoAddress, addr, d.cidr, d.block.Affinity)
	}
	ordinal := d.block.Ordinal(addr)
	if i := d.block.Allocations[ordinal]; i != noAttribute {
		if err := p.recheck(); err != nil { // somebody else may have freed it
			return pick{}, err
		}
		return pick{}, fmt.Errorf("%w: %s: %s", ErrTaken, addr, describe(d.block.Attributes[i]))
	}
	return pick{d, ordinal}, nil
}

// blockOf is the draft of the block that holds an address, claimed by this node when nobody has it.
func (p *plan) blockOf(addr netip.Addr, pool *model.IPPool) (*draft, error) {
	for _, d := range p.order { // whatever its size
		if d.cidr.Contains(addr) {
			return d, nil
		}
	}
	for _, h := range p.own {
		if h.cidr.Contains(addr) {
			return p.draftOf(*h), nil
		}
	}
	cidr := netip.PrefixFrom(addr, pool.BlockSize).Masked()
	d, err := p.read(cidr)
	if err != nil || d != nil {
		return d, err
	}
	if err := p.list(); err != nil { // a block of another size may hold it
		return nil, err
	}
	for _, o := range p.listing {
		if block := o.Value.(*model.Block); block.CIDR.Contains(addr) {
			return p.draftOf(held{cidr: block.CIDR, block: block, revision: o.Revision}), nil
		}
	}
	for other := range p.taken {
		if other.Overlaps(cidr) {
			return nil, fmt.Errorf("%w: address %s: block %s cannot be read or is in its way", ErrNoAddress, addr, other)
		}
	}
	if !p.in.Config.AutoAllocateBlocks {
		return nil, fmt.Errorf("%w: address %s: nobody has block %s and autoAllocateBlocks is false", ErrNoAddress, addr, cidr)
	}
	d = &draft{held: held{cidr: cidr, block: newBlock(cidr, p.affinity, p.now)}, created: true}
	p.keep(d)
	return d, nil
}
