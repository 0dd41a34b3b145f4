package trace

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Criterion is a part of a rule that a packet can fail.
type Criterion uint8

// The criteria, as the rule's author knows them. CriterionNone: none failed, the rule matched.
const (
	CriterionNone Criterion = iota
	CriterionIPVersion
	CriterionFamily // the rule has nets or notNets, none of the packet's family (R90)
	CriterionProtocol
	CriterionNotProtocol
	CriterionICMP
	CriterionNotICMP
	CriterionPortless // the rule names port numbers, the packet's protocol has none (R83)
	CriterionSourceNets
	CriterionSourceNotNets
	CriterionSourcePorts
	CriterionSourceNotPorts
	CriterionSourceSet
	CriterionSourceNotSet
	CriterionDestinationNets
	CriterionDestinationNotNets
	CriterionDestinationPorts
	CriterionDestinationNotPorts
	CriterionDestinationSet
	CriterionDestinationNotSet
)

var criterionNames = [...]string{
	"", "ipVersion", "family of the nets", "protocol", "notProtocol", "icmp", "notICMP", "protocol without ports",
	"source.nets", "source.notNets", "source.ports", "source.notPorts", "source.selector", "source.notSelector",
	"destination.nets", "destination.notNets", "destination.ports", "destination.notPorts", "destination.selector",
	"destination.notSelector",
}

func (c Criterion) String() string {
	if int(c) < len(criterionNames) {
		return criterionNames[c]
	}
	return "Criterion(?)"
}

// The criteria of one side, relative to CriterionSourceNets or CriterionDestinationNets.
const (
	sideNets Criterion = iota
	sideNotNets
	sidePorts
	sideNotPorts
	sideSet
	sideNotSet
)

// failure is the first criterion that a packet failed, and the set that it is about, if it is about one. With
// CriterionNone, set is one that the view does not know and whose criterion was assumed to hold.
type failure struct {
	criterion Criterion
	set       intent.SetID
}

// match is one comparison of a rule with a packet.
type match struct {
	view   View
	assume bool         // the outcome of a criterion whose set is unknown
	gap    intent.SetID // a set that was unknown and assumed
}

// rule compares what costs least first.
func (m *match) rule(r *intent.Rule, p *model.Packet) failure {
	v4 := p.Src.Is4()
	switch {
	case r.IPVersion == 4 && !v4, r.IPVersion == 6 && v4:
		return failure{criterion: CriterionIPVersion} // R90
	case r.Protocol != 0 && r.Protocol != p.Proto:
		return failure{criterion: CriterionProtocol}
	case r.NotProtocol != 0 && r.NotProtocol == p.Proto:
		return failure{criterion: CriterionNotProtocol}
	case r.ICMP.Set && !(isICMP(p) && matchesICMP(r.ICMP, p)):
		return failure{criterion: CriterionICMP} // R93
	case r.NotICMP.Set && !(isICMP(p) && !matchesICMP(r.NotICMP, p)):
		return failure{criterion: CriterionNotICMP} // R93
	case !hasPorts(p.Proto) && (numbersPorts(&r.Src) || numbersPorts(&r.Dst)):
		return failure{criterion: CriterionPortless} // R83
	case !keepsFamily(&r.Src, v4), !keepsFamily(&r.Dst, v4):
		return failure{criterion: CriterionFamily} // R90
	}
	if f := m.numbers(&r.Dst, p.Dst, p.DstPort); f != satisfied {
		return failure{criterion: CriterionDestinationNets + f}
	}
	if f := m.numbers(&r.Src, p.Src, p.SrcPort); f != satisfied {
		return failure{criterion: CriterionSourceNets + f}
	}
	if f, set := m.sets(&r.Dst, p.Dst, p.Proto, p.DstPort); f != satisfied {
		return failure{CriterionDestinationNets + f, set}
	}
	if f, set := m.sets(&r.Src, p.Src, p.Proto, p.SrcPort); f != satisfied {
		return failure{CriterionSourceNets + f, set}
	}
	return failure{set: m.gap}
}

// satisfied is no criterion of a side.
const satisfied Criterion = 255

// numbers compares the nets of one side, and its ports where no set can change the outcome.
func (m *match) numbers(e *intent.Entity, addr netip.Addr, port uint16) Criterion {
	switch {
	case len(e.Nets) > 0 && !inNets(e.Nets, addr):
		return sideNets
	case inNets(e.NotNets, addr):
		return sideNotNets
	case len(e.Ports) > 0 && len(e.PortSets) == 0 && !inRanges(e.Ports, port):
		return sidePorts
	case inRanges(e.NotPorts, port):
		return sideNotPorts
	}
	return satisfied
}

// sets compares the sets of one side, and its ports where they are an alternative to sets (R80).
func (m *match) sets(e *intent.Entity, addr netip.Addr, proto uint8, port uint16) (Criterion, intent.SetID) {
	for _, id := range e.Sets {
		if !m.holds(id, true, addr) {
			return sideSet, id
		}
	}
	for _, id := range e.NotSets {
		if !m.holds(id, false, addr) {
			return sideNotSet, id
		}
	}
	for _, id := range e.NotPortSets {
		if !m.holdsPort(id, false, addr, proto, port) {
			return sideNotPorts, id
		}
	}
	if len(e.PortSets) == 0 || inRanges(e.Ports, port) {
		return satisfied, ""
	}
	for _, id := range e.PortSets {
		if m.holdsPort(id, true, addr, proto, port) {
			return satisfied, ""
		}
	}
	return sidePorts, e.PortSets[0]
}

// holds tells whether an address is in a set, or is not, as want says.
func (m *match) holds(id intent.SetID, want bool, addr netip.Addr) bool {
	if set := m.view.Set(id); set != nil {
		return set.Contains(addr) == want
	}
	return m.unknown(id)
}

// holdsPort is holds for address, protocol and port.
func (m *match) holdsPort(id intent.SetID, want bool, addr netip.Addr, proto uint8, port uint16) bool {
	if set := m.view.Set(id); set != nil {
		return set.ContainsPort(addr, proto, port) == want
	}
	return m.unknown(id)
}

func (m *match) unknown(id intent.SetID) bool {
	if m.assume {
		m.gap = id
	}
	return m.assume
}

// hasPorts tells whether a protocol has ports that rules may name by number (R83).
func hasPorts(proto uint8) bool {
	return proto == model.ProtoTCP || proto == model.ProtoUDP || proto == model.ProtoSCTP
}

func isICMP(p *model.Packet) bool { return p.Proto == model.ProtoICMP || p.Proto == model.ProtoICMPv6 }

func matchesICMP(m model.ICMP, p *model.Packet) bool {
	return p.ICMPType == m.Type && (!m.HasCode || p.ICMPCode == m.Code)
}

func numbersPorts(e *intent.Entity) bool { return len(e.Ports) > 0 || len(e.NotPorts) > 0 }

// keepsFamily tells whether a side leaves its rule in force for a family: each of its lists of nets is empty or has one
// of that family (R90).
func keepsFamily(e *intent.Entity, v4 bool) bool {
	return hasFamily(e.Nets, v4) && hasFamily(e.NotNets, v4)
}

func hasFamily(nets []netip.Prefix, v4 bool) bool {
	for i := range nets {
		if nets[i].Addr().Is4() == v4 {
			return true
		}
	}
	return len(nets) == 0
}

func inNets(nets []netip.Prefix, addr netip.Addr) bool {
	for i := range nets {
		if nets[i].Contains(addr) {
			return true
		}
	}
	return false
}

func inRanges(ranges []intent.PortRange, port uint16) bool {
	for i := range ranges {
		if ranges[i].Min <= port && port <= ranges[i].Max {
			return true
		}
	}
	return false
}
