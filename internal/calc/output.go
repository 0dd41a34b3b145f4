package calc

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// output is what every node has, of every kind but sets, and what they must still be told.
type output struct {
	held    map[intent.Ref]held
	pending map[intent.Ref]held // as it will be; object nil: nobody has it
}

// held is an object and the nodes that have it; nil: every node of the span.
type held struct {
	object intent.Object
	nodes  []string
}

func newOutput() output {
	return output{held: map[intent.Ref]held{}, pending: map[intent.Ref]held{}}
}

// put says what an object is now, and which nodes have it.
func (o *output) put(object intent.Object, nodes []string) {
	o.pending[object.Ref()] = held{object, nodes}
}

// removeRef says that nobody has an object any more.
func (o *output) removeRef(ref intent.Ref) {
	if _, had := o.held[ref]; had {
		o.pending[ref] = held{}
	} else {
		delete(o.pending, ref)
	}
}

// lists tells whether an endpoint, as nodes have it, lists policies of a tier.
func (o *output) lists(ref intent.Ref, tier string) bool {
	var tiers []intent.Tier
	switch e := o.held[ref].object.(type) {
	case *intent.Endpoint:
		tiers = e.Tiers
	case *intent.HostEndpoint:
		tiers = e.Tiers
	}
	return slices.ContainsFunc(tiers, func(t intent.Tier) bool { return t.Name == tier })
}

// flush turns what is pending into changes and removals.
func (o *output) flush() (changes, removals []intent.Change) {
	for ref, now := range o.pending {
		was, had := o.held[ref]
		if now.object == nil {
			if had {
				removals = append(removals, intent.Change{Ref: ref, Nodes: was.nodes})
				delete(o.held, ref)
			}
			continue
		}
		same := had && equal(was.object, now.object)
		if same {
			now.object = was.object
		}
		if now.nodes == nil {
			if !same {
				changes = append(changes, intent.Change{Ref: ref, Object: now.object})
			}
		} else {
			_, gained, lost := ipset.Diff(was.nodes, now.nodes)
			if !same {
				gained = now.nodes
			}
			if len(gained) > 0 {
				changes = append(changes, intent.Change{Ref: ref, Object: now.object, Nodes: gained})
			}
			if len(lost) > 0 {
				removals = append(removals, intent.Change{Ref: ref, Nodes: lost})
			}
		}
		o.held[ref] = now
	}
	o.pending = map[intent.Ref]held{} // a first flush is large: its map is not kept
	return changes, removals
}

// equal compares two objects by what they say.
func equal(a, b intent.Object) bool {
	x, ok := a.(*intent.IPAM)
	if !ok {
		return reflect.DeepEqual(a, b)
	}
	y, ok := b.(*intent.IPAM)
	if !ok || !slices.EqualFunc(x.Pools, y.Pools, equalPools) {
		return false
	}
	p, q := *x, *y
	p.Pools, q.Pools = nil, nil
	return reflect.DeepEqual(p, q)
}

// equalPools compares pools; selectors by their text.
func equalPools(a, b *model.IPPool) bool {
	p, q := *a, *b
	if (p.NodeSelector == nil) != (q.NodeSelector == nil) || !p.NodeSelector.Equal(q.NodeSelector) ||
		(p.NamespaceSelector == nil) != (q.NamespaceSelector == nil) || !p.NamespaceSelector.Equal(q.NamespaceSelector) {
		return false
	}
	p.NodeSelector, p.NamespaceSelector, q.NodeSelector, q.NamespaceSelector = nil, nil, nil, nil
	return p == q
}

// order sorts changes by kind, what is referred to first, and removals the other way round.
func order(changes, removals []intent.Change) []intent.Change {
	slices.SortStableFunc(changes, func(a, b intent.Change) int { return compareRefs(a.Ref, b.Ref) })
	slices.SortStableFunc(removals, func(a, b intent.Change) int {
		return cmp.Or(cmp.Compare(b.Ref.Kind, a.Ref.Kind), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
	return append(changes, removals...)
}

func compareRefs(a, b intent.Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
}
