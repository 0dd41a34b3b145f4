package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// release plans to free what a handle holds.
func (p *plan) release(c *call) error {
	r := c.release
	fail := func(err error) error { return fmt.Errorf("release %q: %w", r.handle, err) }
	handle, err := p.handleOf(r.handle, true)
	if err != nil {
		return fail(err)
	}
	var blocks []*draft
	freed := map[*draft][]int{}
	for _, cidr := range p.whereHeld(r.handle, handle) {
		d, err := p.read(cidr)
		if err != nil {
			return fail(err)
		}
		if d == nil {
			continue // the handle outlived its block
		}
		ordinals := heldBy(d.block, r.handle)
		if r.only != nil {
			ordinals = slices.DeleteFunc(ordinals, func(o int) bool { return !slices.Contains(r.only, d.block.Addr(o)) })
		}
		if handle != nil && len(ordinals) < handle.written.Blocks[cidr] && r.only == nil {
			// The handle counts more than we know of: believe our memory only if it is what stands in the store.
			changed, err := p.changedSince(d)
			if err != nil {
				return fail(err)
			}
			if changed {
				return errAgain
			}
		}
		if len(ordinals) > 0 {
			blocks = append(blocks, d)
			freed[d] = ordinals
		}
	}
	touched := handle
	if len(blocks) == 0 && (handle == nil || handle.handle == nil || r.only != nil) {
		touched = nil
	}
	if err := p.reserve(c, blocks, touched, r.also); err != nil {
		return err
	}
	at := releaseTime(p.now, p.coolingTime())
	for _, d := range blocks {
		if !at.IsZero() {
			for _, o := range freed[d] {
				p.cooldown.begin(d.block.Addr(o), at, p.now)
			}
		}
		release(d.block, freed[d], at)
		if touched != nil {
			decrement(touched.written.Blocks, d.cidr, len(freed[d]))
		}
	}
	if touched != nil && r.only == nil {
		clear(touched.written.Blocks)
	}
	p.outcomes = append(p.outcomes, outcome{call: c})
	return nil
}

// whereHeld lists the blocks in which a handle may hold addresses: those that it counts, and, because a crash or another
// writer may have left it wrong, ours and those we borrow from.
func (p *plan) whereHeld(id string, handle *handleDraft) []netip.Prefix {
	var where []netip.Prefix
	if handle != nil {
		for cidr := range handle.written.Blocks {
			where = append(where, cidr)
		}
	}
	add := func(cidr netip.Prefix) {
		if !slices.Contains(where, cidr) {
			where = append(where, cidr)
		}
	}
	for _, h := range p.own {
		if _, drafted := p.drafts[h.cidr]; !drafted && heldBy(h.block, id) != nil {
			add(h.cidr)
		}
	}
	for _, d := range p.order {
		if heldBy(d.block, id) != nil {
			add(d.cidr)
		}
	}
	if handle == nil || handle.handle == nil {
		for cidr := range p.away {
			add(cidr)
		}
	}
	slices.SortFunc(where, comparePrefix)
	return where
}

// changedSince says whether a block in the store is not the one that a draft began with, and if so has it read again.
func (p *plan) changedSince(d *draft) (bool, error) {
	if d.created {
		return false, nil
	}
	o, err := p.get(p.ctx, blockKey(d.cidr))
	if err != nil || o.Revision == d.revision {
		return false, err
	}
	for _, h := range p.own {
		if h.cidr == d.cidr {
			h.stale = true
		}
	}
	return true, nil
}

func decrement(blocks map[netip.Prefix]int, cidr netip.Prefix, by int) {
	if blocks[cidr] -= by; blocks[cidr] <= 0 {
		delete(blocks, cidr)
	}
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}
