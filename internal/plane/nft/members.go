package nft

import (
	"fmt"
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
)

// takeSet takes a whole set, a change of its members, or its end.
func (p *Plane) takeSet(c intent.KernelChange) {
	id := intent.SetID(c.Ref.ID)
	switch object := c.Object.(type) {
	case *intent.Set:
		p.replaceSet(p.set(id), object)
	case *intent.SetDelta:
		s := p.sets[id]
		if s == nil || !s.known {
			p.problems[c.Ref.String()] = "a change of members came for a set that is not known: rules that name it match as if it were missing"
			return
		}
		before := s.present()
		p.change(s, object.Remove, p.removeMember)
		p.change(s, object.Add, p.addMember)
		p.reshaped(s, before)
	default:
		if s := p.sets[id]; s != nil {
			p.endSet(s)
			p.reap(s)
		}
	}
}

func (p *Plane) replaceSet(s *setState, object *intent.Set) {
	before := s.present()
	if s.known && s.typ != object.Type {
		p.endSet(s)
	}
	if !s.known {
		s.known, s.typ = true, object.Type
		p.dirtySetUsers(s)
		p.kernelSet(s, lasting(s.typ))
	}
	p.change(s, p.surplus(s, object), p.removeMember)
	p.change(s, object.Members, p.addMember)
	p.reshaped(s, before)
}

// surplus is the members that the set has and the object does not.
func (p *Plane) surplus(s *setState, object *intent.Set) []intent.Member {
	have := s.nets[0].all
	n := len(have) + len(s.nets[1].all)
	for _, ks := range s.kinds {
		if ks != nil {
			n += ks.members.Len()
		}
	}
	if n == 0 {
		return nil
	}
	want := make(map[intent.Member]struct{}, len(object.Members))
	for _, m := range object.Members {
		want[m] = struct{}{}
	}
	var out []intent.Member
	check := func(m intent.Member) {
		if _, ok := want[m]; !ok {
			out = append(out, m)
		}
	}
	for k, ks := range s.kinds {
		if ks == nil || kind(k) == kindNet4 || kind(k) == kindNet6 {
			continue
		}
		for m := range ks.members.AllWanted() {
			im := intent.Member{Prefix: netip.PrefixFrom(m.addr(kind(k)), m.addr(kind(k)).BitLen())}
			if s.typ == intent.SetAddrPorts {
				im.Proto, im.Port = m[16], uint16(m[17])<<8|uint16(m[18])
			}
			check(im)
		}
	}
	for i := range s.nets {
		for prefix := range s.nets[i].all {
			check(intent.Member{Prefix: prefix})
		}
	}
	return out
}

func (p *Plane) change(s *setState, members []intent.Member, do func(*setState, kind, member)) {
	for _, im := range members {
		m, k, ok := memberOf(im, s.typ)
		if !ok {
			p.problems[intent.Ref{Kind: intent.KindSet, ID: string(s.id)}.String()] = fmt.Sprintf(
				"member %v: must be a prefix, in a set of ports one address; it is left out", im.Prefix)
			continue
		}
		do(s, k, m)
	}
}

func (p *Plane) addMember(s *setState, k kind, m member) {
	if k != kindNet4 && k != kindNet6 {
		p.rules.desireMember(p.kernelSet(s, k), m)
		return
	}
	s.nets[k-kindNet4].add(m.prefix(k),
		func(q netip.Prefix) { p.rules.desireMember(p.kernelSet(s, k), netMember(q)) },
		func(q netip.Prefix) { p.rules.forgetMember(p.kernelSet(s, k), netMember(q)) })
}

func (p *Plane) removeMember(s *setState, k kind, m member) {
	ks := s.kinds[k]
	if ks == nil {
		return
	}
	left := 0
	if k == kindNet4 || k == kindNet6 {
		nets := &s.nets[k-kindNet4]
		nets.remove(m.prefix(k),
			func(q netip.Prefix) { p.rules.desireMember(ks, netMember(q)) },
			func(q netip.Prefix) { p.rules.forgetMember(ks, netMember(q)) })
		left = len(nets.all)
	} else {
		p.rules.forgetMember(ks, m)
		left = ks.members.Len()
	}
	if left == 0 && k != lasting(s.typ) {
		s.kinds[k] = nil
		p.rules.dropSet(ks.spec.Name)
	}
}

// lasting is the kind of which an intent's set has a kernel set even without members, so that the comings and goings of a
// few are changes of elements. The other kinds have one only while there are members: the kernel finds sets by walking
// through a list of all of them, so each that is not needed slows every change.
func lasting(t intent.SetType) kind {
	if t == intent.SetAddrPorts {
		return kindPort4
	}
	return kindAddr4
}

// kernelSet is the kernel set of one kind, made if need be.
func (p *Plane) kernelSet(s *setState, k kind) *set {
	if s.kinds[k] == nil {
		s.kinds[k] = p.rules.addSet(k.spec(s.id), k)
	}
	return s.kinds[k]
}

func (s *setState) present() (kinds kindSet) {
	for k, ks := range s.kinds {
		kinds[k] = ks != nil
	}
	return kinds
}

// reshaped has the rules that use the set rendered anew if it got its first, or lost its last, members of a kind.
func (p *Plane) reshaped(s *setState, before kindSet) {
	if s.present() != before {
		p.dirtySetUsers(s)
	}
}

func (p *Plane) dirtySetUsers(s *setState) {
	for key := range s.users {
		p.dirtyRules[key] = struct{}{}
	}
	switch s.id {
	case intent.SetMasqueradePools, intent.SetAllPools, intent.SetHosts:
		p.dirtyBase = true
	}
}

// endSet is the intent's set going: rules that still name it must not open.
func (p *Plane) endSet(s *setState) {
	for k, ks := range s.kinds {
		if ks != nil {
			p.rules.dropSet(ks.spec.Name)
			s.kinds[k] = nil
		}
	}
	s.nets = [2]cover{}
	s.known = false
	p.dirtySetUsers(s)
}

func (p *Plane) reap(s *setState) {
	if !s.known && len(s.users) == 0 {
		delete(p.sets, s.id)
	}
}

// shape implements shapes.
func (p *Plane) shape(id intent.SetID) (setShape, bool) {
	s := p.sets[id]
	if s == nil || !s.known {
		return setShape{}, false
	}
	return setShape{s.typ, s.present()}, true
}
