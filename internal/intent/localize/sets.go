package localize

import (
	"github.com/tortie-net/tortie/internal/intent"
)

// setTable joins, per set, the members that calc knows with those that this node's own workloads are: calc learns a local
// address only after a round trip to the store, the node knows it at once.
type setTable struct {
	sets  map[intent.SetID]*setState
	local map[string][]localMember // endpoint ID → what it contributes
}

type setState struct {
	typ      intent.SetType
	selector string
	exists   bool // calc has it
	given    bool // the planes have it
	calc     map[intent.Member]struct{}
	own      map[intent.Member]int // contributions of local workloads

	touched map[intent.Member]bool // was it a member when the planes were last told?
	dirty   bool                   // made, removed, or its type changed
}

func newSetTable() setTable {
	return setTable{sets: map[intent.SetID]*setState{}, local: map[string][]localMember{}}
}

func (t *setTable) get(id intent.SetID) *setState {
	s := t.sets[id]
	if s == nil {
		s = &setState{calc: map[intent.Member]struct{}{}, own: map[intent.Member]int{}, touched: map[intent.Member]bool{}}
		t.sets[id] = s
	}
	return s
}

func (s *setState) has(m intent.Member) bool {
	if _, ok := s.calc[m]; ok {
		return true
	}
	return s.own[m] > 0
}

// touch remembers, before a change of a member, whether it was one.
func (s *setState) touch(m intent.Member) {
	if _, ok := s.touched[m]; !ok {
		s.touched[m] = s.has(m)
	}
}

func (t *setTable) apply(id intent.SetID, o intent.Object) {
	s := t.get(id)
	switch o := o.(type) {
	case *intent.Set:
		if !s.exists || s.typ != o.Type || s.selector != o.Selector {
			s.dirty = true
		}
		s.exists, s.typ, s.selector = true, o.Type, o.Selector
		next := make(map[intent.Member]struct{}, len(o.Members))
		for _, m := range o.Members {
			next[m] = struct{}{}
		}
		for m := range s.calc {
			if _, ok := next[m]; !ok {
				s.touch(m)
			}
		}
		for m := range next {
			if _, ok := s.calc[m]; !ok {
				s.touch(m)
			}
		}
		s.calc = next
	case *intent.SetDelta:
		for _, m := range o.Remove {
			s.touch(m)
			delete(s.calc, m)
		}
		for _, m := range o.Add {
			s.touch(m)
			s.calc[m] = struct{}{}
		}
	default:
		for m := range s.calc {
			s.touch(m)
		}
		clear(s.calc)
		s.dirty = s.dirty || s.exists
		s.exists = false
	}
}

// setLocal replaces what an endpoint contributes.
func (t *setTable) setLocal(id string, members []localMember) {
	old := t.local[id]
	for _, m := range members {
		s := t.get(m.set)
		s.touch(m.member)
		s.own[m.member]++
	}
	for _, m := range old {
		s := t.get(m.set)
		s.touch(m.member)
		if s.own[m.member]--; s.own[m.member] <= 0 {
			delete(s.own, m.member)
		}
	}
	if len(members) == 0 {
		delete(t.local, id)
	} else {
		t.local[id] = members
	}
}

// flush emits every set that changed: whole when the planes do not have it, else the difference.
func (t *setTable) flush(emit func(intent.Ref, intent.Object)) {
	for id, s := range t.sets {
		ref := intent.Ref{Kind: intent.KindSet, ID: string(id)}
		switch {
		case !s.exists:
			if s.given {
				emit(ref, nil)
				s.given = false
			}
			if len(s.own) == 0 {
				delete(t.sets, id)
			}
		case s.dirty:
			emit(ref, s.whole(id))
			s.given = true
		case len(s.touched) > 0:
			if d := s.delta(id); d != nil {
				emit(ref, d)
			}
		}
		s.dirty = false
		clear(s.touched)
	}
}

func (s *setState) whole(id intent.SetID) *intent.Set {
	out := &intent.Set{ID: id, Type: s.typ, Selector: s.selector, Members: make([]intent.Member, 0, len(s.calc)+len(s.own))}
	for m := range s.calc {
		out.Members = append(out.Members, m)
	}
	for m := range s.own {
		if _, ok := s.calc[m]; !ok {
			out.Members = append(out.Members, m)
		}
	}
	return out
}

func (s *setState) delta(id intent.SetID) *intent.SetDelta {
	d := &intent.SetDelta{ID: id}
	for m, was := range s.touched {
		switch is := s.has(m); {
		case is && !was:
			d.Add = append(d.Add, m)
		case was && !is:
			d.Remove = append(d.Remove, m)
		}
	}
	if d.Add == nil && d.Remove == nil {
		return nil
	}
	return d
}
