package calc

import (
	"slices"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/calc/policy"
	"github.com/tortie-net/tortie/internal/calc/slab"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// policies is every policy by number.
type policies struct {
	hash   slab.Hash
	byKey  slab.Table
	states slab.Of[policyState]
	heads  []uint32 // by index.SelectorID: one more than the first of the policies with this subject; 0: none
}

// policyState is a policy and whom of the span it selects. Most select nobody of the span: they are packed, and live is
// nil.
type policyState struct {
	packed     policy.Packed
	live       *livePolicy
	subject    index.SelectorID
	next, prev uint32 // one more than the others with this subject; 0: none
	normal     bool   // it has a subject in the index
}

// livePolicy is one that selects somebody, that a node has, or that cannot be packed.
type livePolicy struct {
	key    model.Key
	policy *model.Policy  // nil: gone, but nodes still have it
	nodes  ipset.Audience // counts the endpoints that it selects
	active *ruleHolder    // nil: no node has it
}

// ruleHolder is what nodes have of a policy or profile.
type ruleHolder struct {
	id    string
	sets  []intent.SetID
	nodes []string
}

func (p *policies) hashOf(key model.Key) uint64 {
	return slab.Join(p.hash.Pair(key.Namespace, key.Name), p.hash.String(string(key.Kind)))
}

func (p *policies) find(key model.Key) (uint32, bool) {
	return p.byKey.Find(p.hashOf(key), func(id uint32) bool {
		if s := p.states.At(id); s.live == nil {
			return s.packed.Is(key)
		} else {
			return s.live.key == key
		}
	})
}

func (p *policies) enter(key model.Key) uint32 {
	id := p.states.New()
	p.states.At(id).live = &livePolicy{key: key}
	p.byKey.Insert(p.hashOf(key), id)
	return id
}

func (p *policies) leave(key model.Key, id uint32) {
	p.byKey.Remove(p.hashOf(key), id)
	p.states.Free(id)
}

// link files a policy under its subject.
func (p *policies) link(id uint32) {
	s := p.states.At(id)
	for int(s.subject) >= len(p.heads) {
		p.heads = append(p.heads, 0)
	}
	s.next = p.heads[s.subject]
	if s.next != 0 {
		p.states.At(s.next - 1).prev = id + 1
	}
	p.heads[s.subject] = id + 1
}

// unlink undoes link.
func (p *policies) unlink(id uint32) {
	s := p.states.At(id)
	if s.next != 0 {
		p.states.At(s.next - 1).prev = s.prev
	}
	if s.prev != 0 {
		p.states.At(s.prev - 1).next = s.next
	} else {
		p.heads[s.subject] = s.next
	}
	s.next, s.prev = 0, 0
}

// with calls f for each policy with a subject.
func (p *policies) with(subject index.SelectorID, f func(id uint32)) {
	if int(subject) >= len(p.heads) {
		return
	}
	for at := p.heads[subject]; at != 0; at = p.states.At(at - 1).next {
		f(at - 1)
	}
}

// wake is a policy at hand.
func (c *Calc) wake(s *policyState) *livePolicy {
	if s.live == nil {
		p := s.packed.Unpack(c.index.Selector(s.subject))
		s.live, s.packed = &livePolicy{key: p.Key, policy: p}, ""
	}
	return s.live
}

// rest packs a policy that selects nobody and that no node has, or forgets it if it is gone.
func (c *Calc) rest(id uint32) {
	s := c.policies.states.At(id)
	l := s.live
	switch {
	case l == nil || l.active != nil || l.nodes.Any():
	case l.policy == nil:
		c.policies.leave(l.key, id)
	case s.normal:
		if packed, ok := policy.Pack(l.policy); ok {
			s.live, s.packed = nil, packed
		}
	}
}

// setPolicy takes in a policy of any kind.
func (c *Calc) setPolicy(key model.Key, p *model.Policy) {
	c.visited++
	id, known := c.policies.find(key)
	if !known {
		if p == nil {
			return
		}
		id = c.policies.enter(key)
	}
	if p != nil && p.Key != key {
		renamed := *p
		renamed.Key = key
		p = &renamed
	}
	s := c.policies.states.At(id)
	if s.live == nil {
		s.live, s.packed = &livePolicy{key: key}, ""
	}
	was, wasNormal, wasSubject := s.live.policy, s.normal, s.subject
	s.live.policy = p
	s.normal = p != nil && policy.Normal(p) && p.Subject != nil
	same := wasNormal && s.normal && c.index.Text(wasSubject) == p.Subject.String()
	if wasNormal && !same {
		c.policies.unlink(id)
	}
	if s.normal && !same {
		s.subject = c.index.Add(index.Subjects, p.Subject, func(item index.ItemID) { c.choose(id, item) })
		c.policies.link(id)
	}
	if wasNormal && !same {
		c.index.Each(wasSubject, func(item index.ItemID) { c.unchoose(id, item) })
		c.index.Release(wasSubject)
	}
	if same && was != nil && listedElsewhere(was, p) {
		c.index.Each(s.subject, c.touch)
	}
	if s.live.active != nil || s.live.nodes.Any() {
		c.dirtyPolicies[id] = struct{}{}
	} else {
		c.rest(id)
	}
}

// listedElsewhere tells whether a change of a policy changes its place in the lists of the endpoints that it selects.
func listedElsewhere(a, b *model.Policy) bool {
	return a.Tier != b.Tier || a.Order != b.Order || a.AppliesIngress != b.AppliesIngress || a.AppliesEgress != b.AppliesEgress
}

// choose notes that a policy selects one more endpoint.
func (c *Calc) choose(id uint32, item index.ItemID) {
	if c.wake(c.policies.states.At(id)).nodes.Add(c.item(item).node.Value()) {
		c.dirtyPolicies[id] = struct{}{}
	}
	c.touch(item)
}

// unchoose notes that it selects one less.
func (c *Calc) unchoose(id uint32, item index.ItemID) {
	l := c.policies.states.At(id).live
	if l.nodes.Remove(c.item(item).node.Value()) && l.policy != nil {
		c.dirtyPolicies[id] = struct{}{}
	}
	c.touch(item)
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
	for id := range c.dirtyPolicies {
		l := c.policies.states.At(id).live
		if l == nil {
			continue // gone or packed, with a number that may be another's by now
		}
		c.visited++
		nodes := l.nodes.Nodes()
		if l.policy == nil || len(nodes) == 0 {
			if l.active != nil {
				c.hold(l.active, nil, nil)
				c.out.removeRef(intent.Ref{Kind: intent.KindPolicy, ID: l.active.id})
				l.active = nil
			}
			c.rest(id)
			continue
		}
		specs := policy.Specs{}
		o := policy.Compile(l.policy, specs)
		c.visited += uint64(len(o.Ingress) + len(o.Egress))
		if l.active == nil {
			l.active = &ruleHolder{id: o.ID}
		}
		c.hold(l.active, specs, nodes)
		c.out.put(o, nodes)
	}
	c.dirtyPolicies = map[uint32]struct{}{} // a first flush is large: its map is not kept
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
