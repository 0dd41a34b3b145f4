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
		before := s.netKinds()
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
	before := s.netKinds()
	if s.known && s.typ != object.Type {
		p.endSet(s)
	}
	if !s.known {
		s.known, s.typ = true, object.Type
		p.dirtySetUsers(s)
		if s.typ == intent.SetAddrPorts {
			p.kernelSet(s, kindPort4)
			p.kernelSet(s, kindPort6)
		} else {
			p.kernelSet(s, kindAddr4)
			p.kernelSet(s, kindAddr6)
		}
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
	if k != kindNet4 && k != kindNet6 {
		p.rules.forgetMember(ks, m)
		return
	}
	s.nets[k-kindNet4].remove(m.prefix(k),
		func(q netip.Prefix) { p.rules.desireMember(ks, netMember(q)) },
		func(q netip.Prefix) { p.rules.forgetMember(ks, netMember(q)) })
	if len(s.nets[k-kindNet4].all) == 0 {
		s.kinds[k] = nil
		p.rules.dropSet(ks.spec.Name)
	}
}

// kernelSet is the kernel set of one kind, made if need be. Those of prefixes exist only while there are some.
func (p *Plane) kernelSet(s *setState, k kind) *set {
	if s.kinds[k] == nil {
		s.kinds[k] = p.rules.addSet(k.spec(s.id), k)
	}
	return s.kinds[k]
}

func (s *setState) netKinds() [2]bool {
	return [2]bool{s.kinds[kindNet4] != nil, s.kinds[kindNet6] != nil}
}

// reshaped has the rules that use the set rendered anew if it began or ceased to have prefixes of a family.
func (p *Plane) reshaped(s *setState, before [2]bool) {
	if s.netKinds() != before {
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
func (p *Plane) shape(id intent.SetID) (t intent.SetType, net4, net6, ok bool) {
	s := p.sets[id]
	if s == nil || !s.known {
		return 0, false, false, false
	}
	nets := s.netKinds()
	return s.typ, nets[0], nets[1], true
}
