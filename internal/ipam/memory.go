package ipam

import (
	"context"
	"errors"
	"fmt"

	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// remember takes over what a transaction wrote.
func (p *plan) remember(revision store.Revision) {
	// Without transactions the objects of one call stand at different revisions: read them again.
	stale := !p.store.Transactional()
	for _, d := range p.order {
		if !d.counted {
			continue
		}
		if d.block.Affinity != p.affinity {
			p.rememberAway(d.block)
			continue
		}
		written := held{cidr: d.cidr, block: d.block, revision: revision, stale: stale}
		if i := slices.IndexFunc(p.own, func(h *held) bool { return h.cidr == d.cidr }); i >= 0 {
			*p.own[i] = written
		} else {
			p.own = append(p.own, &written)
		}
	}
	for _, h := range p.horder {
		switch {
		case !h.counted:
		case stale || len(h.written.Blocks) == 0:
			delete(p.Allocator.handles, h.id)
		default:
			p.Allocator.handles[h.id] = handleAt{h.written, revision}
		}
	}
}

// rememberAway notes whether this node holds addresses in a block of another.
func (a *Allocator) rememberAway(b *model.Block) {
	mine := slices.ContainsFunc(b.Attributes, func(o model.Allocation) bool {
		return o.ReleasedAt.IsZero() && o.Attributes[model.AttrNode] == a.node
	})
	if mine {
		a.away[b.CIDR] = struct{}{}
	} else {
		delete(a.away, b.CIDR)
	}
}

// forget makes everything that the plan touched be read again before its next use.
func (p *plan) forget() {
	for _, h := range p.own {
		if d, ok := p.drafts[h.cidr]; ok && d.counted {
			h.stale = true
		}
	}
	for id, h := range p.handles {
		if h.counted {
			delete(p.Allocator.handles, id)
		}
	}
}

// resolve decides what a failed condition means: plan again, or the end of the one call that set the condition.
func (p *plan) resolve(key model.Key, cause error) (again bool, err error) {
	switch key.Kind {
	case model.KindBlock:
		cidr, err := netip.ParsePrefix(key.Name)
		if err != nil {
			return false, fmt.Errorf("ipam: conflict on %s: %w", key, err)
		}
		if d := p.drafts[cidr]; d != nil && d.created {
			return p.lost(cidr)
		}
		return true, cause
	case model.KindHandle:
		if err := p.readHandles(); err != nil {
			return false, fmt.Errorf("ipam: %w", err)
		}
		return true, cause
	case model.KindAffinity:
		return true, cause
	}
	for _, e := range p.extras {
		if e.op.Key != key {
			continue
		}
		if e.call.release != nil && e.op.Kind == store.OpDelete && errors.Is(cause, store.ErrNotFound) {
			e.call.release.also = slices.DeleteFunc(slices.Clone(e.call.release.also),
				func(op store.Op) bool { return op.Key == key && op.Kind == store.OpDelete })
		} else {
			p.finish(e.call, nil, fmt.Errorf("ipam: %w", cause))
		}
		return true, cause
	}
	return false, fmt.Errorf("ipam: write: %w", cause)
}

// readHandles reads every handle that the plan was to write. Each may exist where it was taken for new, or have changed:
// a transaction tells of one only, and what was learnt of the others is forgotten with the plan.
func (p *plan) readHandles() error {
	for _, h := range p.horder {
		if !h.counted {
			continue
		}
		o, err := p.get(p.ctx, handleKey(h.id))
		if err != nil {
			return err
		}
		if handle, ok := o.Value.(*model.Handle); ok {
			p.Allocator.handles[h.id] = handleAt{handle, o.Revision}
		}
	}
	return nil
}

// lost handles a block that was to be created and exists: ours from an earlier run, or another node's.
func (p *plan) lost(cidr netip.Prefix) (again bool, err error) {
	block, revision, err := p.getBlock(p.ctx, cidr)
	switch {
	case errors.Is(err, errUnreadable):
		p.options.Log.Warn("block cannot be used", "block", cidr, "error", err)
		p.taken[cidr] = struct{}{}
	case err != nil:
		return false, fmt.Errorf("ipam: %w", err)
	case block == nil: // gone again
	case block.Affinity == p.affinity:
		if _, err := p.adopt(p.ctx, block, revision); err != nil {
			return false, fmt.Errorf("ipam: %w", err)
		}
	default:
		p.taken[cidr] = struct{}{}
	}
	return true, errAgain
}

// refresh reads this node's blocks: all of them the first time, later those that somebody else has written.
func (a *Allocator) refresh(ctx context.Context) error {
	if !a.loaded {
		return a.load(ctx)
	}
	for _, h := range slices.Clone(a.own) {
		if !h.stale {
			continue
		}
		block, revision, err := a.getBlock(ctx, h.cidr)
		switch {
		case err != nil && !errors.Is(err, errUnreadable):
			return err
		case err != nil || block == nil || block.Affinity != a.affinity:
			if err != nil {
				a.options.Log.Warn("block cannot be used", "block", h.cidr, "error", err)
			}
			if err != nil || block != nil {
				a.taken[h.cidr] = struct{}{}
			}
			a.own = slices.DeleteFunc(a.own, func(o *held) bool { return o == h })
		default:
			*h = held{cidr: h.cidr, block: block, revision: revision}
		}
	}
	return nil
}
