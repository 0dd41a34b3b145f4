package index

import (
	"slices"

	"github.com/tortie-net/tortie/internal/selector"
)

// ItemID numbers an item; the caller hands the numbers out, densely.
type ItemID uint32

// SelectorID numbers a registered selector.
type SelectorID uint32

// Side says which items a selector is matched against.
type Side uint8

// The sides.
const (
	Subjects Side = iota // endpoints of the span against the subjects of policies
	Members              // every item against the selectors of rules
)

// Index is the whole state. It is made by New.
type Index struct {
	table    *table
	items    []*item
	profiles []*profile
	byName   map[string]uint32
	free     []uint32 // profile numbers

	selectors []*registered
	freeSels  []SelectorID
	byText    [2]map[string]SelectorID
	byPair    [2]map[uint32]*idSet // selectors filed under a pair
	byKey     [2]map[uint32]*idSet // selectors filed under a key
	anywhere  [2]idSet             // selectors that require nothing
	subjects  idSet                // the items of that side
	local     map[uint32]*idSet    // per pair, the subjects that state it
	localOf   map[uint32]*idSet    // per profile, the subjects that name it

	started, stopped func(SelectorID, ItemID)
	visited          *uint64
	round            uint32
	scratch          []SelectorID
}

type item struct {
	labels   []label
	profiles []uint32
	matches  []SelectorID // sorted, of both sides
	subject  bool
}

type profile struct {
	name    string
	labels  []label
	members idSet // items that name it
	defined bool
}

type registered struct {
	selector *selector.Selector
	text     string
	refs     int
	side     Side
	anchor   anchor
	round    uint32
}

// anchor is where a selector is filed: under pairs (any of them), under a key, under everything, or nowhere.
type anchor struct {
	pairs []uint32
	key   uint32
	form  anchorForm
}

type anchorForm uint8

const (
	anchorAnywhere anchorForm = iota
	anchorPairs
	anchorKey
)

// New makes an empty index. started and stopped are called when an item's matches change, visited counts the pairs of
// item and selector that were looked at. The callbacks must not change the index.
func New(started, stopped func(SelectorID, ItemID), visited *uint64) *Index {
	x := &Index{
		table: newTable(), byName: map[string]uint32{}, local: map[uint32]*idSet{}, localOf: map[uint32]*idSet{},
		started: started, stopped: stopped, visited: visited,
	}
	for side := range x.byText {
		x.byText[side] = map[string]SelectorID{}
		x.byPair[side] = map[uint32]*idSet{}
		x.byKey[side] = map[uint32]*idSet{}
	}
	return x
}

// Side tells a selector's side.
func (x *Index) Side(id SelectorID) Side { return x.selectors[id].side }

// Matches are the selectors that an item matches, of both sides, in order of their numbers. The slice is valid until
// the next change.
func (x *Index) Matches(id ItemID) []SelectorID {
	if it := x.item(id); it != nil {
		return it.matches
	}
	return nil
}

// Has tells whether an item matches a registered selector.
func (x *Index) Has(id ItemID, sel SelectorID) bool {
	_, found := slices.BinarySearch(x.Matches(id), sel)
	return found
}

func (x *Index) item(id ItemID) *item {
	if int(id) < len(x.items) {
		return x.items[id]
	}
	return nil
}

// SetItem says what an item's labels and profiles are now, and whether it is a subject too.
func (x *Index) SetItem(id ItemID, subject bool, labels map[string]string, profiles []string) {
	for int(id) >= len(x.items) {
		x.items = append(x.items, nil)
	}
	fresh := &item{subject: subject, labels: x.table.acquireAll(labels), profiles: x.profileNumbers(profiles)}
	old := x.items[id]
	if old != nil {
		if old.subject == subject && slices.Equal(old.labels, fresh.labels) && slices.Equal(old.profiles, fresh.profiles) {
			x.table.releaseAll(fresh.labels)
			return
		}
		x.unfile(id, old)
		fresh.matches = old.matches
	}
	x.items[id] = fresh
	x.file(id, fresh)
	if old != nil {
		x.table.releaseAll(old.labels)
		x.forgetProfiles(old.profiles)
	}
	x.evaluate(id, fresh)
}

// DropItem says that an item is gone; it stops to match whatever it matched.
func (x *Index) DropItem(id ItemID) {
	it := x.item(id)
	if it == nil {
		return
	}
	for _, sel := range it.matches {
		*x.visited++
		x.stopped(sel, id)
	}
	x.unfile(id, it)
	x.table.releaseAll(it.labels)
	x.items[id] = nil
	x.forgetProfiles(it.profiles)
}

// file enters an item where candidates are looked for.
func (x *Index) file(id ItemID, it *item) {
	for _, l := range it.labels {
		x.table.pairs[l.pair].items.add(uint32(id))
		x.table.keys[l.key].stated++
		if it.subject {
			fileUnder(x.local, l.pair, uint32(id))
		}
	}
	for _, p := range it.profiles {
		x.profiles[p].members.add(uint32(id))
		if it.subject {
			fileUnder(x.localOf, p, uint32(id))
		}
	}
	if it.subject {
		x.subjects.add(uint32(id))
	}
}

func (x *Index) unfile(id ItemID, it *item) {
	for _, l := range it.labels {
		x.table.pairs[l.pair].items.remove(uint32(id))
		x.table.keys[l.key].stated--
		if it.subject {
			unfileUnder(x.local, l.pair, uint32(id))
		}
	}
	for _, p := range it.profiles {
		x.profiles[p].members.remove(uint32(id))
		unfileUnder(x.localOf, p, uint32(id))
	}
	if it.subject {
		x.subjects.remove(uint32(id))
	}
}

func fileUnder(m map[uint32]*idSet, at, id uint32) {
	s := m[at]
	if s == nil {
		s = &idSet{}
		m[at] = s
	}
	s.add(id)
}

func unfileUnder(m map[uint32]*idSet, at, id uint32) {
	if s := m[at]; s != nil {
		if s.remove(id); s.len() == 0 {
			delete(m, at)
		}
	}
}
