package trace

import (
	"fmt"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Event is what happened in a step.
type Event uint8

// The events.
const (
	RuleMatched       Event = iota + 1 // Action follows; a Log goes on
	RuleFailed                         // Failed says where
	PolicyNotEnforced                  // staged
	PolicyInvalid                      // isolates its subjects
	PolicyMissing                      // the view does not know it: denied
	ProfileMissing                     // nobody defined it, or the view does not know it: denied
	EndOfTier                          // Action is the tier's default
	EndOfProfiles                      // denied
)

// Step is something that an evaluation consulted.
type Step struct {
	Tier, Policy string // Policy is an intent.Policy's ID
	Profile      string
	Event        Event
	Rule         int // the rule's index in the policy or profile; -1: not about a rule
	RuleID       intent.RuleID
	Action       model.Action
	Failed       Criterion    // RuleFailed: the first criterion that the packet failed
	Set          intent.SetID // the set that the outcome hung on, if it hung on one
	SetMissing   bool         // the view does not know that set, and the rule failed or denies for that reason
}

// String is the step in one line.
func (s Step) String() string {
	var b strings.Builder
	for _, part := range []struct{ word, name string }{{"tier", s.Tier}, {"policy", s.Policy}, {"profile", s.Profile}} {
		if part.name != "" {
			fmt.Fprintf(&b, "%s %s, ", part.word, part.name)
		}
	}
	switch s.Event {
	case RuleMatched:
		fmt.Fprintf(&b, "rule %d: matched: %v", s.Rule, s.Action)
		b.WriteString(s.set())
	case RuleFailed:
		fmt.Fprintf(&b, "rule %d: %v: no match: %v", s.Rule, s.Action, s.Failed)
		b.WriteString(s.set())
	case PolicyNotEnforced:
		b.WriteString("staged, not enforced")
	case PolicyInvalid:
		b.WriteString("invalid: Deny")
	case PolicyMissing, ProfileMissing:
		b.WriteString("missing: Deny")
	case EndOfTier:
		fmt.Fprintf(&b, "no rule matched: %v", s.Action)
	case EndOfProfiles:
		b.WriteString("end of profiles: Deny")
	}
	return b.String()
}

func (s Step) set() string {
	switch {
	case s.Set == "":
		return ""
	case s.SetMissing:
		return fmt.Sprintf(" (set %s is unknown)", s.Set)
	}
	return fmt.Sprintf(" (set %s)", s.Set)
}

// Explain is Evaluate with every step consulted, in order.
func Explain(v View, tiers []intent.Tier, profiles []string, dir model.Direction, p *model.Packet) (model.Verdict, []Step) {
	var steps []Step
	w := walk{view: v, dir: dir, packet: p, record: &steps}
	verdict := w.endpoint(tiers, profiles)
	return verdict, steps
}
