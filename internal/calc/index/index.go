package index

import (
	"github.com/tortie-net/tortie/internal/calc/slab"
	"github.com/tortie-net/tortie/internal/selector"
)

// ItemID numbers an item; the caller hands the numbers out, densely, below 2^31.
type ItemID uint32

// SelectorID numbers a registered selector; the numbers are dense.
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
	sets     *idSets
	table    *table
	items    slab.Of[item]
	profiles slab.Of[profile]
	byName   slab.Table // profiles

	selectors slab.Of[registered]
	byText    slab.Table // selectors by side and text
	several   map[SelectorID][]uint32
	anywhere  [2]idSet         // selectors that require nothing
	subjects  idSet            // the items of that side
	local     map[uint32]idSet // per pair, the subjects that state it
	localOf   map[uint32]idSet // per profile, the subjects that name it

	started, stopped func(SelectorID, ItemID)
	visited          *uint64
	round            uint32
	scratch          []uint32
}

// profile is what is known of a profile that somebody defines or names.
type profile struct {
	name    string
	labels  []uint32 // pairs
	members idSet    // items that name it
	defined bool
	tag     uint8
}

// registered is a selector that somebody waits for. While no item was a candidate it is kept as its text alone.
type registered struct {
	selector *selector.Selector // nil: nothing matches it
	text     string             // without selector in short
	refs     uint32
	round    uint32
	anchor   uint32 // a key or a pair
	side     Side
	form     anchorForm
}

// anchorForm says where a selector is filed.
type anchorForm uint8

const (
	anchorAnywhere anchorForm = iota
	anchorPair
	anchorPairs // any of those in Index.several; nowhere, if there are none
	anchorKey
)

// New makes an empty index. started and stopped are called when an item's matches change, visited counts the pairs of
// item and selector that were looked at. The callbacks must not change the index.
func New(started, stopped func(SelectorID, ItemID), visited *uint64) *Index {
	sets := &idSets{}
	return &Index{
		sets: sets, table: newTable(sets), several: map[SelectorID][]uint32{},
		local: map[uint32]idSet{}, localOf: map[uint32]idSet{},
		started: started, stopped: stopped, visited: visited,
	}
}

// Side tells a selector's side.
func (x *Index) Side(id SelectorID) Side { return x.selectors.At(uint32(id)).side }

// Text is a selector's canonical text.
func (x *Index) Text(id SelectorID) string { return x.selectors.At(uint32(id)).fullText() }

// Selector is a registered selector.
func (x *Index) Selector(id SelectorID) *selector.Selector {
	return x.unpack(x.selectors.At(uint32(id)))
}
