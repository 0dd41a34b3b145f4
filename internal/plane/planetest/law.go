package planetest

import (
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// law says what an intent means for the first packet of a flow, slowly and without any of what a plane does to be fast.
type law struct {
	sets      map[intent.SetID]*intent.Set
	policies  map[string]*intent.Policy
	profiles  map[string]*intent.Profile
	endpoints map[netip.Addr]*intent.LocalEndpoint
	used      map[string]int // what decided, for the report
}

func newLaw(objects []intent.Object, used map[string]int) *law {
	l := &law{
		sets: make(map[intent.SetID]*intent.Set), policies: make(map[string]*intent.Policy),
		profiles: make(map[string]*intent.Profile), endpoints: make(map[netip.Addr]*intent.LocalEndpoint), used: used,
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *intent.Set:
			l.sets[o.ID] = o
		case *intent.Policy:
			l.policies[o.ID] = o
		case *intent.Profile:
			l.profiles[o.ID] = o
		case *intent.LocalEndpoint:
			for _, a := range o.Addresses {
				l.endpoints[a] = o
			}
		}
	}
	return l
}

// allowed is the verdict on a forwarded packet: the sender's egress and then the receiver's ingress policy (R3).
func (l *law) allowed(p model.Packet) bool {
	src, dst := l.endpoints[p.Src], l.endpoints[p.Dst]
	return (src == nil || l.endpoint(src, model.Egress, p)) && (dst == nil || l.endpoint(dst, model.Ingress, p))
}

func (l *law) endpoint(e *intent.LocalEndpoint, dir model.Direction, p model.Packet) bool {
	for _, t := range e.Tiers {
		ids := t.Ingress
		if dir == model.Egress {
			ids = t.Egress
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return l.policies[id] != nil && l.policies[id].Staged != "" })
		if len(ids) == 0 { // R22, R24
			continue
		}
		action, decided := l.tier(ids, dir, p)
		if !decided {
			action = t.DefaultAction
			l.used["end of tier "+action.String()]++
		}
		if action != model.Pass {
			return action == model.Allow
		}
	}
	for _, id := range e.Profiles {
		pr := l.profiles[id]
		if pr == nil || pr.Missing { // R54
			return false
		}
		if action, ok := l.rules(pr.Ingress, pr.Egress, dir, p); ok && action != model.Pass {
			return action == model.Allow
		}
	}
	return false // R53
}

func (l *law) tier(ids []string, dir model.Direction, p model.Packet) (model.Action, bool) {
	for _, id := range ids {
		pol := l.policies[id]
		if pol == nil {
			return model.Deny, true
		}
		if action, ok := l.rules(pol.Ingress, pol.Egress, dir, p); ok {
			return action, true
		}
	}
	return model.Deny, false
}

func (l *law) rules(ingress, egress []intent.Rule, dir model.Direction, p model.Packet) (model.Action, bool) {
	rules := ingress
	if dir == model.Egress {
		rules = egress
	}
	for i := range rules {
		if r := &rules[i]; r.Action != model.Log && l.matches(r, p) {
			l.note(r)
			return r.Action, true
		}
	}
	return model.Deny, false
}

func (l *law) note(r *intent.Rule) {
	l.used[r.Action.String()]++
	for name, yes := range map[string]bool{
		"protocol": r.Protocol != 0, "notProtocol": r.NotProtocol != 0, "ipVersion": r.IPVersion != 0, "icmp": r.ICMP.Set, "notICMP": r.NotICMP.Set,
		"nets": len(r.Src.Nets)+len(r.Dst.Nets) > 0, "notNets": len(r.Src.NotNets)+len(r.Dst.NotNets) > 0,
		"sets": len(r.Src.Sets)+len(r.Dst.Sets) > 0, "notSets": len(r.Src.NotSets)+len(r.Dst.NotSets) > 0,
		"ports": len(r.Src.Ports)+len(r.Dst.Ports) > 0, "notPorts": len(r.Src.NotPorts)+len(r.Dst.NotPorts) > 0,
		"portSets": len(r.Src.PortSets)+len(r.Dst.PortSets) > 0, "notPortSets": len(r.Src.NotPortSets)+len(r.Dst.NotPortSets) > 0,
	} {
		if yes {
			l.used[name]++
		}
	}
}

func (l *law) matches(r *intent.Rule, p model.Packet) bool {
	icmp := func(m model.ICMP) bool { return m.Type == p.ICMPType && (!m.HasCode || m.Code == p.ICMPCode) }
	switch {
	case r.IPVersion == 4 && !p.Src.Is4(), r.IPVersion == 6 && p.Src.Is4(),
		r.Protocol != 0 && r.Protocol != p.Proto, r.NotProtocol != 0 && r.NotProtocol == p.Proto,
		r.ICMP.Set && !icmp(r.ICMP), r.NotICMP.Set && icmp(r.NotICMP):
		return false
	}
	return l.side(&r.Src, p.Src, p.Proto, p.SrcPort) && l.side(&r.Dst, p.Dst, p.Proto, p.DstPort)
}

func (l *law) side(e *intent.Entity, addr netip.Addr, proto uint8, port uint16) bool {
	family := func(n netip.Prefix) bool { return n.Addr().Is4() == addr.Is4() }
	has := func(n netip.Prefix) bool { return n.Contains(addr) }
	inRange := func(r intent.PortRange) bool { return r.Min <= port && port <= r.Max }
	inSet := func(id intent.SetID) bool { return l.member(id, addr, proto, port) }
	switch {
	case len(e.Nets) > 0 && !slices.ContainsFunc(e.Nets, has), len(e.NotNets) > 0 && !slices.ContainsFunc(e.NotNets, family), // R90
		slices.ContainsFunc(e.NotNets, has), slices.ContainsFunc(e.NotSets, inSet),
		slices.ContainsFunc(e.NotPorts, inRange), slices.ContainsFunc(e.NotPortSets, inSet):
		return false
	}
	for _, id := range e.Sets {
		if !inSet(id) {
			return false
		}
	}
	return len(e.Ports)+len(e.PortSets) == 0 || slices.ContainsFunc(e.Ports, inRange) || slices.ContainsFunc(e.PortSets, inSet)
}

func (l *law) member(id intent.SetID, addr netip.Addr, proto uint8, port uint16) bool {
	s := l.sets[id]
	return slices.ContainsFunc(s.Members, func(m intent.Member) bool {
		return m.Prefix.Contains(addr) && (s.Type == intent.SetAddrs || m.Proto == proto && m.Port == port)
	})
}
