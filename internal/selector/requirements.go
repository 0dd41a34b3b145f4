package selector

import "slices"

// Requirements is necessary conditions of the selector, at most one for each label, in the order of the text: whatever
// matches fulfils every one of them. Values is sorted; empty but not nil, nothing can match. No requirement at all
// means that nothing cheap is known, as for all() and for negations. The caller must not change what it gets.
func (s *Selector) Requirements() []Requirement { return s.tree().requirements() }

func (n *node) requirements() []Requirement {
	switch n.op {
	case opHas, opContains, opStartsWith, opEndsWith:
		return []Requirement{{Key: n.key}} // false for an absent label (R61)
	case opIn:
		return []Requirement{{Key: n.key, Values: n.values}}
	case opAnd:
		return n.requirementsOfAnd()
	case opOr:
		return n.requirementsOfOr()
	}
	return nil
}

// requirementsOfAnd is those of all operands; for one label, the values that all of them allow.
func (n *node) requirementsOfAnd() []Requirement {
	var united []Requirement
	for _, o := range n.operands {
		for _, r := range o.requirements() {
			i := indexOf(united, r.Key)
			switch {
			case i < 0:
				united = append(united, r)
			case united[i].Values == nil:
				united[i].Values = r.Values
			case r.Values != nil:
				united[i].Values = intersect(united[i].Values, r.Values)
			}
		}
	}
	return united
}

// requirementsOfOr is those for labels that every operand requires, with the values that any of them allows.
func (n *node) requirementsOfOr() []Requirement {
	common := slices.Clone(n.operands[0].requirements())
	for _, o := range n.operands[1:] {
		other := o.requirements()
		kept := common[:0]
		for _, r := range common {
			i := indexOf(other, r.Key)
			if i < 0 {
				continue
			}
			r.Values = union(r.Values, other[i].Values)
			kept = append(kept, r)
		}
		common = kept
	}
	return common
}

func indexOf(list []Requirement, key string) int {
	return slices.IndexFunc(list, func(r Requirement) bool { return r.Key == key })
}

// intersect is the values that occur in both lists; never nil.
func intersect(a, b []string) []string {
	both := make([]string, 0, min(len(a), len(b)))
	for _, v := range a {
		if _, found := slices.BinarySearch(b, v); found {
			both = append(both, v)
		}
	}
	return both
}

// union is the values of two lists; nil, any value, if one is nil.
func union(a, b []string) []string {
	if a == nil || b == nil {
		return nil
	}
	either := append(append(make([]string, 0, len(a)+len(b)), a...), b...)
	slices.Sort(either)
	return slices.Compact(either)
}
