package proof

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tortie-net/tortie/internal/convert"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
	"github.com/tortie-net/tortie/internal/policy"
)

// TestConvertEqualsMeaning: a policy as its author writes it, stored, read and converted, says what the specification
// makes of the same text (R26, R28, R40 to R45, R62 to R65): the same fields, and on every packet the same verdict.
func TestConvertEqualsMeaning(t *testing.T) {
	seed, packets := setting(t, "TORTIE_PROOF_SEED", 1), setting(t, "TORTIE_PROOF_CASES", standard)/4
	policies, wrong, failed := 0, 0, 0
	for done := uint64(0); done < packets && failed < 3; seed++ {
		u := cases.Generate(seed, sizeOf(seed))
		converted := map[model.Key]*model.Policy{}
		for _, p := range u.Authored {
			m, err := convertAuthored(t, p)
			converted[p.Key] = m
			policies++
			if err != nil {
				wrong++
			}
		}
		objects := make([]model.Update, len(u.Updates))
		for i, o := range u.Updates {
			objects[i] = o
			if m := converted[o.Key]; m != nil {
				objects[i].Value = m
				diff := gocmp.Diff(outline(o.Value.(*model.Policy)), outline(m), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}))
				if diff != "" {
					failed++
					t.Errorf("TORTIE_PROOF_SEED=%d: %v differs (- meaning, + convert): %s", seed, o.Key, diff)
				}
			}
		}
		spec, conversion := policy.New(u.Updates), policy.New(objects)
		for _, p := range u.Packets(perUniverse) {
			done++
			want, steps := spec.Trace(p.Endpoint, p.Direction, p.Packet)
			if got := conversion.Verdict(p.Endpoint, p.Direction, p.Packet); got != want {
				failed++
				t.Errorf("TORTIE_PROOF_SEED=%d: %v\nby the specification: %s\nas converted:         %s\n%s", seed, p, say(want), say(got), explain(steps, nil))
				break
			}
		}
	}
	if failed == 0 && (policies < 50 || wrong < 5) {
		t.Errorf("%d policies were converted, %d of them wrong ones: too few to prove anything", policies, wrong)
	}
}

// outline is a policy without the text of its selectors, which may be written in several ways, and without the words in
// which a wrong one is refused: what they mean shows in the verdicts. Lists of ports are what they have in them, since
// ranges may have been joined (R42).
func outline(p *model.Policy) map[string]any {
	rest := *p
	rest.Subject, rest.Invalid, rest.Ingress, rest.Egress = nil, "", nil, nil
	out := map[string]any{"policy": rest, "invalid": p.Invalid != ""}
	if p.Invalid != "" { // the law does not look at its rules
		return out
	}
	entity := func(e *model.Entity) map[string]any {
		return map[string]any{
			"nets": e.Nets, "notNets": e.NotNets, "selector": e.Selector != nil, "notSelector": e.NotSelector != nil,
			"ports": portSet(e.Ports), "notPorts": portSet(e.NotPorts), "service": e.Service,
		}
	}
	rules := func(list []model.Rule) (all []any) {
		for i := range list {
			r := list[i]
			src, dst := entity(&r.Src), entity(&r.Dst)
			r.Src, r.Dst = model.Entity{}, model.Entity{}
			all = append(all, map[string]any{"rule": r, "source": src, "destination": dst})
		}
		return all
	}
	if p.AppliesIngress {
		out["ingress"] = rules(p.Ingress)
	}
	if p.AppliesEgress {
		out["egress"] = rules(p.Egress)
	}
	return out
}

// portSet is a list of ports as the fewest ranges and, behind them, the names, each once.
func portSet(list []model.Port) []model.Port {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b model.Port) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max))
	})
	var out []model.Port
	for _, p := range sorted {
		if n := len(out); n > 0 && out[n-1].Name == p.Name && (p.Name != "" || int(p.Min) <= int(out[n-1].Max)+1) {
			out[n-1].Max = max(out[n-1].Max, p.Max)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// convertAuthored stores, reads and converts one policy. The error is that of a policy that has something wrong.
func convertAuthored(t testing.TB, p *cases.Policy) (*model.Policy, error) {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	object, err := convert.Decode(p.Key, raw)
	if err != nil {
		t.Fatalf("decode %s: %v", raw, err)
	}
	value, err := convert.Model(p.Key, object)
	m, ok := value.(*model.Policy)
	if !ok {
		t.Fatalf("convert %s: %T, %v", raw, value, err)
	}
	if (err != nil) != (m.Invalid != "") && p.Key.Kind != model.KindKubernetesNetworkPolicy {
		t.Errorf("convert %s: error %v, but Invalid %q", raw, err, m.Invalid)
	}
	return m, err
}
