package index

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/selector"
)

// TestIndexFollowsItsDefinition: after every change, what was started and not stopped is what matches, on both sides, for
// hundreds of items; and when all are gone nothing is kept of them.
func TestIndexFollowsItsDefinition(t *testing.T) {
	texts := []string{"a == '1'", "a in {'1','2'}", "a != '1'", "has(b)", "!has(b)", "all()", "a == '1' && b == '2'", "a == '1' || b == '2'", "b starts with '1'"}
	rapid.Check(t, func(t *rapid.T) {
		type pair struct {
			sel  SelectorID
			item ItemID
		}
		matched := map[pair]bool{}
		var visited uint64
		x := New(func(s SelectorID, i ItemID) {
			if matched[pair{s, i}] {
				t.Fatalf("%d started to match %d twice", i, s)
			}
			matched[pair{s, i}] = true
		}, func(s SelectorID, i ItemID) {
			if !matched[pair{s, i}] {
				t.Fatalf("%d stopped to match %d without having started", i, s)
			}
			delete(matched, pair{s, i})
		}, &visited)

		x.round = math.MaxUint32 - rapid.Uint32Range(0, 500).Draw(t, "evaluations until the count starts over")

		labels := func() map[string]string {
			m := map[string]string{}
			for _, k := range []string{"a", "b"} {
				if v := rapid.IntRange(0, 3).Draw(t, k); v > 0 {
					m[k] = fmt.Sprint(v)
				}
			}
			return m
		}
		type thing struct {
			labels   map[string]string
			profiles []string
			subject  bool
		}
		items, profiles := map[ItemID]thing{}, map[string]map[string]string{}
		type chosen struct {
			side Side
			text string
		}
		selectors := map[chosen]SelectorID{}
		full := func(it thing) selector.Map {
			m := selector.Map{}
			for i := len(it.profiles) - 1; i >= 0; i-- {
				for k, v := range profiles[it.profiles[i]] {
					m[k] = v
				}
			}
			for k, v := range it.labels {
				m[k] = v
			}
			return m
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0: // many items at once
				it := thing{labels(), rapid.SampledFrom([][]string{nil, {"p"}, {"q", "p"}}).Draw(t, "profiles"), rapid.Bool().Draw(t, "subject")}
				first := rapid.IntRange(0, 200).Draw(t, "first")
				gone := rapid.IntRange(0, 3).Draw(t, "gone") == 0
				for id := ItemID(first); id < ItemID(first+100); id++ {
					if gone {
						x.DropItem(id)
						delete(items, id)
					} else {
						x.SetItem(id, it.subject, it.labels, it.profiles)
						items[id] = it
					}
				}
			case 1:
				name := rapid.SampledFrom([]string{"p", "q"}).Draw(t, "profile")
				if rapid.Bool().Draw(t, "defined") {
					profiles[name] = labels()
					x.SetProfile(name, profiles[name], 1)
				} else {
					delete(profiles, name)
					x.DropProfile(name)
				}
			default:
				c := chosen{Side(rapid.IntRange(0, 1).Draw(t, "side")), rapid.SampledFrom(texts).Draw(t, "selector")}
				if id, ok := selectors[c]; ok {
					x.Release(id)
					delete(selectors, c)
					for p := range matched {
						if p.sel == id {
							delete(matched, p)
						}
					}
					continue
				}
				s, err := selector.Parse(c.text)
				if err != nil {
					t.Fatal(err)
				}
				var found []ItemID
				selectors[c] = x.Add(c.side, s, func(i ItemID) { found = append(found, i) })
				for _, i := range found {
					matched[pair{selectors[c], i}] = true
				}
			}
			want := 0
			for c, id := range selectors {
				s, _ := selector.Parse(c.text)
				for i, it := range items {
					is := s.Match(full(it)) && (c.side == Members || it.subject)
					if is {
						want++
					}
					if is != matched[pair{id, i}] || is != x.Has(i, id) {
						t.Fatalf("item %d %v and %s on side %d: %t, must be %t", i, full(it), c.text, c.side, matched[pair{id, i}], is)
					}
				}
			}
			if want != len(matched) {
				t.Fatalf("%d matches, must be %d", len(matched), want)
			}
		}
		for i := range items {
			x.DropItem(i)
		}
		for name := range profiles {
			x.DropProfile(name)
		}
		for _, id := range selectors {
			x.Release(id)
		}
		if n := x.table.byText.Len() + len(x.table.keyID) + x.byName.Len() + x.byText.Len() + len(x.several) + len(x.local) + len(x.localOf); n > 0 {
			t.Fatalf("%d labels or profiles are kept of what is gone", n)
		}
	})
}
