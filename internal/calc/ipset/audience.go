package ipset

import (
	"maps"
	"slices"
)

// Audience counts, by node, the reasons why the node has an object. The zero value is empty, and so is nil to those who
// only ask.
type Audience struct {
	one   string // the only node, while there is only one
	count int
	more  map[string]int
}

// Add counts one more reason; it reports whether it is the node's first.
func (a *Audience) Add(node string) bool {
	if a.more == nil {
		if a.count == 0 || a.one == node {
			a.one = node
			a.count++
			return a.count == 1
		}
		a.more = map[string]int{a.one: a.count}
	}
	a.more[node]++
	return a.more[node] == 1
}

// Remove counts one reason less; it reports whether it was the node's last.
func (a *Audience) Remove(node string) bool {
	if a.more == nil {
		if a.count == 0 || a.one != node {
			return false
		}
		a.count--
		return a.count == 0
	}
	if a.more[node]--; a.more[node] > 0 {
		return false
	}
	delete(a.more, node)
	return true
}

// Has tells whether a node is in it.
func (a *Audience) Has(node string) bool {
	if a.more == nil {
		return a.count > 0 && a.one == node
	}
	return a.more[node] > 0
}

// Any tells whether there is a node in it.
func (a *Audience) Any() bool { return a != nil && (a.count > 0 && a.more == nil || len(a.more) > 0) }

// Nodes are the nodes, sorted; nil if there is none.
func (a *Audience) Nodes() []string {
	switch {
	case !a.Any():
		return nil
	case a.more == nil:
		return []string{a.one}
	}
	return slices.Sorted(maps.Keys(a.more))
}

// Diff splits two sorted lists of nodes into who stays, who is new and who is gone.
func Diff(was, is []string) (kept, gained, lost []string) {
	for i, j := 0, 0; i < len(was) || j < len(is); {
		switch {
		case j == len(is) || i < len(was) && was[i] < is[j]:
			lost = append(lost, was[i])
			i++
		case i == len(was) || is[j] < was[i]:
			gained = append(gained, is[j])
			j++
		default:
			kept = append(kept, is[j])
			i, j = i+1, j+1
		}
	}
	return kept, gained, lost
}
