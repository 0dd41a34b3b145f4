package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// A claim, as every IPAM on the store does it: affinity pending, block created, affinity confirmed, then addresses. A
// store with transactions sees all of it at once; on others it is cut off anywhere and finished by load.

func (a *Allocator) affinityTo(cidr netip.Prefix, state model.AffinityState) *model.Affinity {
	return &model.Affinity{Owner: a.affinity, CIDR: cidr, State: state}
}

// load reads the blocks that this node has affinities to, and finishes or undoes claims that were cut off.
func (a *Allocator) load(ctx context.Context) error {
	affinities, _, err := a.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindAffinity}, Namespace: a.affinity})
	if err != nil {
		return err
	}
	a.own = nil
	for _, o := range affinities {
		cidr, err := netip.ParsePrefix(o.Key.Name)
		if err != nil {
			a.options.Log.Warn("affinity cannot be used", "key", o.Key, "error", err)
			continue
		}
		block, revision, err := a.getBlock(ctx, cidr)
		if err != nil && !errors.Is(err, errUnreadable) {
			return err
		}
		switch affinity, _ := o.Value.(*model.Affinity); {
		case err != nil:
			a.options.Log.Warn("block cannot be used", "block", cidr, "error", err)
			a.taken[cidr] = struct{}{}
		case block == nil || block.Affinity != a.affinity: // a claim that lost or never got that far
			if err := a.dropAffinity(ctx, o); err != nil {
				return err
			}
		case affinity != nil && affinity.State == model.AffinityConfirmed && !affinity.Deleted:
			a.own = append(a.own, &held{cidr: cidr, block: block, revision: revision})
		default:
			if _, err := a.adopt(ctx, block, revision); err != nil {
				return err
			}
		}
	}
	if !a.options.Handles { // without them only the blocks tell what this node has borrowed
		blocks, _, err := a.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindBlock}})
		if err != nil {
			return err
		}
		for _, o := range blocks {
			if block, ok := o.Value.(*model.Block); ok && block.Affinity != a.affinity {
				a.rememberAway(block)
			}
		}
	}
	a.loaded = true
	return nil
}

// adopt takes a block into this node's own whose affinity names it already.
func (a *Allocator) adopt(ctx context.Context, block *model.Block, revision store.Revision) (*held, error) {
	for _, h := range a.own {
		if h.cidr == block.CIDR {
			*h = held{cidr: block.CIDR, block: block, revision: revision}
			return h, nil
		}
	}
	_, err := a.transact(ctx, "adopt", store.Op{
		Kind: store.OpPut, Key: affinityKey(a.affinity, block.CIDR), Value: a.affinityTo(block.CIDR, model.AffinityConfirmed),
	})
	if err != nil {
		return nil, fmt.Errorf("confirm affinity to block %s: %w", block.CIDR, err)
	}
	h := &held{cidr: block.CIDR, block: block, revision: revision}
	a.own = append(a.own, h)
	return h, nil
}

// dropAffinity deletes an affinity object as it was read. One that has changed or gone meanwhile is somebody else's work.
func (a *Allocator) dropAffinity(ctx context.Context, o store.Object) error {
	_, err := a.transact(ctx, "drop affinity", store.Op{Kind: store.OpDelete, Key: o.Key, Revision: o.Revision})
	if errors.Is(againOn(err), errAgain) {
		return nil
	}
	return err
}

// claimInSteps claims a block on a store without transactions. The draft then stands for a block that exists.
// errAgain: somebody else has it, or it has turned out to be ours.
func (p *plan) claimInSteps(ctx context.Context, d *draft) error {
	affinity := affinityKey(p.affinity, d.cidr)
	if _, err := p.transact(ctx, "claim: affinity pending", store.Op{
		Kind: store.OpPut, Key: affinity, Value: p.affinityTo(d.cidr, model.AffinityPending),
	}); err != nil {
		return fmt.Errorf("ipam: claim block %s: %w", d.cidr, err)
	}
	empty := newBlock(d.cidr, p.affinity, p.now)
	p.options.Crash("before claim: block")
	created, err := p.store.Create(ctx, blockKey(d.cidr), empty)
	p.options.Crash("after claim: block")
	if errors.Is(err, store.ErrExists) {
		again, err := p.lost(d.cidr)
		if _, isTaken := p.taken[d.cidr]; isTaken && again {
			if o, err := p.get(ctx, affinity); err != nil {
				return fmt.Errorf("ipam: give up block %s: %w", d.cidr, err)
			} else if o.Value != nil {
				if err := p.dropAffinity(ctx, o); err != nil {
					return fmt.Errorf("ipam: give up block %s: %w", d.cidr, err)
				}
			}
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("ipam: claim block %s: %w", d.cidr, err)
	}
	if _, err := p.transact(ctx, "claim: affinity confirmed", store.Op{
		Kind: store.OpPut, Key: affinity, Value: p.affinityTo(d.cidr, model.AffinityConfirmed),
	}); err != nil {
		return fmt.Errorf("ipam: claim block %s: %w", d.cidr, err)
	}
	p.own = append(p.own, &held{cidr: d.cidr, block: empty, revision: created.Revision, stale: true})
	d.created, d.revision, d.block.SequenceNumber = false, created.Revision, empty.SequenceNumber
	return nil
}

// releaseAffinity unties a block, read at a revision, from its owner: affinity marked, block deleted, or made an orphan
// while it has addresses, affinity deleted. errAgain: the block has changed since.
func (a *Allocator) releaseAffinity(ctx context.Context, point string, block *model.Block, at store.Revision) error {
	blockOp := store.Op{Kind: store.OpDelete, Key: blockKey(block.CIDR), Revision: at}
	if !unused(block) {
		orphan := block.Clone()
		orphan.Affinity = ""
		orphan.SequenceNumber++
		blockOp = store.Op{Kind: store.OpUpdate, Key: blockOp.Key, Value: orphan, Revision: at}
	}
	key := affinityKey(block.Affinity, block.CIDR)
	affinity, err := a.get(ctx, key)
	if err != nil && !errors.Is(err, errUnreadable) {
		return err
	}
	ops := []store.Op{blockOp}
	if affinity.Revision != 0 {
		revision := affinity.Revision
		if !a.store.Transactional() {
			marked, err := a.store.Update(ctx, key,
				&model.Affinity{Owner: block.Affinity, CIDR: block.CIDR, State: model.AffinityPendingDeletion}, revision)
			a.options.Crash("after " + point + ": affinity marked")
			if err != nil {
				return againOn(err)
			}
			revision = marked.Revision
		}
		ops = append(ops, store.Op{Kind: store.OpDelete, Key: key, Revision: revision})
	}
	_, err = a.transact(ctx, point, ops...)
	if err = againOn(err); errors.Is(err, errAgain) && len(ops) > 1 && !a.store.Transactional() {
		// The owner goes on using the block: routes follow confirmed affinities only.
		_, restored := a.store.Update(ctx, key,
			&model.Affinity{Owner: block.Affinity, CIDR: block.CIDR, State: model.AffinityConfirmed}, ops[1].Revision)
		if restored = againOn(restored); restored != nil && !errors.Is(restored, errAgain) {
			return restored
		}
	}
	return err
}

// againOn turns a failed condition into errAgain.
func againOn(err error) error {
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) {
		return errAgain
	}
	return err
}
