package proof

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent/trace"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
	"github.com/tortie-net/tortie/internal/policy"
)

// perUniverse is how many packets one cluster gets.
const perUniverse = 100

// standard is how many packets a run tries unless it is told otherwise.
const standard = 50_000

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
	seed, packets := setting(t, "TORTIE_PROOF_SEED", 1), setting(t, "TORTIE_PROOF_CASES", standard)
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
	if done >= standard && failed == 0 && os.Getenv("TORTIE_PROOF_SEED") == "" { // a run that looks for one case need not try all
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
	n, law := newNode(calc.Span{Node: cases.Node}), policy.New(objects)
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
