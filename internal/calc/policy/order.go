package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Normal tells whether a policy is of the ordinary lists of endpoints: those for untracked and pre-DNAT traffic have
// lists of their own (R31). One with applyOnForward alone is in the ordinary ones too (R111).
func Normal(p *model.Policy) bool { return !p.DoNotTrack && !p.PreDNAT }

// Listed is a policy with its ID as text, which callers have at hand.
type Listed struct {
	*model.Policy
	ID string
}

// Tiers sorts the policies that select an endpoint into tiers, in the order of evaluation. A tier that nobody has
// defined comes after all that exist and denies (R20).
func Tiers(policies []Listed, defined func(name string) *model.Tier) []intent.Tier {
	if len(policies) == 0 {
		return nil
	}
	slices.SortFunc(policies, func(a, b Listed) int { return Compare(a.Policy, b.Policy) })
	byName := map[string]int{}
	var tiers []intent.Tier
	var orders []*model.Tier
	for _, p := range policies {
		i, ok := byName[p.Tier]
		if !ok {
			i = len(tiers)
			byName[p.Tier] = i
			t := defined(p.Tier)
			orders = append(orders, t)
			tiers = append(tiers, intent.Tier{Name: p.Tier, DefaultAction: model.Deny})
			if t != nil && t.DefaultAction == model.Pass {
				tiers[i].DefaultAction = model.Pass
			}
		}
		if p.AppliesIngress {
			tiers[i].Ingress = append(tiers[i].Ingress, p.ID)
		}
		if p.AppliesEgress {
			tiers[i].Egress = append(tiers[i].Egress, p.ID)
		}
	}
	slices.SortFunc(tiers, func(a, b intent.Tier) int {
		return compareTiers(a.Name, b.Name, orders[byName[a.Name]], orders[byName[b.Name]])
	})
	return tiers
}

// compareTiers orders tiers by existence, order, name (R20).
func compareTiers(aName, bName string, a, b *model.Tier) int {
	switch {
	case a != nil && b == nil:
		return -1
	case a == nil && b != nil:
		return 1
	case a != nil && b != nil && a.Order != b.Order:
		return cmp.Compare(a.Order, b.Order)
	}
	return strings.Compare(aName, bName)
}

// Compare orders the policies of a tier by order, then by the text "name/namespace/kind" (R21).
func Compare(a, b *model.Policy) int {
	if c := cmp.Compare(a.Order, b.Order); c != 0 {
		return c
	}
	return compareJoined(
		[5]string{a.Key.Name, "/", a.Key.Namespace, "/", string(a.Key.Kind)},
		[5]string{b.Key.Name, "/", b.Key.Namespace, "/", string(b.Key.Kind)},
	)
}

// compareJoined compares two texts given in parts, without joining them: thousands of policies of one order are sorted
// for each endpoint.
func compareJoined(a, b [5]string) int {
	i, j := 0, 0
	for {
		for i < len(a) && a[i] == "" {
			i++
		}
		for j < len(b) && b[j] == "" {
			j++
		}
		if i == len(a) || j == len(b) {
			return cmp.Compare(len(a)-i, len(b)-j)
		}
		n := min(len(a[i]), len(b[j]))
		if c := strings.Compare(a[i][:n], b[j][:n]); c != 0 {
			return c
		}
		a[i], b[j] = a[i][n:], b[j][n:]
	}
}
