package trace

import (
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Evaluate is what an endpoint with these tiers and profiles makes of a flow's first packet (R20 to R25, R53 to R55).
// It allocates nothing.
//
// On what the view does not know it fails closed: nothing that is unknown turns a denied packet into an allowed one. A
// missing policy or profile denies where it stands (rule -1). Where a missing set alone decides whether a rule matches,
// an Allow does not match, a Deny does, and a Pass denies, since both going on and passing on could allow.
func Evaluate(v View, tiers []intent.Tier, profiles []string, dir model.Direction, p *model.Packet) model.Verdict {
	w := walk{view: v, dir: dir, packet: p}
	return w.endpoint(tiers, profiles)
}

// walk is one evaluation. With record set it writes down its steps. With staged set it judges as if that staged policy
// had taken effect.
type walk struct {
	view   View
	dir    model.Direction
	packet *model.Packet
	staged *intent.Policy
	record *[]Step
}

func (w *walk) endpoint(tiers []intent.Tier, profiles []string) model.Verdict {
	for i := range tiers {
		if verdict, decided := w.tier(&tiers[i]); decided {
			return verdict
		}
	}
	return w.profiles(profiles)
}

// tier asks the enforced policies of a tier; without one it is absent (R22, R24).
func (w *walk) tier(t *intent.Tier) (verdict model.Verdict, decided bool) {
	ids := t.Ingress
	if w.dir == model.Egress {
		ids = t.Egress
	}
	counted := false
	for _, id := range ids {
		p := w.view.Policy(id)
		if p == nil {
			w.note(Step{Tier: t.Name, Policy: id, Rule: -1, Event: PolicyMissing})
			return model.Verdict{Tier: t.Name, Policy: id, Rule: -1}, true
		}
		if !w.enforced(p) {
			w.note(Step{Tier: t.Name, Policy: id, Rule: -1, Event: PolicyNotEnforced})
			continue
		}
		counted = true
		action, rule := w.policy(t, p)
		switch action {
		case model.Pass:
			return model.Verdict{}, false
		case model.Allow, model.Deny:
			return model.Verdict{Allowed: action == model.Allow, Tier: t.Name, Policy: id, Rule: rule}, true
		}
	}
	switch {
	case !counted:
		return model.Verdict{}, false
	case t.DefaultAction == model.Pass:
		w.note(Step{Tier: t.Name, Rule: -1, Event: EndOfTier, Action: model.Pass})
		return model.Verdict{}, false
	}
	w.note(Step{Tier: t.Name, Rule: -1, Event: EndOfTier, Action: model.Deny})
	return model.Verdict{Tier: t.Name, Rule: -1}, true
}

// policy gives the action and index of the deciding rule, or Log. An invalid policy is one Deny.
func (w *walk) policy(t *intent.Tier, p *intent.Policy) (model.Action, int) {
	if p.Invalid != "" {
		w.note(Step{Tier: t.Name, Policy: p.ID, Rule: 0, Event: PolicyInvalid, Action: model.Deny})
		return model.Deny, 0
	}
	rules := p.Ingress
	if w.dir == model.Egress {
		rules = p.Egress
	}
	return w.rules(Step{Tier: t.Name, Policy: p.ID}, rules)
}

// profiles: the first Allow or Deny decides, Pass ends one profile only (R55), at the end is a drop (R53).
func (w *walk) profiles(names []string) model.Verdict {
	for _, name := range names {
		p := w.view.Profile(name)
		if p == nil {
			w.note(Step{Profile: name, Rule: -1, Event: ProfileMissing})
			return model.Verdict{Profile: name, Rule: -1}
		}
		if p.Missing { // R54
			w.note(Step{Profile: name, Rule: 0, Event: ProfileMissing})
			return model.Verdict{Profile: name, Rule: 0}
		}
		rules := p.Ingress
		if w.dir == model.Egress {
			rules = p.Egress
		}
		if action, rule := w.rules(Step{Profile: name}, rules); action == model.Allow || action == model.Deny {
			return model.Verdict{Allowed: action == model.Allow, Profile: name, Rule: rule}
		}
	}
	w.note(Step{Rule: -1, Event: EndOfProfiles})
	return model.Verdict{Rule: -1}
}

// rules gives the action and index of the first rule that matches and is no Log (R23), else Log and -1. An action that
// is none of the four denies. The index is the rule's own, which the author knows.
func (w *walk) rules(where Step, rules []intent.Rule) (model.Action, int) {
	for i := range rules {
		r := &rules[i]
		action := r.Action
		if action > model.Log {
			action = model.Deny
		}
		m := match{view: w.view, assume: action == model.Deny || action == model.Pass}
		failed := m.rule(r, w.packet)
		if failed.criterion == CriterionNone && failed.set != "" {
			action = model.Deny
		}
		if w.record != nil {
			w.noteRule(where, r, action, failed)
		}
		if failed.criterion == CriterionNone && action != model.Log {
			return action, r.Index
		}
	}
	return model.Log, -1
}

func (w *walk) note(s Step) {
	if w.record != nil {
		*w.record = append(*w.record, s)
	}
}

func (w *walk) noteRule(where Step, r *intent.Rule, action model.Action, failed failure) {
	where.Rule, where.RuleID, where.Action = r.Index, r.ID, action
	where.Event, where.Failed, where.Set = RuleMatched, failed.criterion, failed.set
	if failed.criterion != CriterionNone {
		where.Event = RuleFailed
	}
	where.SetMissing = failed.set != "" && w.view.Set(failed.set) == nil
	*w.record = append(*w.record, where)
}
