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

// Collected is what one run of GC did.
type Collected struct {
	Addresses  []netip.Addr // freed because nobody uses them
	Handles    []string     // deleted or corrected: they counted what no block holds
	Affinities []string     // "owner cidr": finished or deleted
	Blocks     []netip.Prefix
}

// reservedHandle marks the ordinals that Windows hosts keep for themselves; nobody's workload, never collected.
const reservedHandle = "windows-reserved-ipam-handle"

// GC puts right what crashes leave behind, in the whole cluster: allocations for which inUse is false (all of a handle or
// none), handles that count what is not there, halves of claims, orphaned empty blocks, cool-downs that are over.
// inUse must say true whenever it is not sure, and for requests that are still under way. An allocation that changes
// while GC runs is left alone. While some block cannot be read no handle is deleted, for it may be counting that one.
// On a store without transactions handles and affinities go only when a second run finds them as the first did: in
// between, a claim may be under way.
func (a *Allocator) GC(ctx context.Context, inUse func(handle string, attrs map[string]string, addr netip.Addr) bool) (Collected, error) {
	objects, _, err := a.store.List(ctx, store.Query{Kinds: []model.Kind{model.KindHandle, model.KindAffinity, model.KindBlock}})
	if err != nil {
		return Collected{}, fmt.Errorf("ipam gc: list: %w", err)
	}
	g := &collection{Allocator: a, ctx: ctx, blocks: map[netip.Prefix]*held{}, affinities: map[model.Key]bool{}}
	for _, o := range objects {
		if o.Key.Kind != model.KindBlock {
			continue
		}
		cidr, err := netip.ParsePrefix(o.Key.Name)
		block, ok := o.Value.(*model.Block)
		if err != nil || !ok || sound(block) != nil {
			g.unreadable = true
			a.options.Log.Warn("ipam gc: block cannot be read and keeps its addresses", "key", o.Key, "error", o.Problem)
			continue
		}
		g.blocks[cidr] = &held{cidr: cidr, block: block, revision: o.Revision}
	}
	g.addresses(inUse)
	for _, o := range objects {
		switch o.Key.Kind {
		case model.KindAffinity:
			g.affinity(o)
		case model.KindHandle:
			g.handle(o)
		}
	}
	g.untied()
	a.suspects.Lock()
	a.suspects.seen = g.suspects
	a.suspects.Unlock()
	return g.done, errors.Join(g.errs...)
}

type collection struct {
	*Allocator
	ctx        context.Context
	blocks     map[netip.Prefix]*held
	affinities map[model.Key]bool // that exist
	unreadable bool
	suspects   map[model.Key]store.Revision
	done       Collected
	errs       []error
}

// certain says whether an object that looks left over is: at once where one listing shows one moment, else when it
// looked the same in the run before.
func (g *collection) certain(o store.Object) bool {
	if g.store.Transactional() {
		return true
	}
	if g.suspects == nil {
		g.suspects = map[model.Key]store.Revision{}
	}
	g.suspects[o.Key] = o.Revision
	g.Allocator.suspects.Lock()
	defer g.Allocator.suspects.Unlock()
	return g.Allocator.suspects.seen[o.Key] == o.Revision
}

// write does operations whose conditions may fail: then somebody else is at work on the object. It says if they were done.
func (g *collection) write(point string, ops ...store.Op) bool {
	_, err := g.transact(g.ctx, point, ops...)
	if err = againOn(err); err != nil && !errors.Is(err, errAgain) {
		g.errs = append(g.errs, fmt.Errorf("%s: %s: %w", point, ops[0].Key, err))
	}
	return err == nil
}

// addresses frees what nobody uses. In its view of the blocks, which the handles are compared with, they are gone too.
func (g *collection) addresses(inUse func(string, map[string]string, netip.Addr) bool) {
	used := map[string]bool{}
	leaks := map[netip.Prefix][]Held{}
	for _, cidr := range slices.SortedFunc(maps.Keys(g.blocks), comparePrefix) {
		b := g.blocks[cidr].block
		for ordinal := range b.Allocations {
			o, is := owner(b, ordinal)
			switch {
			case !is || o.Handle == reservedHandle:
			case inUse(o.Handle, o.Attributes, b.Addr(ordinal)):
				used[o.Handle] = o.Handle != ""
			default:
				leaks[cidr] = append(leaks[cidr], heldAt(b, ordinal, o))
			}
		}
	}
	for _, cidr := range slices.SortedFunc(maps.Keys(g.blocks), comparePrefix) {
		leaked := slices.DeleteFunc(leaks[cidr], func(h Held) bool { return used[h.Handle] })
		if len(leaked) == 0 && !cooling(g.blocks[cidr].block) {
			continue
		}
		freed, err := g.releaseIn(g.ctx, "gc: addresses", cidr, leaked)
		g.done.Addresses = append(g.done.Addresses, freed...)
		if err != nil && !errors.Is(err, ErrStale) {
			g.errs = append(g.errs, err)
		}
	}
}

// handle deletes a handle that counts nothing which stands in a block, and corrects one that counts wrong. A handle that
// the freeing of addresses has changed already does not stand at its revision any more and is left for the next run.
func (g *collection) handle(o store.Object) {
	h, ok := o.Value.(*model.Handle)
	if !ok || g.unreadable {
		return
	}
	actual := map[netip.Prefix]int{}
	for cidr, block := range g.blocks {
		if n := len(heldBy(block.block, o.Key.Name)); n > 0 {
			actual[cidr] = n
		}
	}
	if maps.Equal(actual, h.Blocks) || !g.certain(o) {
		return
	}
	op := store.Op{Kind: store.OpDelete, Key: o.Key, Revision: o.Revision}
	if len(actual) > 0 {
		op = store.Op{Kind: store.OpUpdate, Key: o.Key, Revision: o.Revision, Value: &model.Handle{ID: o.Key.Name, Blocks: actual}}
	}
	if g.write("gc: handle", op) {
		g.done.Handles = append(g.done.Handles, o.Key.Name)
	}
}

// affinity deletes one without a block of its owner's, and brings to an end a release that was cut off.
func (g *collection) affinity(o store.Object) {
	g.affinities[o.Key] = true
	cidr, err := netip.ParsePrefix(o.Key.Name)
	if err != nil {
		return
	}
	value, _ := o.Value.(*model.Affinity)
	block := g.blocks[cidr]
	name := o.Key.Namespace + " " + o.Key.Name
	switch {
	case block == nil && g.unreadable:
	case block == nil || block.block.Affinity != o.Key.Namespace:
		check := store.Op{Kind: store.OpCheck, Key: blockKey(cidr)}
		if block != nil {
			check.Revision = block.revision
		}
		if g.certain(o) && g.write("gc: affinity", check, store.Op{Kind: store.OpDelete, Key: o.Key, Revision: o.Revision}) {
			g.done.Affinities = append(g.done.Affinities, name)
		}
	case value != nil && value.State == model.AffinityPendingDeletion && g.certain(o):
		// Empty: finish the release. In use: the owner goes on, and its routes need the affinity confirmed.
		if unused(block.block) {
			if err := g.releaseAffinity(g.ctx, "gc: affinity", block.block, block.revision); err != nil {
				if !errors.Is(err, errAgain) {
					g.errs = append(g.errs, err)
				}
				return
			}
		} else if !g.write("gc: affinity", store.Op{Kind: store.OpUpdate, Key: o.Key, Revision: o.Revision,
			Value: &model.Affinity{Owner: o.Key.Namespace, CIDR: cidr, State: model.AffinityConfirmed}}) {
			return
		}
		g.done.Affinities = append(g.done.Affinities, name)
	}
}

// untied deletes empty orphans, and gives blocks back the affinity object that they name.
func (g *collection) untied() {
	for _, cidr := range slices.SortedFunc(maps.Keys(g.blocks), comparePrefix) {
		b := g.blocks[cidr]
		key := affinityKey(b.block.Affinity, cidr)
		switch {
		case b.block.Affinity == "" && unused(b.block):
			if g.write("gc: orphan", store.Op{Kind: store.OpDelete, Key: blockKey(cidr), Revision: b.revision}) {
				g.done.Blocks = append(g.done.Blocks, cidr)
			}
		case b.block.Affinity != "" && !g.affinities[key] && g.certain(store.Object{Key: key, Revision: b.revision}):
			if g.write("gc: affinity", store.Op{Kind: store.OpCheck, Key: blockKey(cidr), Revision: b.revision},
				store.Op{Kind: store.OpCreate, Key: key,
					Value: &model.Affinity{Owner: b.block.Affinity, CIDR: cidr, State: model.AffinityConfirmed}}) {
				g.done.Affinities = append(g.done.Affinities, b.block.Affinity+" "+cidr.String())
			}
		}
	}
}
