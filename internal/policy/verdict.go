package policy

import (
	"cmp"
	"math"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
)

// undecided is the verdict when nothing named decided.
func undecided(allowed bool) model.Verdict { return model.Verdict{Allowed: allowed, Rule: -1} }

// Verdict is what the endpoint stored under key makes of a flow's first packet (R1): the tiers in order, then the
// profiles, then a drop. The key is that of a Pod, WorkloadEndpoint or HostEndpoint; for the latter it is the verdict
// on the host's own traffic (R111) without failsafe ports, which are configuration. A key that no endpoint has gives a
// drop (R4).
func (c *Cluster) Verdict(key model.Key, dir model.Direction, p model.Packet) model.Verdict {
	verdict, _ := c.Trace(key, dir, p)
	return verdict
}

// Trace is Verdict with the steps that led to it, in order.
func (c *Cluster) Trace(key model.Key, dir model.Direction, p model.Packet) (model.Verdict, []Step) {
	e, ok := c.endpoint(key)
	if !ok {
		return undecided(false), []Step{{Rule: -1, Note: "no endpoint " + key.String()}}
	}
	t := &tracing{cluster: c, dir: dir, packet: p}
	if verdict, decided := t.tiers(c.tiersOf(e, dir)); decided {
		return verdict, t.steps
	}
	return t.profiles(e.profiles), t.steps
}

// Step is something that an evaluation looked at.
type Step struct {
	Tier    string
	Policy  string // Key.String()
	Profile string
	Rule    int    // -1: not about a rule
	Matched bool   // the rule matched
	Note    string // the action, the criterion that the packet failed, or what ended the tier
}

// tier is a tier and the enforced policies in it that apply to one endpoint and direction, in order. It is not empty.
type tier struct {
	model.Tier
	missing  bool
	policies []*model.Policy
}

// tiersOf is the tiers that count for an endpoint and direction (R22), in order (R20).
func (c *Cluster) tiersOf(e endpoint, dir model.Direction) []tier {
	var tiers []tier
	for _, o := range c.objects {
		p, ok := o.Value.(*model.Policy)
		if !ok || !applies(p, e, dir) {
			continue
		}
		i := slices.IndexFunc(tiers, func(t tier) bool { return t.Name == p.Tier })
		if i < 0 {
			i = len(tiers)
			tiers = append(tiers, c.tier(p.Tier))
		}
		tiers[i].policies = append(tiers[i].policies, p)
	}
	slices.SortStableFunc(tiers, compareTiers)
	for _, t := range tiers {
		slices.SortStableFunc(t.policies, comparePolicies)
	}
	return tiers
}

// applies tells whether a policy is enforced (R24: a staged one is not), of the normal kind (R31), has the direction
// among its types (R22) and selects the endpoint (R28, R62).
func applies(p *model.Policy, e endpoint, dir model.Direction) bool {
	inTypes := p.AppliesIngress
	if dir == model.Egress {
		inTypes = p.AppliesEgress
	}
	return p.Staged == "" && !p.DoNotTrack && !p.PreDNAT && inTypes && p.Subject.Match(e)
}

// tier is the tier of that name; one that does not exist ends with Deny (R20).
func (c *Cluster) tier(name string) tier {
	if t, ok := c.byKey[model.Key{Kind: model.KindTier, Name: name}].(*model.Tier); ok {
		return tier{Tier: *t}
	}
	return tier{Tier: model.Tier{Name: name, Order: math.Inf(1), DefaultAction: model.Deny}, missing: true}
}

// compareTiers: existing ones first, then by order, unset last, then by name (R20).
func compareTiers(a, b tier) int {
	if a.missing != b.missing {
		if b.missing {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Name, b.Name))
}

// comparePolicies: by order, unset last, then by the text "name/namespace/kind" (R21).
func comparePolicies(a, b *model.Policy) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(orderText(a.Key), orderText(b.Key)))
}

func orderText(k model.Key) string { return k.Name + "/" + k.Namespace + "/" + string(k.Kind) }

// tracing is one evaluation.
type tracing struct {
	cluster *Cluster
	dir     model.Direction
	packet  model.Packet
	steps   []Step
}

// tiers asks one tier after the other; undecided, the profiles come next (R25).
func (t *tracing) tiers(tiers []tier) (model.Verdict, bool) {
	for _, tier := range tiers {
		if verdict, decided := t.tier(tier); decided {
			return verdict, true
		}
	}
	return model.Verdict{}, false
}

// tier asks the policies of one tier in order: the first rule that matches and is no Log decides (R23); without one the
// tier's default action does, and only Pass lets the packet go on (R24).
func (t *tracing) tier(tier tier) (model.Verdict, bool) {
	for _, p := range tier.policies {
		name := p.Key.String()
		action, rule := t.rules(Step{Tier: tier.Name, Policy: name}, rulesOf(p, t.dir))
		switch action {
		case model.Pass:
			return model.Verdict{}, false
		case model.Allow, model.Deny:
			return model.Verdict{Allowed: action == model.Allow, Tier: tier.Name, Policy: name, Rule: rule}, true
		}
	}
	end := Step{Tier: tier.Name, Rule: -1, Note: "end of tier: " + tier.DefaultAction.String()}
	t.steps = append(t.steps, end)
	if tier.DefaultAction == model.Pass {
		return model.Verdict{}, false
	}
	return model.Verdict{Tier: tier.Name, Rule: -1}, true
}

// rulesOf is a policy's rules of one direction; those of an invalid policy are one Deny (model.Policy.Invalid).
func rulesOf(p *model.Policy, dir model.Direction) []model.Rule {
	switch {
	case p.Invalid != "":
		return []model.Rule{{Action: model.Deny}}
	case dir == model.Ingress:
		return p.Ingress
	}
	return p.Egress
}

// profiles asks one profile after the other: the first that allows or denies decides, Pass ends one profile only
// (R55), at the end is a drop (R53). A profile that does not exist denies (R54).
func (t *tracing) profiles(names []string) model.Verdict {
	for _, name := range names {
		rules := []model.Rule{{Action: model.Deny}}
		if p := t.cluster.profiles[name]; p == nil {
			t.steps = append(t.steps, Step{Profile: name, Rule: -1, Note: "does not exist"})
		} else if t.dir == model.Ingress {
			rules = p.Ingress
		} else {
			rules = p.Egress
		}
		action, rule := t.rules(Step{Profile: name}, rules)
		if action == model.Allow || action == model.Deny {
			return model.Verdict{Allowed: action == model.Allow, Profile: name, Rule: rule}
		}
	}
	t.steps = append(t.steps, Step{Rule: -1, Note: "end of profiles: Deny"})
	return undecided(false)
}

// rules gives the action and index of the first rule that matches and is no Log (R23), else Log and -1. An action that
// is none of the four denies.
func (t *tracing) rules(where Step, rules []model.Rule) (model.Action, int) {
	for i := range rules {
		step := where
		step.Rule = i
		failed := t.cluster.mismatch(&rules[i], t.packet)
		step.Matched = failed == ""
		step.Note = failed
		action := rules[i].Action
		if step.Matched {
			step.Note = action.String()
		}
		t.steps = append(t.steps, step)
		switch {
		case !step.Matched || action == model.Log:
		case action == model.Allow || action == model.Pass:
			return action, i
		default:
			return model.Deny, i
		}
	}
	return model.Log, -1
}
