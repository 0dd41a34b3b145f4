package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// storedBlock is a block as it was read.
type storedBlock struct {
	block    *model.Block
	revision store.Revision
}

// blocksOf is the blocks in a range.
func blocksOf(ctx context.Context, s store.Store, cidr string) ([]storedBlock, error) {
	within, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, fmt.Errorf("pool's cidr: %w", err)
	}
	objects, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindBlock}})
	if err != nil {
		return nil, err
	}
	var out []storedBlock
	for _, o := range objects {
		at, err := netip.ParsePrefix(o.Key.Name)
		if err != nil || !within.Overlaps(at) {
			continue
		}
		b, ok := o.Value.(*model.Block)
		if !ok {
			return nil, fmt.Errorf("block %s: the stored value cannot be read: %w", o.Key.Name, o.Problem)
		}
		out = append(out, storedBlock{b, o.Revision})
	}
	return out, nil
}

// inUse counts the addresses of a block that somebody has, and names the first.
func inUse(b *model.Block) (n int, first string) {
	for ordinal, i := range b.Allocations {
		if i < 0 || i >= len(b.Attributes) || !b.Attributes[i].ReleasedAt.IsZero() {
			continue
		}
		if n++; first == "" {
			first = b.Addr(ordinal).String()
			if who := ownerOf(b.Attributes[i]); who != "" {
				first += " " + who
			}
		}
	}
	return n, first
}

// ownerOf says in words whose an allocation is.
func ownerOf(a model.Allocation) string {
	pod, namespace, node := a.Attributes[model.AttrPod], a.Attributes[model.AttrNamespace], a.Attributes[model.AttrNode]
	switch {
	case pod != "" && namespace != "":
		return namespace + "/" + pod + " on " + node
	case a.Attributes[model.AttrType] != "":
		return a.Attributes[model.AttrType] + " of " + node
	case a.Handle != "":
		return "handle " + a.Handle
	}
	return ""
}

// giveBack removes an unused block and the affinity to it. Without transactions the affinity goes last: a claim that is
// cut off is found and undone by garbage collection.
func giveBack(ctx context.Context, s store.Store, b storedBlock) error {
	name := b.block.CIDR.String()
	ops := []store.Op{{Kind: store.OpDelete, Key: model.Key{Kind: model.KindBlock, Name: name}, Revision: b.revision}}
	if b.block.Affinity != "" {
		key := model.Key{Kind: model.KindAffinity, Namespace: b.block.Affinity, Name: name}
		o, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			ops = append(ops, store.Op{Kind: store.OpDelete, Key: key, Revision: o.Revision})
		}
	}
	_, err := s.Txn(ctx, ops...)
	return err
}
