package nft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
)

// kind tells how a set's elements are encoded.
type kind uint8

const (
	kindAddr4 kind = iota // whole addresses, hash
	kindAddr6
	kindNet4 // prefixes, interval
	kindNet6
	kindPort4 // address . protocol . port, hash
	kindPort6
	kindRows       // interfaces
	numMemberKinds = kindRows
)

func (k kind) suffix() string {
	return [...]string{".4", ".6", ".4net", ".6net", ".4port", ".6port", ""}[k]
}

func (k kind) ipv6() bool { return k == kindAddr6 || k == kindNet6 || k == kindPort6 }

func (k kind) spec(id intent.SetID) nftnl.Set {
	addr := nftnl.TypeIPv4
	if k.ipv6() {
		addr = nftnl.TypeIPv6
	}
	s := nftnl.Set{Name: setName(id, k), Key: addr}
	switch k {
	case kindNet4, kindNet6:
		s.Interval = true
	case kindPort4, kindPort6:
		s.Key = nftnl.Concat(addr, nftnl.TypeProtocol, nftnl.TypeService)
	}
	return s
}

// member is an element of an address or port set: address (IPv4 in the first 4 bytes), then prefix length or protocol,
// then port.
type member [19]byte

func memberOf(m intent.Member, t intent.SetType) (member, kind, bool) {
	var out member
	p := m.Prefix
	if !p.IsValid() || p.Addr().Is4In6() {
		return out, 0, false
	}
	copy(out[:16], p.Masked().Addr().AsSlice())
	is6 := p.Addr().Is6()
	pick := func(k4, k6 kind) kind {
		if is6 {
			return k6
		}
		return k4
	}
	if t == intent.SetAddrPorts {
		if !p.IsSingleIP() {
			return out, 0, false
		}
		out[16] = m.Proto
		binary.BigEndian.PutUint16(out[17:], m.Port)
		return out, pick(kindPort4, kindPort6), true
	}
	out[16] = byte(p.Bits())
	if p.IsSingleIP() {
		return out, pick(kindAddr4, kindAddr6), true
	}
	return out, pick(kindNet4, kindNet6), true
}

func (m member) addr(k kind) netip.Addr {
	if k.ipv6() {
		return netip.AddrFrom16([16]byte(m[:16]))
	}
	return netip.AddrFrom4([4]byte(m[:4]))
}

func (m member) prefix(k kind) netip.Prefix { return netip.PrefixFrom(m.addr(k), int(m[16])) }

func netMember(p netip.Prefix) member {
	var m member
	copy(m[:16], p.Addr().AsSlice())
	m[16] = byte(p.Bits())
	return m
}

// elements is elements on their way into a batch. Their keys share memory: a load has hundreds of thousands.
type elements struct {
	list []nftnl.Element
	keys []byte
}

// add appends the elements that a member is in the kernel: a prefix is a range, its begin and its end.
func (e *elements) add(k kind, m member) {
	n := 4
	if k.ipv6() {
		n = 16
	}
	from := len(e.keys)
	switch k {
	case kindNet4, kindNet6:
		e.list = appendPrefix(e.list, m.prefix(k))
		return
	case kindPort4, kindPort6:
		e.keys = append(e.keys, m[:n]...)
		e.keys = append(e.keys, m[16], 0, 0, 0, m[17], m[18], 0, 0)
	default:
		e.keys = append(e.keys, m[:n]...)
	}
	e.list = append(e.list, nftnl.Element{Key: e.keys[from:len(e.keys):len(e.keys)]})
}

// reset makes room for the next set's; those that are in a batch are no longer needed.
func (e *elements) reset() { e.list, e.keys = e.list[:0], e.keys[:0] }

func appendPrefix(out []nftnl.Element, p netip.Prefix) []nftnl.Element {
	first := p.Addr().AsSlice()
	out = append(out, nftnl.Element{Key: first})
	if end := following(last(p)); end != nil {
		out = append(out, nftnl.Element{Key: end, End: true})
	}
	return out
}

// last is the last address of a prefix.
func last(p netip.Prefix) []byte {
	b := p.Addr().AsSlice()
	for i, mask := range nftnl.PrefixMask(p) {
		b[i] |= ^mask
	}
	return b
}

// following is the key behind b, nil if b is the last of all.
func following(b []byte) []byte {
	b = slices.Clone(b)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b
		}
	}
	return nil
}

// parse reads an element of a hash set.
func (k kind) parse(e nftnl.Element) (member, bool) {
	var m member
	n, bits := 4, 32
	if k.ipv6() {
		n, bits = 16, 128
	}
	switch {
	case k == kindPort4 || k == kindPort6:
		if len(e.Key) != n+8 {
			return m, false
		}
		m[16] = e.Key[n]
		copy(m[17:19], e.Key[n+4:])
	case len(e.Key) != n:
		return m, false
	default:
		m[16] = byte(bits)
	}
	copy(m[:16], e.Key[:n])
	return m, true
}

// ranges reads the elements of an interval set. ok is false if some are no prefixes.
func ranges(k kind, elements []nftnl.Element) (members map[member]struct{}, ok bool) {
	slices.SortFunc(elements, func(a, b nftnl.Element) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		if a.End == b.End {
			return 0
		}
		if a.End {
			return -1
		}
		return 1
	})
	members = make(map[member]struct{}, len(elements)/2)
	var begin []byte
	add := func(end []byte) bool { // end nil: to the last address
		p, ok := prefixBetween(begin, end)
		if ok {
			members[netMember(p)] = struct{}{}
		}
		begin = nil
		return ok
	}
	for _, e := range elements {
		switch {
		case !e.End && begin == nil:
			begin = e.Key
		case e.End && begin != nil:
			if !add(e.Key) {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	if begin != nil && !add(nil) {
		return nil, false
	}
	return members, true
}

func prefixBetween(begin, end []byte) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(begin)
	if !ok {
		return netip.Prefix{}, false
	}
	for bits := range addr.BitLen() {
		p := netip.PrefixFrom(addr, bits)
		if p.Masked() == p && bytes.Equal(following(last(p)), end) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// cover is the prefixes of one family that a set has. Only those that no other contains go to the kernel, which does not
// take ranges that overlap.
type cover struct {
	all     map[netip.Prefix]struct{}
	lengths *[129]int32 // how many have this length; nil until there are some, since most sets have none
}

func (c *cover) covered(p netip.Prefix) bool {
	for bits := range p.Bits() {
		if c.lengths[bits] == 0 {
			continue
		}
		if wider, err := p.Addr().Prefix(bits); err == nil {
			if _, ok := c.all[wider]; ok {
				return true
			}
		}
	}
	return false
}

// inside calls do for the prefixes that lie within p, without p itself.
func (c *cover) inside(p netip.Prefix, do func(netip.Prefix)) {
	for q := range c.all {
		if q.Bits() > p.Bits() && p.Contains(q.Addr()) {
			do(q)
		}
	}
}

func (c *cover) add(p netip.Prefix, desire, forget func(netip.Prefix)) {
	if _, ok := c.all[p]; ok {
		return
	}
	if c.all == nil {
		c.all, c.lengths = make(map[netip.Prefix]struct{}), new([129]int32)
	}
	c.all[p] = struct{}{}
	c.lengths[p.Bits()]++
	if c.covered(p) {
		return
	}
	c.inside(p, forget)
	desire(p)
}

func (c *cover) remove(p netip.Prefix, desire, forget func(netip.Prefix)) {
	if _, ok := c.all[p]; !ok {
		return
	}
	delete(c.all, p)
	c.lengths[p.Bits()]--
	if c.covered(p) {
		return
	}
	forget(p)
	c.inside(p, func(q netip.Prefix) {
		if !c.covered(q) {
			desire(q)
		}
	})
}
