package localize

import (
	"iter"

	"github.com/tortie-net/tortie/internal/intent"
)

// Count is the number of workloads of the intent, and of those that are joined to an interface.
func (l *Localizer) Count() (endpoints, joined int) {
	for _, e := range l.endpoints {
		if _, ok := l.joined(e); ok {
			joined++
		}
	}
	return len(l.endpoints), joined
}

// All yields every workload of the intent with what it is joined to (a zero Binding where it is not).
func (l *Localizer) All() iter.Seq2[*intent.Endpoint, Binding] {
	return func(yield func(*intent.Endpoint, Binding) bool) {
		for _, e := range l.endpoints {
			b, _ := l.joined(e)
			if !yield(e, b) {
				return
			}
		}
	}
}

// Routes yields the routes that the planes have been told of.
func (l *Localizer) Routes() iter.Seq[*intent.Route] {
	return func(yield func(*intent.Route) bool) {
		for _, o := range l.given {
			if r, ok := o.(*intent.Route); ok && !yield(r) {
				return
			}
		}
	}
}

// Snapshot yields the intent of this node as it came from calc, for the copy on disk: what a later run may start with when
// the kernel is empty and the store away. Peerings and IPAM inputs are left out: they are of no use then.
func (l *Localizer) Snapshot() iter.Seq[intent.Object] {
	return func(yield func(intent.Object) bool) {
		if l.config != nil && !yield(l.config) {
			return
		}
		for id, s := range l.sets.sets {
			if !s.exists || isLocal(id) {
				continue
			}
			set := &intent.Set{ID: id, Type: s.typ, Selector: s.selector}
			for m := range s.calc {
				set.Members = append(set.Members, m)
			}
			if !yield(set) {
				return
			}
		}
		for _, o := range l.given {
			switch o.(type) {
			case *intent.Policy, *intent.Profile:
				if !yield(o) {
					return
				}
			}
		}
		for _, o := range l.endpoints {
			if !yield(o) {
				return
			}
		}
		for _, o := range l.nodes {
			if !yield(o) {
				return
			}
		}
		for _, o := range l.pools {
			if !yield(o) {
				return
			}
		}
		for _, o := range l.blocks {
			if !yield(o) {
				return
			}
		}
	}
}

func isLocal(id intent.SetID) bool {
	return id == intent.SetMasqueradePools || id == intent.SetAllPools || id == intent.SetHosts
}
