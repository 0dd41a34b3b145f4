package proof

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/intent/trace"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
	"github.com/tortie-net/tortie/internal/policy"
)

// perUniverse is how many packets one cluster gets.
const perUniverse = 200

// setting is a number from the environment.
func setting(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestPolicyEqualsTrace: on every packet the law and the node's evaluator give the same verdict for the same reason,
// whether calc saw all objects at once or through a history of changes.
func TestPolicyEqualsTrace(t *testing.T) {
	seed, packets := setting(t, "TORTIE_PROOF_SEED", 1), setting(t, "TORTIE_PROOF_CASES", 20_000)
	coverage := cases.NewCoverage()
	start, done, failed := time.Now(), uint64(0), 0
	for ; done < packets && failed < 3; seed++ {
		u := cases.Generate(seed, sizeOf(seed))
		probes := u.Packets(perUniverse)
		done += uint64(len(probes))
		d, h := compare(u, u.Updates, atOnce, probes, coverage), history(atOnce)
		if d == nil {
			d, h = compare(u, u.Updates, changing, probes, nil), changing
		}
		if d != nil {
			failed++
			t.Errorf("TORTIE_PROOF_SEED=%d: the evaluators disagree, %s", seed, h.report(u, d))
		}
	}
	took := time.Since(start)
	t.Logf("%d packets of seeds up to %d in %v: %.0f per second", done, seed-1, took.Round(time.Millisecond), float64(done)/took.Seconds())
	t.Logf("what decided:\n%s", coverage)
	if done >= 20_000 && failed == 0 {
		for _, lack := range coverage.Lacks(50) {
			t.Errorf("not tried enough: %s", lack)
		}
	}
}

// sizeOf makes every tenth cluster a large one.
func sizeOf(seed uint64) cases.Size {
	if seed%10 == 0 {
		return cases.Large
	}
	return cases.Small
}

// history is a way to tell calc of objects.
type history func(n *node, u *cases.Universe, objects []model.Update)

// atOnce gives all in one.
func atOnce(n *node, _ *cases.Universe, objects []model.Update) { n.apply(objects...) }

// changing gives the objects in a random order, split at random, some of them first as other objects of their kind are,
// some removed and given again, so that only the last values are those of the universe.
func changing(n *node, u *cases.Universe, objects []model.Update) {
	r := rand.New(rand.NewPCG(u.Seed, 0x686973746f7279))
	byKind := map[model.Kind][]model.Update{}
	for _, o := range objects {
		byKind[o.Key.Kind] = append(byKind[o.Key.Kind], o)
	}
	var steps []model.Update
	for _, i := range r.Perm(len(objects)) {
		for range r.IntN(3) {
			before := model.Update{Key: objects[i].Key}
			if r.IntN(3) > 0 {
				before.Value = disguised(byKind[before.Key.Kind][r.IntN(len(byKind[before.Key.Kind]))].Value, objects[i].Value)
			}
			steps = append(steps, before)
		}
	}
	r.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, i := range r.Perm(len(objects)) {
		steps = append(steps, objects[i])
	}
	for len(steps) > 0 {
		k := min(len(steps), 1+r.IntN(1+r.IntN(12)))
		n.apply(steps[:k]...)
		steps = steps[k:]
	}
}

// disguised is another object's value with the identity of self, as if self had been like the other before.
func disguised(other, self any) any {
	switch o := other.(type) {
	case *model.WorkloadEndpoint:
		c := *o
		c.ID, c.UID = self.(*model.WorkloadEndpoint).ID, self.(*model.WorkloadEndpoint).UID
		return &c
	case *model.HostEndpoint:
		c := *o
		c.Name = self.(*model.HostEndpoint).Name
		return &c
	case *model.NetworkSet:
		c := *o
		c.Key = self.(*model.NetworkSet).Key
		return &c
	case *model.Policy:
		c := *o
		c.Key = self.(*model.Policy).Key
		return &c
	case *model.Tier:
		c := *o
		c.Name = self.(*model.Tier).Name
		return &c
	case *model.Profile:
		c := *o
		c.Name = self.(*model.Profile).Name
		return &c
	case *model.Namespace:
		c := *o
		c.Name = self.(*model.Namespace).Name
		return &c
	case *model.EndpointSlice:
		c := *o
		c.Namespace, c.Name = self.(*model.EndpointSlice).Namespace, self.(*model.EndpointSlice).Name
		return &c
	}
	return self
}

// disagreement is a packet of which the evaluators say different things.
type disagreement struct {
	probe      cases.Probe
	law, trace model.Verdict
	steps      string
}

func (d *disagreement) Error() string {
	return fmt.Sprintf("%v\nlaw:   %s\ntrace: %s\n%s", d.probe, say(d.law), say(d.trace), d.steps)
}

func say(v model.Verdict) string {
	return fmt.Sprintf("allowed %t, tier %q, policy %q, profile %q, rule %d", v.Allowed, v.Tier, v.Policy, v.Profile, v.Rule)
}

// compare asks both evaluators about every probe. The first disagreement is the answer.
func compare(u *cases.Universe, objects []model.Update, h history, probes []cases.Probe, coverage *cases.Coverage) *disagreement {
	n, law := newNode(), policy.New(objects)
	h(n, u, objects)
	local := map[model.Key]cases.Endpoint{}
	for _, e := range u.Local {
		local[e.Key] = e
	}
	there := map[model.Key]bool{}
	for _, o := range objects {
		there[o.Key] = true
	}
	coverage.Universe(u)
	for _, p := range probes {
		if !there[p.Endpoint] {
			continue
		}
		want, steps := law.Trace(p.Endpoint, p.Direction, p.Packet)
		tiers, profiles, err := n.endpoint(local[p.Endpoint])
		if err != nil {
			return &disagreement{probe: p, law: want, steps: err.Error()}
		}
		got := trace.Evaluate(n.view, tiers, profiles, p.Direction, &p.Packet)
		if got != want {
			_, theirs := trace.Explain(n.view, tiers, profiles, p.Direction, &p.Packet)
			return &disagreement{p, want, got, explain(steps, theirs)}
		}
		coverage.Add(p, want, steps, tiers)
	}
	return nil
}

func explain(law []policy.Step, theirs []trace.Step) string {
	var b strings.Builder
	for _, s := range law {
		fmt.Fprintf(&b, "  law:   %+v\n", s)
	}
	for _, s := range theirs {
		fmt.Fprintf(&b, "  trace: %v\n", s)
	}
	return b.String()
}

// report is the fewest objects that still show a disagreement.
func (h history) report(u *cases.Universe, d *disagreement) string {
	objects := u.Updates
	for smaller := true; smaller; {
		smaller = false
		for i := 0; i < len(objects); i++ {
			fewer := append(append([]model.Update(nil), objects[:i]...), objects[i+1:]...)
			if next := compare(u, fewer, h, []cases.Probe{d.probe}, nil); next != nil {
				objects, d, smaller = fewer, next, true
				i--
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "with these %d objects alone:\n", len(objects))
	for _, o := range objects {
		fmt.Fprintf(&b, "  %v: %s\n", o.Key, describe(o.Value))
	}
	fmt.Fprintf(&b, "%v", d)
	return b.String()
}
