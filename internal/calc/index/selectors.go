package index

import (
	"slices"

	"github.com/tortie-net/tortie/internal/selector"
)

// view is an item's labels as a selector sees them: own, else those of the first profile that has the key (R52).
type view struct {
	x  *Index
	it *item
}

// Get implements selector.Labels.
func (v view) Get(key string) (string, bool) {
	k, ok := v.x.table.keyID[key]
	if !ok {
		return "", false
	}
	if value, ok := v.x.table.find(v.it.labels, k); ok {
		return value, true
	}
	for _, p := range v.it.profiles {
		if value, ok := v.x.table.find(v.x.profiles[p].labels, k); ok {
			return value, true
		}
	}
	return "", false
}

// Add registers a selector on a side, or takes one more reference of one with the same canonical text, and calls match
// for every item that matches it. started is not called for these.
func (x *Index) Add(side Side, sel *selector.Selector, match func(ItemID)) SelectorID {
	text := sel.String()
	if id, ok := x.byText[side][text]; ok {
		x.selectors[id].refs++
		x.Each(id, match)
		return id
	}
	r := &registered{selector: sel, text: text, refs: 1, side: side}
	var id SelectorID
	if n := len(x.freeSels); n > 0 {
		id, x.freeSels = x.freeSels[n-1], x.freeSels[:n-1]
		x.selectors[id] = r
	} else {
		id = SelectorID(len(x.selectors))
		x.selectors = append(x.selectors, r)
	}
	x.byText[side][text] = id
	x.fileSelector(id, r)
	x.candidates(r, func(item ItemID, it *item) {
		*x.visited++
		at, found := slices.BinarySearch(it.matches, id)
		if found || !r.selector.Match(view{x, it}) {
			return
		}
		it.matches = slices.Insert(it.matches, at, id)
		match(item)
	})
	return id
}

// Release gives one reference back. With the last one the selector is gone; stopped is not called for what matched it.
func (x *Index) Release(id SelectorID) {
	r := x.selectors[id]
	if r.refs--; r.refs > 0 {
		return
	}
	x.candidates(r, func(_ ItemID, it *item) {
		*x.visited++
		if at, found := slices.BinarySearch(it.matches, id); found {
			it.matches = slices.Delete(it.matches, at, at+1)
		}
	})
	x.unfileSelector(id, r)
	delete(x.byText[r.side], r.text)
	x.selectors[id] = nil
	x.freeSels = append(x.freeSels, id)
}

// Each calls f for every item that matches a registered selector, in no particular order.
func (x *Index) Each(id SelectorID, f func(ItemID)) {
	r := x.selectors[id]
	seen := map[ItemID]struct{}{}
	x.candidates(r, func(item ItemID, it *item) {
		*x.visited++
		if _, found := slices.BinarySearch(it.matches, id); !found {
			return
		}
		if _, again := seen[item]; !again {
			seen[item] = struct{}{}
			f(item)
		}
	})
}

// fileSelector files a selector under the requirement with the fewest selectors, then the fewest items: that many are looked at
// when an item with it changes.
func (x *Index) fileSelector(id SelectorID, r *registered) {
	best, found := x.rarest(r, func(q selector.Requirement) int { return x.filed(r.side, q) })
	switch {
	case !found:
		x.anywhere[r.side].add(uint32(id))
	case best.Values == nil:
		r.anchor = anchor{form: anchorKey, key: x.table.acquireKey(best.Key)}
		fileUnder(x.byKey[r.side], r.anchor.key, uint32(id))
	default:
		r.anchor.form = anchorPairs
		for _, value := range best.Values {
			pair := x.table.acquirePair(best.Key, value).pair
			r.anchor.pairs = append(r.anchor.pairs, pair)
			fileUnder(x.byPair[r.side], pair, uint32(id))
		}
	}
}

// unfileSelector undoes fileSelector.
func (x *Index) unfileSelector(id SelectorID, r *registered) {
	switch r.anchor.form {
	case anchorKey:
		unfileUnder(x.byKey[r.side], r.anchor.key, uint32(id))
		x.table.releaseKey(r.anchor.key)
	case anchorPairs:
		for _, pair := range r.anchor.pairs {
			unfileUnder(x.byPair[r.side], pair, uint32(id))
			x.table.releasePair(pair)
		}
	default:
		x.anywhere[r.side].remove(uint32(id))
	}
}

// filed is how many selectors are filed under a requirement's pairs, or its key.
func (x *Index) filed(side Side, q selector.Requirement) int {
	k, ok := x.table.keyID[q.Key]
	if !ok {
		return 0
	}
	if q.Values == nil {
		return size(x.byKey[side][k])
	}
	n := 0
	for _, value := range q.Values {
		if pair, ok := x.table.pairID[pairText{k, value}]; ok {
			n += size(x.byPair[side][pair])
		}
	}
	return n
}

func size(s *idSet) int {
	if s == nil {
		return 0
	}
	return s.len()
}

// evaluate looks at the candidates of an item again and calls started and stopped for what changed.
func (x *Index) evaluate(id ItemID, it *item) {
	x.round++
	x.scratch = x.scratch[:0]
	x.collect(Members, it)
	if it.subject {
		x.collect(Subjects, it)
	}
	now := x.scratch
	slices.Sort(now)
	if slices.Equal(now, it.matches) {
		return
	}
	old := it.matches
	it.matches = slices.Clone(now)
	now = it.matches
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case j == len(now) || i < len(old) && old[i] < now[j]:
			x.stopped(old[i], id)
			i++
		case i == len(old) || now[j] < old[i]:
			x.started(now[j], id)
			j++
		default:
			i, j = i+1, j+1
		}
	}
}

// collect appends to scratch what an item matches on one side.
func (x *Index) collect(side Side, it *item) {
	try := func(id uint32) {
		r := x.selectors[id]
		if r.round == x.round {
			return
		}
		r.round = x.round
		*x.visited++
		if r.selector.Match(view{x, it}) {
			x.scratch = append(x.scratch, SelectorID(id))
		}
	}
	of := func(labels []label) {
		for _, l := range labels {
			if s := x.byPair[side][l.pair]; s != nil {
				s.each(try)
			}
			if s := x.byKey[side][l.key]; s != nil {
				s.each(try)
			}
		}
	}
	of(it.labels)
	for _, p := range it.profiles {
		of(x.profiles[p].labels)
	}
	x.anywhere[side].each(try)
}
