package index

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIDSetIsASet: through all of its forms and back.
func TestIDSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s idSet
		var sets idSets
		want := map[uint32]bool{}
		most := rapid.SampledFrom([]uint32{2, 20, 200}).Draw(t, "most")
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			id := rapid.Uint32Range(0, most).Draw(t, "id")
			if rapid.IntRange(0, 9).Draw(t, "remove") < 4 {
				sets.remove(&s, id)
				delete(want, id)
			} else {
				sets.add(&s, id)
				want[id] = true
			}
			if sets.len(s) != len(want) {
				t.Fatalf("%d elements, want %d", sets.len(s), len(want))
			}
		}
		for _, id := range rapid.Permutation(slices.Sorted(maps.Keys(want))).Draw(t, "emptied in this order") {
			got := map[uint32]bool{}
			sets.each(s, func(id uint32) {
				if got[id] {
					t.Fatalf("%d comes twice", id)
				}
				got[id] = true
			})
			if !maps.Equal(got, want) {
				t.Fatalf("%v, want %v", got, want)
			}
			sets.remove(&s, id)
			delete(want, id)
		}
		if sets.len(s) != 0 {
			t.Fatalf("%d elements left", sets.len(s))
		}
	})
}

// TestBigSetIsASet: with lists and bitmaps in several chunks, it has what was added and not removed, in order.
func TestBigSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s bigSet
		want := map[uint32]bool{}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			from := rapid.Uint32Range(0, 200000).Draw(t, "from")
			step := rapid.SampledFrom([]uint32{1, 7, 1000}).Draw(t, "step")
			remove := rapid.Bool().Draw(t, "remove")
			for i := range rapid.Uint32Range(1, 6000).Draw(t, "elements") {
				if id := from + i*step; remove {
					s.remove(id)
					delete(want, id)
				} else {
					s.add(id)
					want[id] = true
				}
			}
			var got []uint32
			s.each(func(id uint32) { got = append(got, id) })
			if s.n != len(want) || !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Fatalf("%d elements, %d given, want %d", s.n, len(got), len(want))
			}
		}
	})
}
