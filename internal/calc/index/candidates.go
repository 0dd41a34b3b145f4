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
			n = int(x.table.keys.At(k).stated) + x.sets.len(x.table.keys.At(k).pairs)
		}
		return n
	}
	x.pairsOf(q, func(pair uint32) {
		p := x.table.pairs.At(pair)
		if side == Subjects {
			n += x.sets.len(x.local[pair])
		} else {
			n += x.sets.len(p.items)
		}
		x.sets.each(p.profiles, func(id uint32) { n += x.sets.len(x.membersOf(side, id)) })
	})
	return n
}

// membersOf is the items of a side that name a profile.
func (x *Index) membersOf(side Side, profile uint32) idSet {
	if side == Subjects {
		return x.localOf[profile]
	}
	return x.profiles.At(profile).members
}

// pairsOf calls f for each known pair that fulfils a requirement.
func (x *Index) pairsOf(q selector.Requirement, f func(pair uint32)) {
	k, ok := x.table.keyID[q.Key]
	if !ok {
		return
	}
	if q.Values == nil {
		x.sets.each(x.table.keys.At(k).pairs, f)
		return
	}
	for _, value := range q.Values {
		if pair, ok := x.table.findPair(k, value); ok {
			f(pair)
		}
	}
}

// candidates calls f for every item of the selector's side that fulfils the requirement that leaves the fewest; an item
// may come twice, once for its own label and once for an inherited one.
func (x *Index) candidates(r *registered, f func(ItemID, *item)) {
	best, found := x.rarest(r, func(q selector.Requirement) int { return x.extent(r.side, q) })
	visit := func(id uint32) { f(ItemID(id), x.items.At(id)) }
	if found {
		x.pairsOf(best, func(pair uint32) {
			p := x.table.pairs.At(pair)
			if r.side == Members {
				x.sets.each(p.items, visit)
			} else {
				x.sets.each(x.local[pair], visit)
			}
			x.sets.each(p.profiles, func(id uint32) { x.sets.each(x.membersOf(r.side, id), visit) })
		})
		return
	}
	if r.side == Subjects {
		x.sets.each(x.subjects, visit)
		return
	}
	for id := range x.items.Len() {
		if it := x.items.At(id); it.known {
			f(ItemID(id), it)
		}
	}
}
