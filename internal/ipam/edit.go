package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// What follows writes blocks of any node by compare-and-swap, beside the queue: the command line, the controllers and
// garbage collection use it. The node whose block it is notices at its next write.

// Held names an address to release. Handle and Sequence, where set, must be those of the allocation: one that was
// released and given to somebody else meanwhile is left alone.
type Held struct {
	Addr     netip.Addr
	Handle   string
	Sequence *uint64
}

// ErrStale: the address has another owner than the one it was to be taken from.
var ErrStale = errors.New("address has another owner now")

// ReleaseAddrs frees addresses whoever has them, and says which it freed. One that is free or cools down already is
// neither listed nor an error. Errors are joined, one for each address or block.
func (a *Allocator) ReleaseAddrs(ctx context.Context, addrs ...Held) ([]netip.Addr, error) {
	var released []netip.Addr
	var errs []error
	blocks := map[netip.Prefix][]Held{}
	all, _, err := a.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindBlock}})
	if err != nil {
		return nil, fmt.Errorf("release addresses: list blocks: %w", err)
	}
	for _, h := range addrs {
		i := slices.IndexFunc(all, func(o store.Object) bool {
			cidr, err := netip.ParsePrefix(o.Key.Name)
			return err == nil && cidr.Contains(h.Addr)
		})
		if i < 0 {
			continue // no block: nobody has it
		}
		cidr := netip.MustParsePrefix(all[i].Key.Name)
		blocks[cidr] = append(blocks[cidr], h)
	}
	for _, cidr := range slices.SortedFunc(maps.Keys(blocks), comparePrefix) {
		done, err := a.releaseIn(ctx, "release address", cidr, blocks[cidr])
		released = append(released, done...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return released, errors.Join(errs...)
}

// releaseIn frees addresses of one block, with their handles.
func (a *Allocator) releaseIn(ctx context.Context, point string, cidr netip.Prefix, addrs []Held) ([]netip.Addr, error) {
	var stale []error
	var released []netip.Addr
	err := a.edit(ctx, point, cidr, func(b *model.Block) map[string]int {
		stale, released = nil, nil
		handles := map[string]int{}
		var ordinals []int
		for _, h := range addrs {
			ordinal := b.Ordinal(h.Addr)
			o, inUse := owner(b, ordinal)
			if !inUse {
				continue
			}
			if h.Handle != "" && h.Handle != o.Handle || h.Sequence != nil && *h.Sequence != b.SequenceNumbers[ordinal] {
				stale = append(stale, fmt.Errorf("release %s: %w: %s", h.Addr, ErrStale, describe(o)))
				continue
			}
			ordinals = append(ordinals, ordinal)
			released = append(released, h.Addr)
			if o.Handle != "" {
				handles[o.Handle]++
			}
		}
		release(b, ordinals, releaseTime(a.options.Clock(), a.coolingTime()))
		return handles
	})
	if err != nil {
		return nil, fmt.Errorf("release in block %s: %w", cidr, err)
	}
	return released, errors.Join(stale...)
}

// edit changes a block by compare-and-swap, the handles that lost addresses in the same transaction. A block that does
// not exist is left so. change gets a clone and may be called again.
func (a *Allocator) edit(ctx context.Context, point string, cidr netip.Prefix, change func(*model.Block) map[string]int) error {
	for range maxAttempts {
		old, revision, err := a.getBlock(ctx, cidr)
		if err != nil || old == nil {
			return err
		}
		b := old.Clone()
		now := a.options.Clock()
		freed := expire(b, a.expired(now))
		handles := change(b)
		if freed == 0 && len(handles) == 0 && slices.Equal(old.Allocations, b.Allocations) {
			return nil
		}
		b.SequenceNumber++
		op := store.Op{Kind: store.OpUpdate, Key: blockKey(cidr), Value: b, Revision: revision}
		if b.Affinity == "" && unused(b) {
			op = store.Op{Kind: store.OpDelete, Key: blockKey(cidr), Revision: revision}
		}
		ops := []store.Op{op}
		for _, id := range slices.Sorted(maps.Keys(handles)) {
			op, err := a.handleLess(ctx, id, cidr, handles[id])
			if err != nil {
				return err
			}
			ops = append(ops, op...)
		}
		_, err = a.transact(ctx, point, ops...)
		if err = againOn(err); !errors.Is(err, errAgain) {
			return err
		}
	}
	return fmt.Errorf("gave up after %d attempts: %w", maxAttempts, store.ErrConflict)
}

// handleLess is the operation that takes addresses of a block from a handle's count: none when there is no such handle.
func (a *Allocator) handleLess(ctx context.Context, id string, cidr netip.Prefix, by int) ([]store.Op, error) {
	o, err := a.get(ctx, handleKey(id))
	if err != nil {
		return nil, err
	}
	h, ok := o.Value.(*model.Handle)
	if !ok {
		return nil, nil
	}
	less := &model.Handle{ID: id, Blocks: maps.Clone(h.Blocks)}
	decrement(less.Blocks, cidr, by)
	if len(less.Blocks) == 0 {
		return []store.Op{{Kind: store.OpDelete, Key: o.Key, Revision: o.Revision}}, nil
	}
	return []store.Op{{Kind: store.OpUpdate, Key: o.Key, Value: less, Revision: o.Revision}}, nil
}

// ReleaseNode gives up everything that a node which has left the cluster held for itself: its tunnel addresses, and its
// affinities. Blocks that still have addresses become orphans, which go with their last address; GC takes the addresses
// of workloads whose end nobody saw.
func (a *Allocator) ReleaseNode(ctx context.Context, node string) error {
	objects, _, err := a.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindBlock}})
	if err != nil {
		return fmt.Errorf("release node %q: list blocks: %w", node, err)
	}
	var errs []error
	for _, o := range objects {
		if b, ok := o.Value.(*model.Block); ok && sound(b) == nil {
			if err := a.releaseTunnels(ctx, node, b); err != nil {
				errs = append(errs, err)
			}
		}
	}
	affinities, _, err := a.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindAffinity}, Namespace: "host:" + node})
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("release node %q: list affinities: %w", node, err))...)
	}
	for _, o := range affinities {
		cidr, err := netip.ParsePrefix(o.Key.Name)
		if err == nil {
			err = a.untie(ctx, "release node", "host:"+node, cidr, o)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("release node %q: affinity %s: %w", node, o.Key.Name, err))
		}
	}
	return errors.Join(errs...)
}

// untie ends an affinity, whatever state it and its block are in.
func (a *Allocator) untie(ctx context.Context, point, owner string, cidr netip.Prefix, affinity store.Object) error {
	for range maxAttempts {
		block, revision, err := a.getBlock(ctx, cidr)
		if err != nil {
			return err
		}
		if block == nil || block.Affinity != owner {
			return a.dropAffinity(ctx, affinity)
		}
		if err := a.releaseAffinity(ctx, point, block, revision); !errors.Is(err, errAgain) {
			return err
		}
	}
	return fmt.Errorf("gave up after %d attempts: %w", maxAttempts, store.ErrConflict)
}

// releaseTunnels frees the addresses that a node's tunnels hold in a block.
func (a *Allocator) releaseTunnels(ctx context.Context, node string, b *model.Block) error {
	var held []Held
	for ordinal := range b.Allocations {
		if o, inUse := owner(b, ordinal); inUse && o.Attributes[model.AttrNode] == node && isTunnel(o) {
			held = append(held, heldAt(b, ordinal, o))
		}
	}
	if len(held) == 0 {
		return nil
	}
	_, err := a.releaseIn(ctx, "release tunnel address", b.CIDR, held)
	return err
}

// isTunnel says that an allocation is a node's tunnel address: type ends in TunnelAddress (spec/store-layout.md §1.6).
func isTunnel(o model.Allocation) bool {
	const suffix = "TunnelAddress"
	t := o.Attributes[model.AttrType]
	return len(t) > len(suffix) && t[len(t)-len(suffix):] == suffix
}

func heldAt(b *model.Block, ordinal int, o model.Allocation) Held {
	h := Held{Addr: b.Addr(ordinal), Handle: o.Handle}
	if sequence, ok := b.SequenceNumbers[ordinal]; ok {
		h.Sequence = &sequence
	}
	return h
}
