package calc_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
)

// state is what the nodes of a span have after some changes, with the checks that a consumer relies on: a delta only for
// who has the set, no removal of what is not there, nothing referred to before it is there or after it is gone (R143).
type state struct {
	nodes   []string // of the span
	objects map[string]map[intent.Ref]intent.Object
	sets    map[string]map[intent.SetID]map[intent.Member]bool
	faults  []string
}

func newState(nodes ...string) *state {
	s := &state{nodes: nodes, objects: map[string]map[intent.Ref]intent.Object{}, sets: map[string]map[intent.SetID]map[intent.Member]bool{}}
	for _, n := range nodes {
		s.objects[n] = map[intent.Ref]intent.Object{}
		s.sets[n] = map[intent.SetID]map[intent.Member]bool{}
	}
	return s
}

func (s *state) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func (s *state) apply(changes []intent.Change) {
	for _, c := range changes {
		nodes := c.Nodes
		if nodes == nil {
			nodes = s.nodes
		}
		for _, n := range nodes {
			if s.objects[n] == nil {
				s.fault("%v goes to %s, which is not of the span", c.Ref, n)
				continue
			}
			s.applyOne(n, c)
		}
	}
}

func (s *state) applyOne(node string, c intent.Change) {
	objects, sets := s.objects[node], s.sets[node]
	id := intent.SetID(c.Ref.ID)
	switch o := c.Object.(type) {
	case nil:
		if objects[c.Ref] == nil {
			s.fault("%s: %v removed, was not there", node, c.Ref)
		}
		for ref, holder := range objects {
			if refersTo(holder, c.Ref) {
				s.fault("%s: %v removed, %v refers to it", node, c.Ref, ref)
			}
		}
		delete(objects, c.Ref)
		delete(sets, id)
	case *intent.SetDelta:
		if objects[c.Ref] == nil {
			s.fault("%s: delta for %v, which is not there", node, c.Ref)
			return
		}
		if len(o.Add)+len(o.Remove) == 0 {
			s.fault("%s: empty delta for %v", node, c.Ref)
		}
		for _, m := range o.Add {
			if sets[id][m] {
				s.fault("%s: %v added twice to %v", node, m, c.Ref)
			}
			sets[id][m] = true
		}
		for _, m := range o.Remove {
			if !sets[id][m] {
				s.fault("%s: %v removed from %v, was not in it", node, m, c.Ref)
			}
			delete(sets[id], m)
		}
	case *intent.Set:
		objects[c.Ref], sets[id] = o, map[intent.Member]bool{}
		for _, m := range o.Members {
			if sets[id][m] {
				s.fault("%s: %v twice in %v", node, m, c.Ref)
			}
			sets[id][m] = true
		}
	default:
		if old := objects[c.Ref]; old != nil && render(old) == render(o) {
			s.fault("%s: %v given again unchanged", node, c.Ref)
		}
		objects[c.Ref] = o
		for _, ref := range references(o) {
			if objects[ref] == nil {
				s.fault("%s: %v refers to %v, which is not there", node, c.Ref, ref)
			}
		}
	}
}

func refersTo(o intent.Object, ref intent.Ref) bool { return slices.Contains(references(o), ref) }

// references are what an object needs to be there.
func references(o intent.Object) []intent.Ref {
	var refs []intent.Ref
	add := func(kind intent.Kind, ids ...string) {
		for _, id := range ids {
			refs = append(refs, intent.Ref{Kind: kind, ID: id})
		}
	}
	rules := func(list []intent.Rule) {
		for _, r := range list {
			for _, e := range []intent.Entity{r.Src, r.Dst} {
				for _, ids := range [][]intent.SetID{e.Sets, e.NotSets, e.PortSets, e.NotPortSets} {
					for _, id := range ids {
						add(intent.KindSet, string(id))
					}
				}
			}
		}
	}
	tiers := func(list []intent.Tier) {
		for _, t := range list {
			add(intent.KindPolicy, t.Ingress...)
			add(intent.KindPolicy, t.Egress...)
		}
	}
	switch o := o.(type) {
	case *intent.Policy:
		rules(o.Ingress)
		rules(o.Egress)
	case *intent.Profile:
		rules(o.Ingress)
		rules(o.Egress)
	case *intent.Endpoint:
		tiers(o.Tiers)
		add(intent.KindProfile, o.Profiles...)
		for _, m := range o.Memberships {
			add(intent.KindSet, string(m.Set))
		}
	case *intent.HostEndpoint:
		tiers(o.Tiers)
		add(intent.KindProfile, o.Profiles...)
	}
	return refs
}

// String is everything that every node has.
func (s *state) String() string {
	var b strings.Builder
	for _, n := range s.nodes {
		fmt.Fprintf(&b, "node %s\n", n)
		for _, ref := range slices.SortedFunc(maps.Keys(s.objects[n]), compareRefs) {
			o := s.objects[n][ref]
			if set, ok := o.(*intent.Set); ok {
				members := slices.SortedFunc(maps.Keys(s.sets[n][set.ID]), compareMembers)
				o = &intent.Set{ID: set.ID, Type: set.Type, Selector: set.Selector, Members: members}
			}
			fmt.Fprintf(&b, " %s\n", render(o))
		}
	}
	for _, f := range s.faults {
		fmt.Fprintf(&b, "FAULT %s\n", f)
	}
	return b.String()
}

func compareRefs(a, b intent.Ref) int {
	if a.Kind != b.Kind {
		return int(a.Kind) - int(b.Kind)
	}
	return strings.Compare(a.ID, b.ID)
}

func compareMembers(a, b intent.Member) int { return strings.Compare(member(a), member(b)) }
