package cases

import (
	"math"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/policy"
)

// numbered is the numbered rules that can be told from a decision, and what of them.
var numbered = []string{
	"R8 finished", "R20 several tiers", "R20 tier does not exist", "R21 equal orders", "R21 no order", "R22 tier of the other direction",
	"R24 end of tier denies", "R24 end of tier passes", "R24 staged policies only", "R24 staged beside enforced", "R25 profiles after tiers",
	"R27 no rules", "R31 untracked or pre-DNAT elsewhere", "R40 Kubernetes policy", "R46 invalid policy", "R47 cluster policy", "R50 namespace",
	"R53 end of profiles", "R54 profile is missing", "R55 Pass in a profile", "R62 namespaceSelector", "R62 serviceAccountSelector",
	"R63 selector of a namespaced policy", "R63 namespaceSelector alone", "R63 namespaceSelector and selector", "R63 global()",
	"R63 serviceAccounts names", "R63 serviceAccounts selector", "R64 notSelector alone in a namespace", "R65 notSelector alone, global",
	"R65 selector and notSelector", "R67 selector without namespaceSelector, global", "R68 shared", "R82 name without protocol",
	"R85 names, numbers and a selector", "R90 nets of the other family", "R111 host endpoint", "R120 workload endpoint", "R145 no node",
	"R145 no workload", "R145 other namespace", "R145 other node", "R145 other uid", "R145 released",
}

// numbers counts the numbered rules that played a part in a decision.
func (c *Coverage) numbers(d *decision, count func(string, ...any)) {
	number := func(is bool, what string) {
		if is {
			count("number %s", what)
		}
	}
	v, last := d.verdict, d.steps[len(d.steps)-1]
	tiers := map[string]bool{}
	for i, s := range d.steps {
		tiers[s.Tier] = tiers[s.Tier] || s.Tier != ""
		number(s.Note == "end of tier: Deny", "R24 end of tier denies")
		number(s.Note == "end of tier: Pass", "R24 end of tier passes")
		number(s.Rule < 0 && s.Tier != "" && (i == 0 || d.steps[i-1].Tier != s.Tier), "R27 no rules")
		number(s.Profile != "" && s.Matched && s.Note == "Pass", "R55 Pass in a profile")
		number(s.Note == "does not exist", "R54 profile is missing")
	}
	number(len(tiers) > 2 || len(tiers) > 1 && !tiers[""], "R20 several tiers")
	number(v.Tier != "" && !c.exists(model.Key{Kind: model.KindTier, Name: v.Tier}), "R20 tier does not exist")
	number(v.Tier == "" && len(d.tiers) > 0, "R25 profiles after tiers")
	number(strings.HasPrefix(v.Profile, "kns."), "R50 namespace")
	number(last.Note == "end of profiles: Deny", "R53 end of profiles")
	number(d.Endpoint.Kind == model.KindHostEndpoint, "R111 host endpoint")
	number(d.Endpoint.Kind == model.KindWorkloadEndpoint, "R120 workload endpoint")
	c.listed(d, number)
	if p := c.policies[v.Policy]; p != nil {
		c.decidedBy(p, d, number)
	}
	for _, s := range d.steps {
		if r := c.authoredRule(s, d.Direction); r != nil && (s.Matched || strings.HasSuffix(s.Note, "elector")) {
			authoredNumbers(c.authored[s.Policy].Key.Namespace, r, s, number)
		}
		if r := c.rule(s, d.Direction); r != nil && (s.Matched || strings.HasSuffix(s.Note, "orts")) {
			portNumbersOf(r, number)
		}
	}
}

func (c *Coverage) exists(key model.Key) bool {
	return slices.ContainsFunc(c.universe.Updates, func(o model.Update) bool { return o.Key == key })
}

// listed counts what the tiers of the endpoint show.
func (c *Coverage) listed(d *decision, number func(bool, string)) {
	for _, t := range d.tiers {
		ids, others := t.Ingress, t.Egress
		if d.Direction == model.Egress {
			ids, others = others, ids
		}
		staged := 0
		for _, id := range ids {
			if p := c.policies[id]; p != nil && p.Staged != "" {
				staged++
			}
		}
		number(len(ids) == 0 && len(others) > 0, "R22 tier of the other direction")
		number(staged > 0 && staged == len(ids), "R24 staged policies only")
		number(staged > 0 && staged < len(ids), "R24 staged beside enforced")
	}
	for _, p := range c.policies {
		applies := p.AppliesIngress && d.Direction == model.Ingress || p.AppliesEgress && d.Direction == model.Egress
		number(applies && (p.DoNotTrack || p.PreDNAT), "R31 untracked or pre-DNAT elsewhere")
	}
}

// decidedBy counts what the deciding policy shows.
func (c *Coverage) decidedBy(p *model.Policy, d *decision, number func(bool, string)) {
	for _, s := range d.steps {
		other := c.policies[s.Policy]
		number(other != nil && other != p && other.Tier == p.Tier && other.Order == p.Order, "R21 equal orders")
	}
	number(math.IsInf(p.Order, 1), "R21 no order")
	number(p.Key.Kind == model.KindKubernetesNetworkPolicy, "R40 Kubernetes policy")
	number(p.Key.Kind == model.KindClusterNetworkPolicy, "R47 cluster policy")
	number(p.Invalid != "", "R46 invalid policy")
	if a := c.authored[p.Key.String()]; a != nil {
		if s, ok := a.Spec.(*Spec); ok {
			number(s.NamespaceSelector != nil, "R62 namespaceSelector")
			number(s.ServiceAccountSelector != nil, "R62 serviceAccountSelector")
		}
	}
}

// authoredRule is the text of the rule that a step is about, or nil.
func (c *Coverage) authoredRule(s policy.Step, dir model.Direction) *Rule {
	a := c.authored[s.Policy]
	if a == nil || s.Rule < 0 || c.policies[s.Policy].Invalid != "" {
		return nil
	}
	spec, ok := a.Spec.(*Spec)
	switch {
	case !ok:
		return nil
	case dir == model.Ingress:
		return &spec.Ingress[s.Rule]
	}
	return &spec.Egress[s.Rule]
}

// authoredNumbers counts the forms of the selectors that decided.
func authoredNumbers(namespace string, r *Rule, s policy.Step, number func(bool, string)) {
	for name, e := range map[string]*Entity{"source": &r.Source, "destination": &r.Destination} {
		if !s.Matched && !strings.HasPrefix(s.Note, name) {
			continue
		}
		alone := e.Selector == nil && e.ServiceAccounts == nil && e.NamespaceSelector == nil
		number(namespace != "" && e.Selector != nil && e.NamespaceSelector == nil, "R63 selector of a namespaced policy")
		number(namespace == "" && e.Selector != nil && e.NamespaceSelector == nil, "R67 selector without namespaceSelector, global")
		number(e.NamespaceSelector != nil && e.Selector == nil, "R63 namespaceSelector alone")
		number(e.NamespaceSelector != nil && e.Selector != nil, "R63 namespaceSelector and selector")
		number(e.NamespaceSelector != nil && e.NamespaceSelector.op == "global", "R63 global()")
		number(e.ServiceAccounts != nil && e.ServiceAccounts.Names != nil, "R63 serviceAccounts names")
		number(e.ServiceAccounts != nil && e.ServiceAccounts.Selector != nil, "R63 serviceAccounts selector")
		number(e.NotSelector != nil && alone && namespace != "", "R64 notSelector alone in a namespace")
		number(e.NotSelector != nil && alone && namespace == "", "R65 notSelector alone, global")
		number(e.NotSelector != nil && !alone, "R65 selector and notSelector")
	}
}

// portNumbersOf counts the forms of ports that decided.
func portNumbersOf(r *model.Rule, number func(bool, string)) {
	for _, e := range []*model.Entity{&r.Src, &r.Dst} {
		named := slices.ContainsFunc(e.Ports, func(p model.Port) bool { return p.Name != "" })
		numbers := slices.ContainsFunc(e.Ports, func(p model.Port) bool { return p.Name == "" })
		number(named && r.Protocol == 0, "R82 name without protocol")
		number(named && numbers && e.Selector != nil, "R85 names, numbers and a selector")
	}
}
