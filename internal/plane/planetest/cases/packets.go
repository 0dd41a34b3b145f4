package cases

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
)

// Probe is a packet at a local endpoint: towards it (ingress) or from it (egress).
type Probe struct {
	Endpoint  model.Key
	Direction model.Direction
	Packet    model.Packet
}

func (p Probe) String() string {
	k := p.Packet
	return fmt.Sprintf("%v of %v: protocol %d %v:%d > %v:%d type %d code %d", p.Direction, p.Endpoint, k.Proto,
		k.Src, k.SrcPort, k.Dst, k.DstPort, k.ICMPType, k.ICMPCode)
}

// addAddresses collects what packets may come from and go to: whatever an object names, and its neighbours.
func (g *generator) addAddresses() {
	seen := map[netip.Addr]bool{}
	add := func(list ...netip.Addr) {
		for _, a := range list {
			if usable(a) && !seen[a] {
				seen[a] = true
				g.addrs[familyOf(a)] = append(g.addrs[familyOf(a)], a)
			}
		}
	}
	for i := range g.size.Workloads {
		for node := range g.size.Nodes {
			if w := workloadAddrs(node, i+1); g.ownedOrDoubtful(w[0]) || g.ownedOrDoubtful(w[1]) {
				add(w[:]...)
			}
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(g.Doubtful), netip.Addr.Compare) {
		add(a)
		g.doubtful[familyOf(a)] = append(g.doubtful[familyOf(a)], a)
	}
	g.declaring = append(slices.Clone(g.workloads), g.Local...)
	for family := range netTexts {
		for _, text := range netTexts[family] {
			net := netip.MustParsePrefix(text)
			if net.Bits() > 0 {
				add(net.Addr(), net.Addr().Prev(), last(net), last(net).Next())
			}
		}
	}
	add(netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:2::2"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2600::1"))
}

func (g *generator) ownedOrDoubtful(a netip.Addr) bool {
	return g.Doubtful[a] != "" || slices.ContainsFunc(g.workloads, func(e Endpoint) bool { return slices.Contains(e.Addresses, a) })
}

// usable tells whether routers forward packets from and to an address.
func usable(a netip.Addr) bool {
	reserved := a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240)
	return a.IsGlobalUnicast() && !reserved
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// last is a net's last address.
func last(net netip.Prefix) netip.Addr {
	raw := net.Addr().AsSlice()
	for i := net.Bits(); i < len(raw)*8; i++ {
		raw[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// Packets draws packets for all local endpoints in turn, in both directions. Most are aimed at a rule: at the edges of its
// ports, inside and outside of its nets, at its protocol or another one. A universe without local endpoints has none.
func (u *Universe) Packets(n int) []Probe {
	if len(u.Local) == 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(u.Seed, 0x7061636b6574))
	probes := make([]Probe, n)
	for i := range probes {
		probes[i] = u.probe(r, &u.Local[i/2%len(u.Local)], model.Direction(i%2))
	}
	return probes
}

func (u *Universe) probe(r *rand.Rand, e *Endpoint, dir model.Direction) Probe {
	var rule *model.Rule
	if aimed := u.targets(dir); len(aimed) > 0 && r.IntN(5) > 0 {
		rule = pick(r, aimed).rule
	}
	v6 := r.IntN(2)
	if rule != nil && r.IntN(8) > 0 {
		v6 = familyFor(rule, v6)
	}
	own := ownAddress(r, e, v6)
	v6 = familyOf(own)

	near, far := model.Entity{}, model.Entity{} // of the rule, at the endpoint's side and at the peer's
	if rule != nil {
		near, far = rule.Dst, rule.Src
		if dir == model.Egress {
			near, far = far, near
		}
	}
	peer := pick(r, u.addrs[v6])
	if doubtful := u.doubtful[v6]; len(doubtful) > 0 && r.IntN(5) == 0 {
		peer = pick(r, doubtful)
	}
	served := u.served(&far, v6)
	if len(served) > 0 && r.IntN(5) > 0 {
		served = []socket{pick(r, served)}
		peer = served[0].addr
	} else if len(far.Nets) > 0 && r.IntN(4) > 0 {
		if net := pick(r, far.Nets); familyOf(net.Addr()) == v6 && net.Bits() > 0 {
			edge := pick(r, []netip.Addr{net.Addr(), net.Addr(), last(net), last(net).Next(), net.Addr().Prev()})
			if usable(edge) {
				peer = edge
			}
		}
	}
	p := model.Packet{Src: peer, Dst: own}
	if dir == model.Egress {
		p.Src, p.Dst = own, peer
	}
	u.protocol(r, &p, rule)
	at := func(addr netip.Addr) func(socket) bool { return func(s socket) bool { return s.addr != addr } }
	aim(r, &p, slices.DeleteFunc(served, at(peer)), rule)
	aim(r, &p, slices.DeleteFunc(u.served(&near, v6), at(own)), rule)
	return Probe{e.Key, dir, p}
}

func (u *Universe) targets(dir model.Direction) []target {
	return slices.DeleteFunc(slices.Clone(u.rules), func(t target) bool { return t.dir != dir })
}

// familyFor is a family that a rule is for.
func familyFor(rule *model.Rule, otherwise int) int {
	switch {
	case rule.IPVersion != 0:
		return int(rule.IPVersion)/2 - 2
	case rule.Protocol == model.ProtoICMP:
		return 0
	case rule.Protocol == model.ProtoICMPv6:
		return 1
	}
	for _, nets := range [][]netip.Prefix{rule.Src.Nets, rule.Dst.Nets, rule.Src.NotNets, rule.Dst.NotNets} {
		if len(nets) > 0 {
			return familyOf(nets[0].Addr())
		}
	}
	return otherwise
}

// ownAddress is an address of an endpoint, of a family if it has one. One that owns none is tried with a foreign one: what
// its policy says does not depend on it.
func ownAddress(r *rand.Rand, e *Endpoint, v6 int) netip.Addr {
	if len(e.Addresses) == 0 {
		return workloadAddrs(0, 60)[v6]
	}
	of := slices.DeleteFunc(slices.Clone(e.Addresses), func(a netip.Addr) bool { return familyOf(a) != v6 })
	if len(of) == 0 {
		of = e.Addresses
	}
	return pick(r, of)
}

// socket is a port that an endpoint declares, by name or for a service. Without a protocol it is only an address.
type socket struct {
	addr  netip.Addr
	proto uint8
	port  uint16
}

// served is what the service and the names of ports of one side of a rule stand for.
func (u *Universe) served(e *model.Entity, v6 int) []socket {
	var out []socket
	add := func(addrs []netip.Addr, ports []model.NamedPort, wanted func(model.NamedPort) bool) {
		for _, a := range addrs {
			for _, p := range ports {
				if familyOf(a) == v6 && usable(a) && wanted(p) {
					out = append(out, socket{a, p.Protocol, p.Port})
				}
			}
		}
	}
	for _, o := range u.Updates {
		if s, ok := o.Value.(*model.EndpointSlice); ok && e.Service != nil && s.Namespace == e.Service.Namespace && s.Service == e.Service.Name {
			add(s.Ready, append(s.Ports, model.NamedPort{}), func(p model.NamedPort) bool { return true })
		}
	}
	for _, list := range [][]model.Port{e.Ports, e.NotPorts} {
		for _, name := range list {
			for _, w := range u.declaring {
				ports := []model.NamedPort(nil)
				switch v := w.Value.(type) {
				case *model.WorkloadEndpoint:
					ports = v.Ports
				case *model.HostEndpoint:
					ports = v.Ports
				}
				add(w.Addresses, ports, func(p model.NamedPort) bool { return name.Name != "" && p.Name == name.Name })
			}
		}
	}
	return out
}

// aim makes a packet one to, or from, one of some sockets.
func aim(r *rand.Rand, p *model.Packet, sockets []socket, rule *model.Rule) {
	fitting := slices.DeleteFunc(sockets, func(s socket) bool { return s.proto == 0 || rule.Protocol != 0 && s.proto != rule.Protocol })
	if len(fitting) == 0 || r.IntN(6) == 0 {
		return
	}
	s := pick(r, fitting)
	p.Proto, p.ICMPType, p.ICMPCode = s.proto, 0, 0
	if p.SrcPort == 0 {
		p.SrcPort = 40000
	}
	if p.DstPort == 0 {
		p.DstPort = 80
	}
	if s.addr == p.Src {
		p.SrcPort = s.port
	}
	if s.addr == p.Dst {
		p.DstPort = s.port
	}
}

// protocol draws protocol, ports, type and code.
func (u *Universe) protocol(r *rand.Rand, p *model.Packet, rule *model.Rule) {
	icmp := uint8(model.ProtoICMP)
	if p.Src.Is6() {
		icmp = model.ProtoICMPv6
	}
	p.Proto = pick(r, []uint8{model.ProtoTCP, model.ProtoTCP, model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP, icmp, 47, model.ProtoUDPLite})
	if rule != nil && rule.Protocol != 0 && r.IntN(8) > 0 {
		p.Proto = rule.Protocol
	} else if rule != nil && rule.NotProtocol != 0 && r.IntN(4) == 0 {
		p.Proto = rule.NotProtocol
	}
	switch p.Proto {
	case model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP:
		var src, dst []model.Port
		if rule != nil {
			src, dst = append(rule.Src.Ports[:len(rule.Src.Ports):len(rule.Src.Ports)], rule.Src.NotPorts...),
				append(rule.Dst.Ports[:len(rule.Dst.Ports):len(rule.Dst.Ports)], rule.Dst.NotPorts...)
		}
		p.SrcPort, p.DstPort = portFor(r, src, 40000), portFor(r, dst, 0)
	case model.ProtoICMP, model.ProtoICMPv6:
		p.ICMPType, p.ICMPCode = pick(r, []uint8{8, 0, 3}), uint8(r.IntN(3))
		if p.Proto == model.ProtoICMPv6 {
			p.ICMPType = pick(r, []uint8{128, 129, 1})
		}
		for _, m := range wanted(rule) {
			if m.Set && r.IntN(4) > 1 {
				p.ICMPType, p.ICMPCode = m.Type, m.Code
			}
		}
	}
}

func wanted(rule *model.Rule) []model.ICMP {
	if rule == nil {
		return nil
	}
	return []model.ICMP{rule.NotICMP, rule.ICMP}
}

// portFor is a port at or beside the edge of a range that a rule names, or one that endpoints declare.
func portFor(r *rand.Rand, list []model.Port, otherwise uint16) uint16 {
	if len(list) > 0 && r.IntN(6) > 0 {
		if port := pick(r, list); port.Name == "" {
			return pick(r, []uint16{port.Min, port.Min, port.Max, port.Max, port.Min - 1, port.Max + 1})
		}
	} else if otherwise != 0 && r.IntN(3) > 0 {
		return otherwise
	}
	return uint16(pick(r, portNumbers))
}
