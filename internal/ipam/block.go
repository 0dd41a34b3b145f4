package ipam

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// The rules of a block: which ordinal is next, how attributes are shared, what a release leaves behind. All functions
// that change a block work on a clone that the caller owns; none does I/O. Source: spec/store-layout.md §1.6.

// noAttribute marks a free ordinal in Block.Allocations.
const noAttribute = -1

// blockSize is the number of addresses of a block: at most 4,096 (/20 or /116).
func blockSize(cidr netip.Prefix) int { return 1 << (cidr.Addr().BitLen() - cidr.Bits()) }

// newBlock is an empty block. Its sequence starts at the clock's nanoseconds, so that a block which is deleted and made
// again does not repeat numbers that a stale release might still hold.
func newBlock(cidr netip.Prefix, affinity string, now time.Time) *model.Block {
	n := blockSize(cidr)
	b := &model.Block{
		CIDR:              cidr,
		Affinity:          affinity,
		AffinityClaimTime: now.UTC().Truncate(time.Second),
		Allocations:       make([]int, n),
		Unallocated:       make([]int, n),
		SequenceNumber:    uint64(now.UnixNano()),
		SequenceNumbers:   map[int]uint64{},
	}
	for i := range n {
		b.Allocations[i] = noAttribute
		b.Unallocated[i] = i
	}
	return b
}

// sound says what is wrong with a block that was read: an allocator that trusts a broken one gives addresses twice.
func sound(b *model.Block) error {
	n := blockSize(b.CIDR)
	if len(b.Allocations) != n {
		return fmt.Errorf("block %s: %d allocations: must be %d", b.CIDR, len(b.Allocations), n)
	}
	for ordinal, i := range b.Allocations {
		if i != noAttribute && (i < 0 || i >= len(b.Attributes)) {
			return fmt.Errorf("block %s: ordinal %d refers to attribute %d of %d", b.CIDR, ordinal, i, len(b.Attributes))
		}
	}
	seen := make([]bool, n)
	for _, ordinal := range b.Unallocated {
		if ordinal < 0 || ordinal >= n || b.Allocations[ordinal] != noAttribute || seen[ordinal] {
			return fmt.Errorf("block %s: unallocated lists ordinal %d, which is in use, listed twice or outside the block",
				b.CIDR, ordinal)
		}
		seen[ordinal] = true
	}
	return nil
}

// nextFree is the first free ordinal that no reservation covers, or -1. Reserved ordinals keep their place in the queue.
func nextFree(b *model.Block, reserved func(netip.Addr) bool) int {
	for _, ordinal := range b.Unallocated {
		if reserved == nil || !reserved(b.Addr(ordinal)) {
			return ordinal
		}
	}
	return -1
}

// allocate gives a free ordinal to an owner. The number recorded is the block's before this write is counted.
func allocate(b *model.Block, ordinal int, owner model.Allocation) {
	b.Allocations[ordinal] = attribute(b, owner)
	b.Unallocated = slices.DeleteFunc(b.Unallocated, func(o int) bool { return o == ordinal })
	b.SequenceNumbers[ordinal] = b.SequenceNumber
}

// attribute is the index of an owner among the block's attributes, added when new.
func attribute(b *model.Block, owner model.Allocation) int {
	for i, a := range b.Attributes {
		if a.Handle == owner.Handle && a.ReleasedAt.Equal(owner.ReleasedAt) &&
			maps.Equal(a.Attributes, owner.Attributes) && maps.Equal(a.Alternate, owner.Alternate) {
			return i
		}
	}
	b.Attributes = append(b.Attributes, owner)
	return len(b.Attributes) - 1
}

// release takes ordinals from their owners. With a zero releasedAt they are free at once, at the end of the queue; else
// they stay out of it until expire.
func release(b *model.Block, ordinals []int, releasedAt time.Time) {
	for _, ordinal := range ordinals {
		if b.Allocations[ordinal] == noAttribute {
			continue
		}
		if releasedAt.IsZero() {
			free(b, ordinal)
		} else {
			b.Allocations[ordinal] = attribute(b, model.Allocation{ReleasedAt: releasedAt})
		}
	}
	compact(b)
}

// expire frees the ordinals whose cool-down is over, oldest release first, and says how many.
func expire(b *model.Block, over func(addr netip.Addr, releasedAt time.Time) bool) int {
	var due []int
	for ordinal, i := range b.Allocations {
		if i == noAttribute {
			continue
		}
		if at := b.Attributes[i].ReleasedAt; !at.IsZero() && over(b.Addr(ordinal), at) {
			due = append(due, ordinal)
		}
	}
	if len(due) == 0 {
		return 0
	}
	slices.SortStableFunc(due, func(x, y int) int {
		return b.Attributes[b.Allocations[x]].ReleasedAt.Compare(b.Attributes[b.Allocations[y]].ReleasedAt)
	})
	for _, ordinal := range due {
		free(b, ordinal)
	}
	compact(b)
	return len(due)
}

func free(b *model.Block, ordinal int) {
	b.Allocations[ordinal] = noAttribute
	b.Unallocated = append(b.Unallocated, ordinal)
	delete(b.SequenceNumbers, ordinal)
}

// compact drops attributes that no ordinal refers to and renumbers the others in their order.
func compact(b *model.Block) {
	used := make([]bool, len(b.Attributes))
	for _, i := range b.Allocations {
		if i != noAttribute {
			used[i] = true
		}
	}
	renumbered := make([]int, len(b.Attributes))
	kept := b.Attributes[:0]
	for i, a := range b.Attributes {
		if used[i] {
			renumbered[i] = len(kept)
			kept = append(kept, a)
		}
	}
	clear(b.Attributes[len(kept):])
	b.Attributes = kept
	for ordinal, i := range b.Allocations {
		if i != noAttribute {
			b.Allocations[ordinal] = renumbered[i]
		}
	}
}

// heldBy lists the ordinals of a handle.
func heldBy(b *model.Block, handle string) []int {
	wanted := -2
	var many []int // further indexes with this handle: two writes of one owner
	for i, a := range b.Attributes {
		if a.Handle != handle || !a.ReleasedAt.IsZero() {
			continue
		}
		if wanted == -2 {
			wanted = i
		} else {
			many = append(many, i)
		}
	}
	if wanted == -2 {
		return nil
	}
	var ordinals []int
	for ordinal, i := range b.Allocations {
		if i == wanted || slices.Contains(many, i) {
			ordinals = append(ordinals, ordinal)
		}
	}
	return ordinals
}

// owner is the allocation of an ordinal, and whether somebody has it (one that cools down is nobody's).
func owner(b *model.Block, ordinal int) (model.Allocation, bool) {
	i := b.Allocations[ordinal]
	if i == noAttribute {
		return model.Allocation{}, false
	}
	a := b.Attributes[i]
	return a, a.ReleasedAt.IsZero()
}

// unused says that no address of the block is allocated or cooling down.
func unused(b *model.Block) bool { return len(b.Attributes) == 0 }

// cooling says that some address of the block cools down.
func cooling(b *model.Block) bool {
	return slices.ContainsFunc(b.Attributes, func(a model.Allocation) bool { return !a.ReleasedAt.IsZero() })
}

// describe names the owner of an allocation for an error message.
func describe(a model.Allocation) string {
	switch pod := a.Attributes[model.AttrPod]; {
	case !a.ReleasedAt.IsZero():
		return "cooling down since " + a.ReleasedAt.UTC().Format(time.RFC3339)
	case pod != "":
		return fmt.Sprintf("in use by pod %s/%s on node %s", a.Attributes[model.AttrNamespace], pod, a.Attributes[model.AttrNode])
	case a.Attributes[model.AttrType] != "":
		return fmt.Sprintf("in use as %s of node %s", a.Attributes[model.AttrType], a.Attributes[model.AttrNode])
	default:
		return fmt.Sprintf("in use by handle %q", a.Handle)
	}
}
