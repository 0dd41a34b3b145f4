package slab

import "hash/maphash"

// Table finds numbers by a hash and a comparison that the caller brings along: an open-addressed table of eight bytes for
// each number. The zero value is empty.
type Table struct {
	slots []slot // a power of two of them, or none
	live  int
	taken int // live ones and graves
}

// slot is a number with a part of its hash. ref is empty, grave, or the number plus first.
type slot struct{ hash, ref uint32 }

const (
	empty = iota
	grave // a number was here: who searches goes on
	first
)

// minSlots is the size of the smallest table.
const minSlots = 8

// Find returns the number that has a hash and that same says is the one.
func (t *Table) Find(hash uint64, same func(id uint32) bool) (id uint32, found bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := len(t.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		switch {
		case s.ref == empty:
			return 0, false
		case s.ref >= first && s.hash == part(hash) && same(s.ref-first):
			return s.ref - first, true
		}
	}
}

// Insert enters a number that Find does not find.
func (t *Table) Insert(hash uint64, id uint32) {
	if 16*(t.taken+1) > 13*len(t.slots) {
		t.resize()
	}
	mask := len(t.slots) - 1
	i := int(hash) & mask
	for t.slots[i].ref >= first {
		i = (i + 1) & mask
	}
	if t.slots[i].ref == empty {
		t.taken++
	}
	t.slots[i] = slot{part(hash), id + first}
	t.live++
}

// Remove takes a number out; with a number that is not there it does nothing.
func (t *Table) Remove(hash uint64, id uint32) {
	if len(t.slots) == 0 {
		return
	}
	mask := len(t.slots) - 1
	for i := int(hash) & mask; t.slots[i].ref != empty; i = (i + 1) & mask {
		if t.slots[i] != (slot{part(hash), id + first}) {
			continue
		}
		t.slots[i] = slot{ref: grave}
		if t.slots[(i+1)&mask].ref == empty { // nobody searches beyond: no graves are needed here
			for t.slots[i].ref == grave {
				t.slots[i].ref = empty
				t.taken--
				i = (i - 1) & mask
			}
		}
		if t.live--; t.live == 0 {
			*t = Table{}
		}
		return
	}
}

// Len is how many numbers are in it.
func (t *Table) Len() int { return t.live }

// resize makes room and drops the graves. A part of a hash says where its slot belongs, so that nobody need be asked.
func (t *Table) resize() {
	size := minSlots
	for 13*size < 16*(t.live+1)+size { // at least a sixteenth is left for what comes next
		size *= 2
	}
	old := t.slots
	t.slots, t.taken = make([]slot, size), t.live
	for _, s := range old {
		if s.ref < first {
			continue
		}
		i := int(s.hash) & (size - 1)
		for t.slots[i].ref >= first {
			i = (i + 1) & (size - 1)
		}
		t.slots[i] = s
	}
}

// part is what is kept of a hash: its low bits, which also say where its slot belongs.
func part(hash uint64) uint32 { return uint32(hash) }

// Hash makes hashes of texts.
type Hash struct{ seed maphash.Seed }

// NewHash makes a hash of its own; what it gives is the same within the process only.
func NewHash() Hash { return Hash{maphash.MakeSeed()} }

// String is the hash of a text.
func (h Hash) String(text string) uint64 { return maphash.String(h.seed, text) }

// Pair is the hash of two texts.
func (h Hash) Pair(a, b string) uint64 { return Join(h.String(a), h.String(b)) }

// Join makes one hash of two.
func Join(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 + b
	x ^= x >> 32
	return x * 0xd6e8feb86659fd93
}
