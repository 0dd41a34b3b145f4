package policy

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/model"
)

// TestCompareIsThatOfTheJoinedText: R21 orders policies of one order by the text "name/namespace/kind".
func TestCompareIsThatOfTheJoinedText(t *testing.T) {
	part := rapid.StringMatching(`[ab\-./]{0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) *model.Policy {
			return &model.Policy{Order: math.Inf(1), Key: model.Key{
				Kind: model.Kind(part.Draw(t, label)), Namespace: part.Draw(t, label), Name: part.Draw(t, label),
			}}
		}
		a, b := draw("a"), draw("b")
		text := func(p *model.Policy) string { return p.Key.Name + "/" + p.Key.Namespace + "/" + string(p.Key.Kind) }
		if got, want := Compare(a, b), strings.Compare(text(a), text(b)); got != want {
			t.Fatalf("%q to %q: %d, want %d", text(a), text(b), got, want)
		}
	})
}
