package cli

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// side is one end of a flow.
type side struct {
	text      string // as the user wrote it
	addresses []netip.Addr
	key       model.Key               // of the workload; zero: none owns the address
	workload  *model.WorkloadEndpoint // nil: none
	node      string                  // of the workload, or whose address it is
	host      bool                    // an address of the node itself
	assumed   bool
	also      []model.Key // other workloads that own the address too (R68)
	service   string      // namespace/name of the Service whose address it is
}

// name is how people call it.
func (s *side) name() string {
	switch {
	case s.workload != nil && s.workload.ID.Namespace != "":
		return s.workload.ID.Namespace + "/" + s.workload.ID.Workload
	case s.workload != nil:
		return s.workload.ID.Workload
	case s.host:
		return "node " + s.node
	}
	return s.text
}

// protocols by the names that rules use.
var protocols = map[string]uint8{
	"TCP": model.ProtoTCP, "UDP": model.ProtoUDP, "SCTP": model.ProtoSCTP, "ICMP": model.ProtoICMP,
	"ICMPV6": model.ProtoICMPv6, "UDPLITE": model.ProtoUDPLite, "IPIP": model.ProtoIPIP,
}

// protocolName is a protocol in words.
func protocolName(n uint8) string {
	switch n {
	case model.ProtoICMPv6:
		return "ICMPv6"
	case model.ProtoUDPLite:
		return "UDPLite"
	}
	for name, number := range protocols {
		if number == n {
			return name
		}
	}
	return "protocol " + strconv.Itoa(int(n))
}

func parseProtocol(text string) (uint8, error) {
	if n, ok := protocols[strings.ToUpper(text)]; ok {
		return n, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return 0, usagef("protocol %q: must be TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or 1 to 255", text)
	}
	return uint8(n), nil
}

// service is what a flow asks for at its destination.
type service struct {
	protocol  uint8 // 0: not said
	port      uint16
	name      string // of the port, before it is looked up
	portGiven bool
}

// parseDestination reads DST[:PORT[/PROTO]]. An IPv6 address with a port is in brackets; PROTO alone may stand for the
// port where the protocol has none.
func parseDestination(text string) (end string, s service, err error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil {
		return bare, s, nil
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, s, nil
	}
	end, rest := text[:i], text[i+1:]
	end = strings.TrimSuffix(strings.TrimPrefix(end, "["), "]")
	port, proto, hasProto := strings.Cut(rest, "/")
	if hasProto {
		if s.protocol, err = parseProtocol(proto); err != nil {
			return "", s, err
		}
	} else if _, isProtocol := protocols[strings.ToUpper(port)]; isProtocol {
		s.protocol, err = parseProtocol(port)
		return end, s, err
	}
	switch n, nerr := strconv.ParseUint(port, 10, 16); {
	case port == "" && hasProto:
	case port == "":
		return "", s, usagef("%q: must be DST:PORT or DST:PORT/PROTO", text)
	case nerr == nil && n > 0:
		s.port, s.portGiven = uint16(n), true
	case nerr == nil || strings.Trim(port, "0123456789") == "":
		return "", s, usagef("%q: port %s: must be 1 to 65535, or the name of a port of the destination", text, port)
	default:
		s.name, s.portGiven = port, true
	}
	if s.portGiven && s.protocol != 0 && !hasPorts(s.protocol) {
		return "", s, usagef("%q: %s has no ports", text, protocolName(s.protocol))
	}
	return end, s, nil
}

func hasPorts(protocol uint8) bool {
	switch protocol {
	case model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP, model.ProtoUDPLite:
		return true
	}
	return false
}

// resolve looks a named port up at the destination, and sets the protocol that was not said.
func (s *service) resolve(d *side) error {
	if s.name != "" {
		var known []string
		found := false
		if d.workload != nil {
			for _, p := range d.workload.Ports {
				known = append(known, p.Name)
				if !found && p.Name == s.name && (s.protocol == 0 || s.protocol == p.Protocol) {
					s.port, s.protocol, found = p.Port, p.Protocol, true
				}
			}
		}
		if !found && len(known) > 0 {
			return fmt.Errorf("port %q: %s has no such port: must be a number, or %s", s.name, d.name(), strings.Join(known, ", "))
		}
		if !found {
			return fmt.Errorf("port %q: %s has no named ports: must be a number", s.name, d.name())
		}
	}
	if s.protocol == 0 {
		s.protocol = model.ProtoTCP
	}
	return nil
}

// packet is the first packet of the flow, in one family. sourcePort stands for whatever port the source takes.
func (s service) packet(src, dst netip.Addr, sourcePort uint16) model.Packet {
	p := model.Packet{Src: src, Dst: dst, Proto: s.protocol}
	if hasPorts(p.Proto) {
		p.SrcPort, p.DstPort = sourcePort, s.port
	}
	if p.Proto == model.ProtoICMP && src.Is6() {
		p.Proto = model.ProtoICMPv6
	}
	switch p.Proto { // an echo request
	case model.ProtoICMP:
		p.ICMPType = 8
	case model.ProtoICMPv6:
		p.ICMPType = 128
	}
	return p
}

// endpoint is a workload with its key.
type endpoint = keyed[model.WorkloadEndpoint]

// find is the end that a text names: NAMESPACE/POD, POD in a namespace, the name of a WorkloadEndpoint, or an address.
func (g *engine) find(text, namespace string) (*side, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return g.findAddress(text, addr.Unmap().WithZone("")), nil
	}
	in, name, ok := strings.Cut(text, "/")
	if !ok {
		in, name = namespace, text
	}
	interfaceName := ""
	name, interfaceName, _ = strings.Cut(name, "/")
	var found []endpoint
	for _, e := range g.workloads {
		id := e.value.ID
		if id.Namespace == in && (id.Workload == name && (interfaceName == "" || id.Endpoint == interfaceName) ||
			e.key.Kind == model.KindWorkloadEndpoint && e.key.Name == name) {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil, g.noWorkload(in, name)
	}
	best := found[0]
	for _, e := range found[1:] { // a Pod and its WorkloadEndpoint may both be stored: take the one that has addresses
		if len(g.addresses[best.key]) == 0 {
			best = e
		}
	}
	return g.sideOf(text, best, g.addresses[best.key]), nil
}

func (g *engine) sideOf(text string, e endpoint, addresses []netip.Addr) *side {
	return &side{text: text, addresses: addresses, key: e.key, workload: e.value, node: e.value.Node, assumed: g.assumed[e.key]}
}

// findAddress is the end with an address: a workload's, a node's, or nobody's.
func (g *engine) findAddress(text string, addr netip.Addr) *side {
	if owners := g.owners[addr]; len(owners) > 0 {
		s := g.sideOf(text, owners[0], []netip.Addr{addr})
		for _, other := range owners[1:] {
			if other.value.ID != owners[0].value.ID || other.value.Node != owners[0].value.Node {
				s.also = append(s.also, other.key)
			}
		}
		return s
	}
	s := &side{text: text, addresses: []netip.Addr{addr}}
	for _, v := range values[model.Service](g.snapshot) {
		if slices.Contains(v.value.ClusterIPs, addr) {
			s.service = v.value.Namespace + "/" + v.value.Name
		}
	}
	for _, n := range g.nodes {
		own := append([]netip.Addr{n.value.IPv4.Addr(), n.value.IPv6.Addr(), n.value.IPIPTunnel, n.value.VXLANTunnel4,
			n.value.VXLANTunnel6, n.value.WireguardAddr4, n.value.WireguardAddr6}, n.value.Addresses...)
		if slices.Contains(own, addr) {
			s.node, s.host = n.value.Name, true
		}
	}
	return s
}

// noWorkload says that there is no such workload, and which have similar names.
func (g *engine) noWorkload(namespace, name string) error {
	near := map[string]bool{}
	elsewhere := map[string]bool{}
	for _, e := range g.workloads {
		id := e.value.ID
		if id.Namespace == namespace && (distance(id.Workload, name) <= max(1, len(name)/4) || strings.HasPrefix(id.Workload, name)) {
			near[id.Namespace+"/"+id.Workload] = true
		}
		if id.Workload == name {
			elsewhere[id.Namespace+"/"+id.Workload] = true
		}
	}
	maps.Copy(near, elsewhere)
	err := fmt.Errorf("workload %q in namespace %q: %w: must be NAMESPACE/POD, a WorkloadEndpoint or an address", name, namespace, errNoWorkload)
	if len(near) > 0 {
		names := slices.Sorted(maps.Keys(near))
		err = fmt.Errorf("workload %q in namespace %q: %w: did you mean %s?", name, namespace, errNoWorkload, strings.Join(names[:min(3, len(names))], " or "))
	}
	return err
}
