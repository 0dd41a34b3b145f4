package index

import "github.com/tortie-net/tortie/internal/selector"

// rarest picks the requirement that costs least by a first count and, among equals, that the fewest items fulfil. A key
// alone is taken only where no value is required: its extent is an estimate.
func (x *Index) rarest(r *registered, cost func(selector.Requirement) int) (best selector.Requirement, found bool) {
	var bestCost [2]int
	for _, q := range r.selector.Requirements() {
		if found && q.Values == nil && best.Values != nil {
			continue
		}
		c := [2]int{cost(q), x.extent(r.side, q)}
		if !found || q.Values != nil && best.Values == nil ||
			c[0] < bestCost[0] || c[0] == bestCost[0] && c[1] < bestCost[1] {
			best, bestCost, found = q, c, true
		}
	}
	return best, found
}

// extent is how many items a requirement leaves on a side, at most; for a key alone about how many.
func (x *Index) extent(side Side, q selector.Requirement) int {
	n := 0
	if q.Values == nil {
		if k, ok := x.table.keyID[q.Key]; ok {
			n = int(x.table.keys[k].stated) + x.table.keys[k].pairs.len()
		}
		return n
	}
	x.pairsOf(q, func(pair uint32) {
		p := &x.table.pairs[pair]
		if side == Subjects {
			n += size(x.local[pair])
		} else {
			n += p.items.len()
		}
		p.profiles.each(func(id uint32) { n += size(x.membersOf(side, id)) })
	})
	return n
}

// membersOf is the items of a side that name a profile; nil: none.
func (x *Index) membersOf(side Side, profile uint32) *idSet {
	if side == Subjects {
		return x.localOf[profile]
	}
	return &x.profiles[profile].members
}

// pairsOf calls f for each known pair that fulfils a requirement.
func (x *Index) pairsOf(q selector.Requirement, f func(pair uint32)) {
	k, ok := x.table.keyID[q.Key]
	if !ok {
		return
	}
	if q.Values == nil {
		x.table.keys[k].pairs.each(f)
		return
	}
	for _, value := range q.Values {
		if pair, ok := x.table.pairID[pairText{k, value}]; ok {
			f(pair)
		}
	}
}

// candidates calls f for every item of the selector's side that fulfils the requirement that leaves the fewest; an item
// may come twice, once for its own label and once for an inherited one.
func (x *Index) candidates(r *registered, f func(ItemID, *item)) {
	best, found := x.rarest(r, func(q selector.Requirement) int { return x.extent(r.side, q) })
	visit := func(id uint32) { f(ItemID(id), x.items[id]) }
	if found {
		x.pairsOf(best, func(pair uint32) {
			p := &x.table.pairs[pair]
			if r.side == Members {
				p.items.each(visit)
			} else if s := x.local[pair]; s != nil {
				s.each(visit)
			}
			p.profiles.each(func(id uint32) {
				if s := x.membersOf(r.side, id); s != nil {
					s.each(visit)
				}
			})
		})
		return
	}
	if r.side == Subjects {
		x.subjects.each(visit)
		return
	}
	for id, it := range x.items {
		if it != nil {
			f(ItemID(id), it)
		}
	}
}
