package slab_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/calc/slab"
)

// TestTableIsAMap: for any history, also where many hashes are equal, a table finds what was put in and not taken out.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table slab.Table
		want := map[uint32]bool{}
		hashes := rapid.SampledFrom([]uint32{1, 3, 50, 1000}).Draw(t, "different hashes")
		most := rapid.SampledFrom([]uint32{3, 40, 300}).Draw(t, "numbers")
		hash := func(id uint32) uint64 { return slab.Join(uint64(id%hashes), 7) }
		check := func(id uint32) {
			got, found := table.Find(hash(id), func(other uint32) bool { return other == id })
			if found != want[id] || found && got != id {
				t.Fatalf("%d: found %v (%d), want %v", id, found, got, want[id])
			}
		}
		for range rapid.IntRange(0, 600).Draw(t, "steps") {
			id := rapid.Uint32Range(0, most).Draw(t, "id")
			if want[id] {
				table.Remove(hash(id), id)
				delete(want, id)
			} else if rapid.Bool().Draw(t, "insert") {
				table.Insert(hash(id), id)
				want[id] = true
			} else {
				table.Remove(hash(id), id) // is not there
			}
			check(id)
			if table.Len() != len(want) {
				t.Fatalf("%d numbers, want %d", table.Len(), len(want))
			}
		}
		for id := range most + 1 {
			check(id)
		}
	})
}

// TestNumbersAreOfOne: no number is handed out twice, a record is empty when it is handed out, and keeps its place.
func TestNumbersAreOfOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var records slab.Of[int]
		held := map[uint32]*int{}
		for step := range rapid.IntRange(0, 1000).Draw(t, "steps") {
			if len(held) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				id := rapid.SampledFrom(slices.Sorted(maps.Keys(held))).Draw(t, "id")
				records.Free(id)
				delete(held, id)
				continue
			}
			id := records.New()
			if held[id] != nil || *records.At(id) != 0 {
				t.Fatalf("%d is in use, or holds %d", id, *records.At(id))
			}
			held[id] = records.At(id)
			*held[id] = step + 1
		}
		for id, at := range held {
			if records.At(id) != at || *at == 0 || id >= records.Len() {
				t.Fatalf("%d: moved or lost", id)
			}
		}
	})
}

// TestNamesAreOfTheirParts: names that differ in how they are divided are different, a number is found while it is there.
func TestNamesAreOfTheirParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := slab.NewNames()
		part := rapid.StringMatching(`[ab]{0,2}`)
		numbers := map[[2]string]uint32{}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			name := [2]string{part.Draw(t, "first"), part.Draw(t, "second")}
			want, there := numbers[name]
			got, found := names.Find(name[0], name[1])
			if found != there || found && got != want {
				t.Fatalf("%q: %d %t, want %d %t", name, got, found, want, there)
			}
			if there {
				names.Remove(want)
				delete(numbers, name)
			} else {
				numbers[name] = names.Add(name[0], name[1])
			}
			if names.Len() != len(numbers) {
				t.Fatalf("%d names, want %d", names.Len(), len(numbers))
			}
		}
	})
}
