package ipset

import (
	"cmp"
	"slices"

	"github.com/tortie-net/tortie/internal/intent"
)

// Flush returns what changed since the last call: additions and changes of members, and what nodes no longer have.
// Sweep goes first. The order within each list is that of the sets' names.
func (s *Sets) Flush() (changes, removals []intent.Change) {
	dirty := make([]*set, 0, len(s.dirty))
	for t := range s.dirty {
		dirty = append(dirty, t)
	}
	clear(s.dirty)
	slices.SortFunc(dirty, func(a, b *set) int { return cmp.Compare(a.id, b.id) })
	for _, t := range dirty {
		ref := intent.Ref{Kind: intent.KindSet, ID: string(t.id)}
		now := t.nodes.Nodes()
		kept, gained, lost := Diff(t.told, now)
		if len(kept) > 0 && len(t.changed) > 0 {
			changes = append(changes, intent.Change{Ref: ref, Object: t.delta(), Nodes: kept})
		}
		if len(gained) > 0 {
			changes = append(changes, intent.Change{Ref: ref, Object: t.whole(), Nodes: gained})
		}
		if len(lost) > 0 {
			removals = append(removals, intent.Change{Ref: ref, Nodes: lost})
		}
		t.told, t.changed = now, nil
	}
	return changes, removals
}

func (t *set) whole() *intent.Set {
	o := &intent.Set{ID: t.id, Type: t.spec.Type, Selector: t.spec.String(), Members: make([]intent.Member, 0, len(t.counts))}
	for m := range t.counts {
		o.Members = append(o.Members, m)
	}
	slices.SortFunc(o.Members, compareMembers)
	return o
}

func (t *set) delta() *intent.SetDelta {
	o := &intent.SetDelta{ID: t.id}
	for m, was := range t.changed {
		if was {
			o.Remove = append(o.Remove, m)
		} else {
			o.Add = append(o.Add, m)
		}
	}
	slices.SortFunc(o.Add, compareMembers)
	slices.SortFunc(o.Remove, compareMembers)
	return o
}

func compareMembers(a, b intent.Member) int {
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
}
