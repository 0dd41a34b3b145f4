package nft

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/model"
)

// matching is what a rule of the intent becomes: each variant is the match of one kernel rule, and a packet matches the
// rule if it matches one of them.
type matching struct {
	variants []nftnl.Expr
	uses     []*constant
	overlap  bool // a packet may match several variants
	missing  bool // a set that the rule names does not exist
}

// term is one condition.
type term = nftnl.Expr

// kindSet says of which kinds an intent's set has kernel sets; of the others it has no members.
type kindSet [numMemberKinds]bool

type setShape struct {
	typ   intent.SetType
	kinds kindSet
}

// shapes tells what a set is; false if it does not exist.
type shapes func(intent.SetID) (setShape, bool)

// match renders a rule's conditions (R69, R80 to R94).
func match(r *intent.Rule, sets shapes) matching {
	var m matching
	families := []uint8{r.IPVersion}
	if r.IPVersion == 0 && needsFamily(r) {
		families = []uint8{4, 6}
	}
	for _, family := range families {
		m.addFamily(r, family, sets)
	}
	return m
}

func needsFamily(r *intent.Rule) bool {
	side := func(e *intent.Entity) bool {
		return len(e.Nets)+len(e.NotNets)+len(e.Sets)+len(e.NotSets)+len(e.PortSets)+len(e.NotPortSets) > 0
	}
	icmp := (r.ICMP.Set || r.NotICMP.Set) && r.Protocol != model.ProtoICMP && r.Protocol != model.ProtoICMPv6
	return side(&r.Src) || side(&r.Dst) || icmp
}

func (m *matching) addFamily(r *intent.Rule, family uint8, sets shapes) {
	var terms []term
	if family != 0 {
		terms = append(terms, familyTerm(family))
	}
	proto := r.Protocol
	if proto == 0 && (r.ICMP.Set || r.NotICMP.Set) { // R93 asks for a protocol; without one only ICMP can be meant
		proto = model.ProtoICMP
		if family == 6 {
			proto = model.ProtoICMPv6
		}
	}
	if proto != 0 {
		terms = append(terms, protocolTerm(nftnl.Equal, proto))
	}
	if r.NotProtocol != 0 {
		terms = append(terms, protocolTerm(nftnl.NotEqual, r.NotProtocol))
	}
	if r.ICMP.Set {
		terms = append(terms, icmpTerm(r.ICMP))
	}
	if r.NotICMP.Set {
		terms = append(terms, m.notICMPTerm(r.NotICMP, proto))
	}
	var choices [][]term
	for _, side := range []struct {
		entity *intent.Entity
		side
	}{{&r.Dst, destination}, {&r.Src, source}} {
		s := sideMatch{matching: m, family: family, side: side.side, sets: sets}
		if !s.add(side.entity) {
			return
		}
		terms = append(terms, s.terms...)
		choices = append(choices, s.choices...)
	}
	variants := []nftnl.Expr{slices.Concat(terms...)}
	for _, alternatives := range choices {
		var next []nftnl.Expr
		for _, v := range variants {
			for _, a := range alternatives {
				next = append(next, slices.Concat(v, a))
			}
		}
		variants = next
	}
	m.overlap = m.overlap || len(variants) > 1
	m.variants = append(m.variants, variants...)
}

func familyTerm(family uint8) term {
	proto := nftnl.IPv4
	if family == 6 {
		proto = nftnl.IPv6
	}
	return slices.Concat(nftnl.LoadMeta(nftnl.MetaNFProto, nftnl.Reg), nftnl.Compare(nftnl.Reg, nftnl.Equal, []byte{byte(proto)}))
}

func protocolTerm(op nftnl.CmpOp, proto uint8) term {
	return slices.Concat(nftnl.LoadMeta(nftnl.MetaL4Proto, nftnl.Reg), nftnl.Compare(nftnl.Reg, op, []byte{proto}))
}

func icmpTerm(icmp model.ICMP) term {
	want := []byte{icmp.Type}
	if icmp.HasCode {
		want = append(want, icmp.Code)
	}
	return slices.Concat(nftnl.LoadPayload(nftnl.TransportHeader, 0, len(want), nftnl.Reg), nftnl.Compare(nftnl.Reg, nftnl.Equal, want))
}

// notICMPTerm is not (type and code), for which nft has no comparison, so a set of one element.
func (m *matching) notICMPTerm(icmp model.ICMP, proto uint8) term {
	loadType := nftnl.LoadPayload(nftnl.TransportHeader, 0, 1, nftnl.Reg)
	if !icmp.HasCode {
		return slices.Concat(loadType, nftnl.Compare(nftnl.Reg, nftnl.NotEqual, []byte{icmp.Type}))
	}
	key := nftnl.Concat(nftnl.TypeICMP, nftnl.TypeICMPCode)
	if proto == model.ProtoICMPv6 {
		key = nftnl.Concat(nftnl.TypeICMPv6, nftnl.TypeICMPv6Code)
	}
	name := "icmp-" + digest(16, key.Name, strconv.Itoa(int(icmp.Type)), strconv.Itoa(int(icmp.Code)))
	m.use(&constant{spec: nftnl.Set{Name: name, Key: key, Constant: true},
		elements: []nftnl.Element{{Key: []byte{icmp.Type, 0, 0, 0, icmp.Code, 0, 0, 0}}}})
	return slices.Concat(loadType, nftnl.LoadPayload(nftnl.TransportHeader, 1, 1, nftnl.Reg32(1)), nftnl.Lookup(nftnl.Reg, name, true))
}

// side says where the fields of a packet's source or destination are.
type side struct {
	addr4, addr6 int // offset in the network header
	port         int // offset in the transport header
}

var (
	source      = side{addr4: 12, addr6: 8, port: 0}
	destination = side{addr4: 16, addr6: 24, port: 2}
)

func (s side) loadAddr(family uint8) nftnl.Expr {
	if family == 6 {
		return nftnl.LoadPayload(nftnl.NetworkHeader, s.addr6, 16, nftnl.Reg)
	}
	return nftnl.LoadPayload(nftnl.NetworkHeader, s.addr4, 4, nftnl.Reg)
}

func (s side) loadPort(to nftnl.Register) nftnl.Expr {
	return nftnl.LoadPayload(nftnl.TransportHeader, s.port, 2, to)
}

// loadAddrPort loads the key of a port set: address, protocol and port, each from a 4-byte register on.
func (s side) loadAddrPort(family uint8) nftnl.Expr {
	n := 1
	if family == 6 {
		n = 4
	}
	return slices.Concat(s.loadAddr(family), nftnl.LoadMeta(nftnl.MetaL4Proto, nftnl.Reg32(n)), s.loadPort(nftnl.Reg32(n+1)))
}

// sideMatch collects the conditions on one side, for one family.
type sideMatch struct {
	*matching
	family  uint8
	side    side
	sets    shapes
	terms   []term   // all of them
	choices [][]term // one of each
}

// add reports false if no packet of the family can match.
func (s *sideMatch) add(e *intent.Entity) bool {
	nets, ok := ofFamily(e.Nets, s.family)
	if !ok {
		return false // R90
	}
	notNets, ok := ofFamily(e.NotNets, s.family)
	if !ok || slices.ContainsFunc(notNets, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		return false // R90, R91
	}
	if !s.ports(e) {
		return false
	}
	if len(nets) > 0 {
		s.nets(nets, false)
	}
	if len(notNets) > 0 {
		s.nets(notNets, true)
	}
	for _, id := range e.Sets {
		if !s.set(id, false) {
			return false
		}
	}
	for _, id := range e.NotSets {
		s.set(id, true)
	}
	return true
}

// ofFamily is the prefixes of a family, widest only, sorted; false if there are some, but none of the family.
func ofFamily(nets []netip.Prefix, family uint8) ([]netip.Prefix, bool) {
	var c cover
	keep := make(map[netip.Prefix]struct{})
	for _, p := range nets {
		if p.Addr().Is4() == (family == 4) {
			c.add(p.Masked(), func(q netip.Prefix) { keep[q] = struct{}{} }, func(q netip.Prefix) { delete(keep, q) })
		}
	}
	out := make([]netip.Prefix, 0, len(keep))
	for p := range keep {
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out, len(out) > 0 || len(nets) == 0
}

func (s *sideMatch) nets(nets []netip.Prefix, invert bool) {
	op := nftnl.Equal
	if invert {
		op = nftnl.NotEqual
	}
	switch p := nets[0]; {
	case p.Bits() == 0: // every packet of the family
	case len(nets) > 1:
		s.terms = append(s.terms, slices.Concat(s.side.loadAddr(s.family), nftnl.Lookup(nftnl.Reg, s.netSet(nets), invert)))
	case p.IsSingleIP():
		s.terms = append(s.terms, slices.Concat(s.side.loadAddr(s.family), nftnl.Compare(nftnl.Reg, op, p.Addr().AsSlice())))
	default:
		s.terms = append(s.terms, slices.Concat(s.side.loadAddr(s.family),
			nftnl.Bitwise(nftnl.Reg, nftnl.PrefixMask(p), make([]byte, p.Addr().BitLen()/8)),
			nftnl.Compare(nftnl.Reg, op, p.Addr().AsSlice())))
	}
}

func (s *sideMatch) netSet(nets []netip.Prefix) string {
	var text []string
	var elements []nftnl.Element
	key, name := nftnl.TypeIPv4, "nets4-"
	if s.family == 6 {
		key, name = nftnl.TypeIPv6, "nets6-"
	}
	for _, p := range nets {
		text = append(text, p.String())
		elements = appendPrefix(elements, p)
	}
	name += digest(16, text...)
	s.use(&constant{spec: nftnl.Set{Name: name, Key: key, Interval: true, Constant: true}, elements: elements})
	return name
}

func (m *matching) use(k *constant) {
	if !slices.ContainsFunc(m.uses, func(have *constant) bool { return have.spec.Name == k.spec.Name }) {
		m.uses = append(m.uses, k)
	}
}

// set reports false if the set must have the address, but has none of the family.
func (s *sideMatch) set(id intent.SetID, invert bool) bool {
	shape, ok := s.sets(id)
	if !ok || shape.typ != intent.SetAddrs {
		s.missing = true
		return true
	}
	kinds := []kind{kindAddr4, kindNet4}
	if s.family == 6 {
		kinds = []kind{kindAddr6, kindNet6}
	}
	var lookups []term
	for _, k := range kinds {
		if shape.kinds[k] {
			lookups = append(lookups, slices.Concat(s.side.loadAddr(s.family), nftnl.Lookup(nftnl.Reg, setName(id, k), invert)))
		}
	}
	switch {
	case invert:
		s.terms = append(s.terms, lookups...)
	case len(lookups) == 0:
		return false
	case len(lookups) == 1:
		s.terms = append(s.terms, lookups[0])
	default:
		s.choices = append(s.choices, lookups)
	}
	return true
}

// ports adds the conditions on ports (R80 to R85): numbers and port sets are alternatives of each other. It reports false
// if a port set must have the address, but none has one of the family.
func (s *sideMatch) ports(e *intent.Entity) bool {
	var alternatives []term
	if len(e.Ports) > 0 {
		alternatives = append(alternatives, s.portTerm(e.Ports, false))
	}
	for _, id := range e.PortSets {
		if t, ok := s.portSet(id, false); ok {
			alternatives = append(alternatives, t)
		}
	}
	switch len(alternatives) {
	case 0:
		if len(e.PortSets) > 0 && !s.missing {
			return false
		}
	case 1:
		s.terms = append(s.terms, alternatives[0])
	default:
		s.choices = append(s.choices, alternatives)
	}
	if len(e.NotPorts) > 0 {
		s.terms = append(s.terms, s.portTerm(e.NotPorts, true))
	}
	for _, id := range e.NotPortSets {
		if t, ok := s.portSet(id, true); ok {
			s.terms = append(s.terms, t)
		}
	}
	return true
}

func (s *sideMatch) portSet(id intent.SetID, invert bool) (term, bool) {
	shape, ok := s.sets(id)
	if !ok || shape.typ != intent.SetAddrPorts {
		s.missing = true
		return nil, false
	}
	k := kindPort4
	if s.family == 6 {
		k = kindPort6
	}
	if !shape.kinds[k] {
		return nil, false
	}
	return slices.Concat(s.side.loadAddrPort(s.family), nftnl.Lookup(nftnl.Reg, setName(id, k), invert)), true
}

func (s *sideMatch) portTerm(ranges []intent.PortRange, invert bool) term {
	ranges = mergePorts(ranges)
	load := s.side.loadPort(nftnl.Reg)
	first := ranges[0]
	low, high := port(first.Min), port(first.Max)
	switch {
	case len(ranges) > 1:
		return slices.Concat(load, nftnl.Lookup(nftnl.Reg, s.portConstant(ranges), invert))
	case first.Min == first.Max && invert:
		return slices.Concat(load, nftnl.Compare(nftnl.Reg, nftnl.NotEqual, low))
	case first.Min == first.Max:
		return slices.Concat(load, nftnl.Compare(nftnl.Reg, nftnl.Equal, low))
	case invert:
		return slices.Concat(load, nftnl.Outside(nftnl.Reg, low, high))
	}
	return slices.Concat(load, nftnl.Compare(nftnl.Reg, nftnl.GreaterOrEqual, low), nftnl.Compare(nftnl.Reg, nftnl.LessOrEqual, high))
}

func port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

// mergePorts sorts ranges and joins those that touch or overlap.
func mergePorts(ranges []intent.PortRange) []intent.PortRange {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b intent.PortRange) int { return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max)) })
	out := sorted[:1]
	for _, r := range sorted[1:] {
		if end := &out[len(out)-1]; int(r.Min) <= int(end.Max)+1 {
			end.Max = max(end.Max, r.Max)
		} else {
			out = append(out, r)
		}
	}
	return out
}

func (s *sideMatch) portConstant(ranges []intent.PortRange) string {
	var text []string
	var elements []nftnl.Element
	for _, r := range ranges {
		text = append(text, strconv.Itoa(int(r.Min))+"-"+strconv.Itoa(int(r.Max)))
		elements = append(elements, nftnl.Element{Key: port(r.Min)})
		if r.Max < 0xffff {
			elements = append(elements, nftnl.Element{Key: port(r.Max + 1), End: true})
		}
	}
	name := "ports-" + digest(16, text...)
	s.use(&constant{spec: nftnl.Set{Name: name, Key: nftnl.TypeService, Interval: true, Constant: true}, elements: elements})
	return name
}
