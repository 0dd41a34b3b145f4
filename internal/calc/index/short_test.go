package index

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/selector"
)

// TestShortIsTheSameSelector: what can be shortened comes back as it was.
func TestShortIsTheSameSelector(t *testing.T) {
	key := rapid.StringMatching(`(projectcalico\.org/|pcns\.)?[a-zA-Z0-9._/-]{1,8}`)
	value := rapid.StringOf(rapid.RuneFrom([]rune("ab \\'\"(){}!&|\x01\x02é")))
	shortened := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSelector(t, key, value, rapid.IntRange(0, 4).Draw(t, "depth"))
		short, ok := Shorten(s.String())
		if !ok {
			return
		}
		shortened++
		got, err := selector.Parse(Lengthen(short))
		if err != nil || !got.Equal(s) {
			t.Fatalf("%s became %v (%v)", s, got, err)
		}
	})
	if shortened < 20 {
		t.Fatalf("only %d selectors could be shortened", shortened)
	}
}

func drawSelector(t *rapid.T, key, value *rapid.Generator[string], depth int) *selector.Selector {
	sub := func() *selector.Selector { return drawSelector(t, key, value, depth-1) }
	if depth > 0 {
		switch rapid.IntRange(0, 3).Draw(t, "operation") {
		case 0:
			return selector.Not(sub())
		case 1:
			return selector.And(sub(), sub())
		case 2:
			return selector.Or(sub(), sub())
		}
	}
	k, values := key.Draw(t, "key"), rapid.SliceOfN(value, 0, 3).Draw(t, "values")
	switch rapid.IntRange(0, 3).Draw(t, "leaf") {
	case 0:
		return selector.All()
	case 1:
		return selector.Has(k)
	case 2:
		return selector.NotIn(k, values...)
	}
	return selector.In(k, values...)
}
