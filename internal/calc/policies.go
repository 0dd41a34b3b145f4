package calc

import (
	"slices"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/calc/policy"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// policyState is a policy and whom of the span it selects. Most select nobody of the span: they stay as they came.
type policyState struct {
	policy  *model.Policy
	nodes   *ipset.Audience // counts the endpoints that it selects; nil: none ever
	active  *ruleHolder     // nil: no node has it
	subject index.SelectorID
	normal  bool // it has a subject in the index
}

// ruleHolder is what nodes have of a policy or profile.
type ruleHolder struct {
	id    string
	sets  []intent.SetID
	nodes []string
}

// setPolicy takes in a policy of any kind.
func (c *Calc) setPolicy(key model.Key, p *model.Policy) {
	c.visited++
	s := c.policies[key]
	if s == nil {
		if p == nil {
			return
		}
		s = &policyState{}
		c.policies[key] = s
	}
	if p != nil && p.Key != key {
		renamed := *p
		renamed.Key = key
		p = &renamed
	}
	old := *s
	s.policy = p
	s.normal = p != nil && policy.Normal(p) && p.Subject != nil
	same := old.normal && s.normal && old.policy.Subject.Equal(p.Subject)
	if s.normal && !same {
		s.subject = c.index.Add(index.Subjects, p.Subject, func(id index.ItemID) { c.choose(s, id) })
		for int(s.subject) >= len(c.subjects) {
			c.subjects = append(c.subjects, nil)
		}
		c.subjects[s.subject] = append(c.subjects[s.subject], s)
	}
	if old.normal && !same {
		c.index.Each(old.subject, func(id index.ItemID) { c.unchoose(s, id) })
		c.subjects[old.subject] = slices.DeleteFunc(c.subjects[old.subject], func(o *policyState) bool { return o == s })
		c.index.Release(old.subject)
	}
	if same && listedElsewhere(old.policy, p) {
		c.index.Each(s.subject, c.touch)
	}
	switch {
	case s.active != nil || s.nodes.Any():
		c.dirtyPolicies[key] = struct{}{}
	case p == nil:
		delete(c.policies, key)
	}
}

// listedElsewhere tells whether a change of a policy changes its place in the lists of the endpoints that it selects.
func listedElsewhere(a, b *model.Policy) bool {
	return a.Tier != b.Tier || a.Order != b.Order || a.AppliesIngress != b.AppliesIngress || a.AppliesEgress != b.AppliesEgress
}

// choose notes that a policy selects one more endpoint.
func (c *Calc) choose(s *policyState, id index.ItemID) {
	if s.nodes == nil {
		s.nodes = &ipset.Audience{}
	}
	if s.nodes.Add(c.items[id].node) {
		c.dirtyPolicies[s.policy.Key] = struct{}{}
	}
	c.touch(id)
}

// unchoose notes that it selects one less.
func (c *Calc) unchoose(s *policyState, id index.ItemID) {
	if s.nodes.Remove(c.items[id].node) && s.policy != nil {
		c.dirtyPolicies[s.policy.Key] = struct{}{}
	}
	c.touch(id)
}

func (c *Calc) setTier(name string, t *model.Tier) {
	c.visited++
	old := c.tiers[name]
	set(c.tiers, name, t)
	if old != nil && t != nil && *old == *t {
		return
	}
	for ref := range c.local {
		if c.out.lists(ref, name) {
			c.dirtyEndpoints[ref] = struct{}{}
		}
	}
}

// flushPolicies compiles the policies that changed and moves their sets.
func (c *Calc) flushPolicies() {
	for key := range c.dirtyPolicies {
		s := c.policies[key]
		if s == nil {
			continue
		}
		c.visited++
		nodes := s.nodes.Nodes()
		if s.policy == nil || len(nodes) == 0 {
			if s.active != nil {
				c.hold(s.active, nil, nil)
				c.out.removeRef(intent.Ref{Kind: intent.KindPolicy, ID: s.active.id})
				s.active = nil
			}
			if s.policy == nil {
				delete(c.policies, key)
			}
			continue
		}
		specs := policy.Specs{}
		o := policy.Compile(s.policy, specs)
		c.visited += uint64(len(o.Ingress) + len(o.Egress))
		if s.active == nil {
			s.active = &ruleHolder{id: o.ID}
		}
		c.hold(s.active, specs, nodes)
		c.out.put(o, nodes)
	}
	clear(c.dirtyPolicies)
}

// hold makes a policy or profile refer to other sets, for other nodes. What it keeps is acquired before the old is
// released.
func (c *Calc) hold(h *ruleHolder, specs policy.Specs, nodes []string) {
	ids := make([]intent.SetID, 0, len(specs))
	for id := range specs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if slices.Equal(ids, h.sets) && slices.Equal(nodes, h.nodes) {
		return
	}
	for _, id := range ids {
		c.sets.Acquire(id, specs[id], nodes)
	}
	for _, id := range h.sets {
		c.sets.Release(id, h.nodes)
	}
	h.sets, h.nodes = ids, nodes
}
