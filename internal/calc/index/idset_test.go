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
		want := map[uint32]bool{}
		most := rapid.SampledFrom([]uint32{2, 20, 200}).Draw(t, "most")
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			id := rapid.Uint32Range(0, most).Draw(t, "id")
			if rapid.IntRange(0, 9).Draw(t, "remove") < 4 {
				s.remove(id)
				delete(want, id)
			} else {
				s.add(id)
				want[id] = true
			}
			if s.len() != len(want) {
				t.Fatalf("%d elements, want %d", s.len(), len(want))
			}
		}
		for _, id := range rapid.Permutation(slices.Sorted(maps.Keys(want))).Draw(t, "emptied in this order") {
			got := map[uint32]bool{}
			s.each(func(id uint32) {
				if got[id] {
					t.Fatalf("%d comes twice", id)
				}
				got[id] = true
			})
			if !maps.Equal(got, want) {
				t.Fatalf("%v, want %v", got, want)
			}
			s.remove(id)
			delete(want, id)
		}
		if s.len() != 0 {
			t.Fatalf("%d elements left", s.len())
		}
	})
}
