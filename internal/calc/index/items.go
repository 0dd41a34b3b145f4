package index

import (
	"iter"
	"slices"
)

// item is one list of numbers: the pairs that it states, the profiles that it names, the selectors that it matches, of
// both sides. Labels and matches are sorted.
type item struct {
	numbers         []uint32
	labelN, parentN uint32
	subject         bool
	known           bool
}

func (it *item) labels() []uint32   { return it.numbers[:it.labelN] }
func (it *item) profiles() []uint32 { return it.numbers[it.labelN : it.labelN+it.parentN] }
func (it *item) matches() []uint32  { return it.numbers[it.labelN+it.parentN:] }

// setMatches replaces the selectors that the item matches. Earlier results of matches keep what they hold.
func (it *item) setMatches(sorted []uint32) {
	own := it.numbers[:it.labelN+it.parentN]
	it.numbers = append(append(make([]uint32, 0, len(own)+len(sorted)), own...), sorted...)
}

// addMatch enters one more; it reports false if it is there.
func (it *item) addMatch(sel SelectorID) bool {
	own := int(it.labelN + it.parentN)
	at, found := slices.BinarySearch(it.matches(), uint32(sel))
	if found {
		return false
	}
	all := make([]uint32, 0, len(it.numbers)+1)
	all = append(append(all, it.numbers[:own+at]...), uint32(sel))
	it.numbers = append(all, it.numbers[own+at:]...)
	return true
}

func (it *item) removeMatch(sel SelectorID) {
	if at, found := slices.BinarySearch(it.matches(), uint32(sel)); found {
		at += int(it.labelN + it.parentN)
		it.numbers = slices.Delete(it.numbers, at, at+1)
	}
}

func (it *item) has(sel SelectorID) bool {
	_, found := slices.BinarySearch(it.matches(), uint32(sel))
	return found
}

// Matches are the selectors that an item matches, of both sides, in order of their numbers. The index must not change
// meanwhile.
func (x *Index) Matches(id ItemID) iter.Seq[SelectorID] {
	return func(yield func(SelectorID) bool) {
		it := x.item(id)
		if it == nil {
			return
		}
		for _, sel := range it.matches() {
			if !yield(SelectorID(sel)) {
				return
			}
		}
	}
}

// Has tells whether an item matches a registered selector.
func (x *Index) Has(id ItemID, sel SelectorID) bool {
	it := x.item(id)
	return it != nil && it.has(sel)
}

func (x *Index) item(id ItemID) *item {
	if uint32(id) >= x.items.Len() {
		return nil
	}
	if it := x.items.At(uint32(id)); it.known {
		return it
	}
	return nil
}

// SetItem says what an item's labels and profiles are now, and whether it is a subject too.
func (x *Index) SetItem(id ItemID, subject bool, labels map[string]string, profiles []string) {
	x.items.Grow(uint32(id) + 1)
	it := x.items.At(uint32(id))
	old := *it
	fresh := item{numbers: make([]uint32, 0, len(labels)+len(profiles)+len(old.matches())), subject: subject, known: true}
	fresh.numbers = x.table.acquireAll(fresh.numbers, labels)
	fresh.labelN = uint32(len(fresh.numbers))
	fresh.numbers = x.profileNumbers(fresh.numbers, profiles)
	fresh.parentN = uint32(len(fresh.numbers)) - fresh.labelN
	if old.known {
		if old.subject == subject && slices.Equal(old.labels(), fresh.labels()) && slices.Equal(old.profiles(), fresh.profiles()) {
			x.table.releaseAll(fresh.labels())
			return
		}
		x.unfile(id, &old)
		fresh.numbers = append(fresh.numbers, old.matches()...)
	}
	*it = fresh
	x.file(id, it)
	if old.known {
		x.table.releaseAll(old.labels())
		x.forgetProfiles(old.profiles())
	}
	x.evaluate(id, it)
}

// DropItem says that an item is gone; it stops to match whatever it matched.
func (x *Index) DropItem(id ItemID) {
	it := x.item(id)
	if it == nil {
		return
	}
	for _, sel := range it.matches() {
		*x.visited++
		x.stopped(SelectorID(sel), id)
	}
	x.unfile(id, it)
	old := *it
	*it = item{}
	x.table.releaseAll(old.labels())
	x.forgetProfiles(old.profiles())
}

// file enters an item where candidates are looked for.
func (x *Index) file(id ItemID, it *item) {
	for _, l := range it.labels() {
		p := x.table.pairs.At(l)
		x.sets.add(&p.items, uint32(id))
		x.table.keys.At(p.key).stated++
		if it.subject {
			x.fileUnder(x.local, l, id)
		}
	}
	for _, p := range it.profiles() {
		x.sets.add(&x.profiles.At(p).members, uint32(id))
		if it.subject {
			x.fileUnder(x.localOf, p, id)
		}
	}
	if it.subject {
		x.sets.add(&x.subjects, uint32(id))
	}
}

func (x *Index) unfile(id ItemID, it *item) {
	for _, l := range it.labels() {
		p := x.table.pairs.At(l)
		x.sets.remove(&p.items, uint32(id))
		x.table.keys.At(p.key).stated--
		if it.subject {
			x.unfileUnder(x.local, l, id)
		}
	}
	for _, p := range it.profiles() {
		x.sets.remove(&x.profiles.At(p).members, uint32(id))
		if it.subject {
			x.unfileUnder(x.localOf, p, id)
		}
	}
	if it.subject {
		x.sets.remove(&x.subjects, uint32(id))
	}
}

func (x *Index) fileUnder(m map[uint32]idSet, at uint32, id ItemID) {
	s := m[at]
	x.sets.add(&s, uint32(id))
	m[at] = s
}

func (x *Index) unfileUnder(m map[uint32]idSet, at uint32, id ItemID) {
	s := m[at]
	if x.sets.remove(&s, uint32(id)); s == 0 {
		delete(m, at)
	} else {
		m[at] = s
	}
}
