package index

import (
	"slices"

	"github.com/tortie-net/tortie/internal/calc/slab"
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
	if value, ok := v.x.table.find(v.it.labels(), k); ok {
		return value, true
	}
	for _, p := range v.it.profiles() {
		if value, ok := v.x.table.find(v.x.profiles.At(p).labels, k); ok {
			return value, true
		}
	}
	return "", false
}

// Add registers a selector on a side, or takes one more reference of one with the same canonical text, and calls match
// for every item that matches it. started is not called for these.
func (x *Index) Add(side Side, sel *selector.Selector, match func(ItemID)) SelectorID {
	text := sel.String()
	if id, ok := x.findSelector(side, text); ok {
		x.selectors.At(uint32(id)).refs++
		x.Each(id, match)
		return id
	}
	id := SelectorID(x.selectors.New())
	r := x.selectors.At(uint32(id))
	*r = registered{selector: sel, text: text, refs: 1, side: side}
	x.byText.Insert(x.textHash(side, text), uint32(id))
	x.fileSelector(id, r)
	tried := false
	x.candidates(r, func(item ItemID, it *item) {
		*x.visited++
		tried = true
		if !it.has(id) && r.selector.Match(view{x, it}) && it.addMatch(id) {
			match(item)
		}
	})
	if short, ok := Shorten(text); ok && !tried {
		r.selector, r.text = nil, short
	}
	return id
}

func (x *Index) textHash(side Side, text string) uint64 {
	return slab.Join(x.table.hash.String(text), uint64(side))
}

func (x *Index) findSelector(side Side, text string) (SelectorID, bool) {
	id, ok := x.byText.Find(x.textHash(side, text), func(id uint32) bool {
		r := x.selectors.At(id)
		return r.side == side && r.is(text)
	})
	return SelectorID(id), ok
}

// Release gives one reference back. With the last one the selector is gone; stopped is not called for what matched it.
func (x *Index) Release(id SelectorID) {
	r := x.selectors.At(uint32(id))
	if r.refs--; r.refs > 0 {
		return
	}
	if r.selector != nil {
		x.candidates(r, func(_ ItemID, it *item) {
			*x.visited++
			it.removeMatch(id)
		})
	}
	x.unfileSelector(id, r)
	x.byText.Remove(x.textHash(r.side, r.fullText()), uint32(id))
	x.selectors.Free(uint32(id))
}

// Each calls f for every item that matches a registered selector, in no particular order.
func (x *Index) Each(id SelectorID, f func(ItemID)) {
	r := x.selectors.At(uint32(id))
	if r.selector == nil {
		return
	}
	seen := map[ItemID]struct{}{}
	x.candidates(r, func(item ItemID, it *item) {
		*x.visited++
		if !it.has(id) {
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
		x.sets.add(&x.anywhere[r.side], uint32(id))
	case best.Values == nil:
		r.form, r.anchor = anchorKey, x.table.acquireKey(best.Key)
		x.sets.add(&x.table.keys.At(r.anchor).selectors[r.side], uint32(id))
	case len(best.Values) == 1:
		r.form, r.anchor = anchorPair, x.table.acquirePair(best.Key, best.Values[0])
		x.sets.add(&x.table.pairs.At(r.anchor).selectors[r.side], uint32(id))
	default:
		r.form = anchorPairs
		for _, value := range best.Values {
			pair := x.table.acquirePair(best.Key, value)
			x.several[id] = append(x.several[id], pair)
			x.sets.add(&x.table.pairs.At(pair).selectors[r.side], uint32(id))
		}
	}
}

// unfileSelector undoes fileSelector.
func (x *Index) unfileSelector(id SelectorID, r *registered) {
	unfile := func(pair uint32) {
		x.sets.remove(&x.table.pairs.At(pair).selectors[r.side], uint32(id))
		x.table.releasePair(pair)
	}
	switch r.form {
	case anchorKey:
		x.sets.remove(&x.table.keys.At(r.anchor).selectors[r.side], uint32(id))
		x.table.releaseKey(r.anchor)
	case anchorPair:
		unfile(r.anchor)
	case anchorPairs:
		for _, pair := range x.several[id] {
			unfile(pair)
		}
		delete(x.several, id)
	default:
		x.sets.remove(&x.anywhere[r.side], uint32(id))
	}
}

// filed is how many selectors are filed under a requirement's pairs, or its key.
func (x *Index) filed(side Side, q selector.Requirement) int {
	k, ok := x.table.keyID[q.Key]
	if !ok {
		return 0
	}
	if q.Values == nil {
		return x.sets.len(x.table.keys.At(k).selectors[side])
	}
	n := 0
	for _, value := range q.Values {
		if pair, ok := x.table.findPair(k, value); ok {
			n += x.sets.len(x.table.pairs.At(pair).selectors[side])
		}
	}
	return n
}

// evaluate looks at the candidates of an item again and calls started and stopped for what changed.
func (x *Index) evaluate(id ItemID, it *item) {
	x.nextRound()
	x.scratch = x.scratch[:0]
	x.collect(Members, it)
	if it.subject {
		x.collect(Subjects, it)
	}
	slices.Sort(x.scratch)
	old := it.matches()
	if slices.Equal(x.scratch, old) {
		return
	}
	it.setMatches(x.scratch)
	now := it.matches()
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case j == len(now) || i < len(old) && old[i] < now[j]:
			x.stopped(SelectorID(old[i]), id)
			i++
		case i == len(old) || now[j] < old[i]:
			x.started(SelectorID(now[j]), id)
			j++
		default:
			i, j = i+1, j+1
		}
	}
}

// nextRound begins an evaluation: what it has looked at bears its number.
func (x *Index) nextRound() {
	if x.round++; x.round > 0 {
		return
	}
	for id := range x.selectors.Len() { // the numbers begin anew
		x.selectors.At(id).round = 0
	}
	x.round = 1
}

// collect appends to scratch what an item matches on one side.
func (x *Index) collect(side Side, it *item) {
	try := func(id uint32) {
		r := x.selectors.At(id)
		if r.round == x.round {
			return
		}
		r.round = x.round
		*x.visited++
		if x.unpack(r).Match(view{x, it}) {
			x.scratch = append(x.scratch, id)
		}
	}
	of := func(pairs []uint32) {
		for _, l := range pairs {
			p := x.table.pairs.At(l)
			x.sets.each(p.selectors[side], try)
			x.sets.each(x.table.keys.At(p.key).selectors[side], try)
		}
	}
	of(it.labels())
	for _, p := range it.profiles() {
		of(x.profiles.At(p).labels)
	}
	x.sets.each(x.anywhere[side], try)
}
