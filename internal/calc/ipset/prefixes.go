package ipset

import (
	"iter"
	"net/netip"
)

// prefixes is a list of prefixes in five bytes each, or seventeen of IPv6: the length (IPv6: plus ipv6Length) and the
// address.
type prefixes string

const ipv6Length = 64

func packPrefixes(list []netip.Prefix) prefixes {
	if len(list) == 0 {
		return ""
	}
	var room [64]byte
	b := room[:0]
	for _, p := range list {
		if a := p.Addr(); a.Is4() {
			raw := a.As4()
			b = append(append(b, byte(p.Bits())), raw[:]...)
		} else if p.IsValid() {
			raw := a.As16()
			b = append(append(b, byte(p.Bits()+ipv6Length)), raw[:]...)
		}
	}
	return prefixes(b)
}

// all are the prefixes, in their order.
func (s prefixes) all() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for len(s) > 0 {
			var p netip.Prefix
			if bits := int(s[0]); bits < ipv6Length {
				p, s = netip.PrefixFrom(netip.AddrFrom4([4]byte([]byte(s[1:5]))), bits), s[5:]
			} else {
				p, s = netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(s[1:17]))), bits-ipv6Length), s[17:]
			}
			if !yield(p) {
				return
			}
		}
	}
}
