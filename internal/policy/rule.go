package policy

import (
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// mismatch names the first criterion of a rule that a packet fails, or is empty if the packet matches: all criteria
// that are set must hold (R69).
func (c *Cluster) mismatch(r *model.Rule, p model.Packet) string {
	v4 := p.Src.Is4()
	switch {
	case r.IPVersion == 4 && !v4, r.IPVersion == 6 && v4:
		return "ipVersion" // R90
	case !hasFamily(r.Src.Nets, v4), !hasFamily(r.Src.NotNets, v4), !hasFamily(r.Dst.Nets, v4), !hasFamily(r.Dst.NotNets, v4):
		return "family of the nets" // R90
	case r.Protocol != 0 && p.Proto != r.Protocol:
		return "protocol"
	case r.NotProtocol != 0 && p.Proto == r.NotProtocol:
		return "notProtocol"
	case r.ICMP.Set && !(isICMP(p) && matchesICMP(r.ICMP, p)):
		return "icmp" // R93
	case r.NotICMP.Set && !(isICMP(p) && !matchesICMP(r.NotICMP, p)):
		return "notICMP" // R93
	case numbersPorts(r) && !hasPorts(p):
		return "ports need TCP, UDP or SCTP" // R83
	}
	if failed := c.mismatchSide(&r.Src, p.Src, p.Proto, p.SrcPort); failed != "" {
		return "source " + failed
	}
	if r.Src.Service != nil && !c.ofService(*r.Src.Service, p.Src) {
		return "source service"
	}
	if failed := c.mismatchSide(&r.Dst, p.Dst, p.Proto, p.DstPort); failed != "" {
		return "destination " + failed
	}
	if r.Dst.Service != nil && !c.servedBy(*r.Dst.Service, p.Dst, p.Proto, p.DstPort) {
		return "destination service"
	}
	return ""
}

// mismatchSide is mismatch for one side, whose address and port are given. Services differ by side and are not here.
func (c *Cluster) mismatchSide(e *model.Entity, addr netip.Addr, proto uint8, port uint16) string {
	contains := func(net netip.Prefix) bool { return net.Contains(addr) }
	matches := func(p model.Port) bool {
		if p.Name != "" {
			return c.namedPort(p.Name, e.Selector, addr, proto, port)
		}
		return p.Min <= port && port <= p.Max
	}
	switch {
	case len(e.Nets) > 0 && !slices.ContainsFunc(e.Nets, contains):
		return "nets" // R69
	case slices.ContainsFunc(e.NotNets, contains):
		return "notNets" // R69
	case e.Selector != nil && !c.selected(e.Selector, addr):
		return "selector" // R66
	case e.NotSelector != nil && c.selected(e.NotSelector, addr):
		return "notSelector" // R65
	case len(e.Ports) > 0 && !slices.ContainsFunc(e.Ports, matches):
		return "ports" // R80
	case slices.ContainsFunc(e.NotPorts, matches):
		return "notPorts" // R84
	}
	return ""
}

// hasFamily tells whether a list of nets leaves a rule in force for a family: it is empty or has one of that family
// (R90). notNets with all of a family leave nothing of it to match (R91), which needs no rule of its own.
func hasFamily(nets []netip.Prefix, v4 bool) bool {
	return len(nets) == 0 || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr().Is4() == v4 })
}

func isICMP(p model.Packet) bool { return p.Proto == model.ProtoICMP || p.Proto == model.ProtoICMPv6 }

// matchesICMP compares type and, where given, code (R93).
func matchesICMP(m model.ICMP, p model.Packet) bool {
	return p.ICMPType == m.Type && (!m.HasCode || p.ICMPCode == m.Code)
}

func hasPorts(p model.Packet) bool {
	return p.Proto == model.ProtoTCP || p.Proto == model.ProtoUDP || p.Proto == model.ProtoSCTP
}

// numbersPorts tells whether a rule names a port by number, on whichever side.
func numbersPorts(r *model.Rule) bool {
	for _, ports := range [][]model.Port{r.Src.Ports, r.Src.NotPorts, r.Dst.Ports, r.Dst.NotPorts} {
		if slices.ContainsFunc(ports, func(p model.Port) bool { return p.Name == "" }) {
			return true
		}
	}
	return false
}

// selected tells whether an address belongs to what a selector selects: workloads by the addresses that they own, hosts
// by expectedIPs, network sets by their nets (R66, R145). It stays while any of those that share it is selected (R68).
func (c *Cluster) selected(s *selector.Selector, addr netip.Addr) bool {
	for _, e := range c.endpoints {
		if s.Match(e) && slices.Contains(e.addresses, addr) {
			return true
		}
	}
	for _, set := range c.sets {
		if s.Match(set.labels) && slices.ContainsFunc(set.nets, func(net netip.Prefix) bool { return net.Contains(addr) }) {
			return true
		}
	}
	return false
}

// namedPort tells whether some endpoint owns the address, declares a port of that name with that protocol and number,
// and matches the side's positive selector if there is one (R81, R82, R84).
func (c *Cluster) namedPort(name string, s *selector.Selector, addr netip.Addr, proto uint8, port uint16) bool {
	for _, e := range c.endpoints {
		if (s == nil || s.Match(e)) && slices.Contains(e.addresses, addr) &&
			slices.Contains(e.ports, model.NamedPort{Name: name, Protocol: proto, Port: port}) {
			return true
		}
	}
	return false
}

// ofService tells whether an address is that of a ready endpoint of a service (R70, source).
func (c *Cluster) ofService(s model.ServiceRef, addr netip.Addr) bool {
	return slices.ContainsFunc(c.slicesOf(s), func(e *model.EndpointSlice) bool { return slices.Contains(e.Ready, addr) })
}

// servedBy tells whether address, protocol and port are those of a ready endpoint of a service (R70, destination). A
// port without number, which stands for all ports, is of no use to a rule: no set can hold it.
func (c *Cluster) servedBy(s model.ServiceRef, addr netip.Addr, proto uint8, port uint16) bool {
	for _, e := range c.slicesOf(s) {
		for _, declared := range e.Ports {
			if declared.Port != 0 && declared.Port == port && declared.Protocol == proto && slices.Contains(e.Ready, addr) {
				return true
			}
		}
	}
	return false
}

// slicesOf is the endpoint slices of a service.
func (c *Cluster) slicesOf(s model.ServiceRef) []*model.EndpointSlice {
	var found []*model.EndpointSlice
	for _, o := range c.objects {
		if e, ok := o.Value.(*model.EndpointSlice); ok && e.Namespace == s.Namespace && e.Service == s.Name {
			found = append(found, e)
		}
	}
	return found
}
