package route

import "net/netip"

// owners is who states an address. A cluster has as many as it has pods.
type owners struct {
	v4 map[[4]byte]uint32
	v6 map[[16]byte]uint32
}

func newOwners() owners { return owners{map[[4]byte]uint32{}, map[[16]byte]uint32{}} }

func (o owners) len() int { return len(o.v4) + len(o.v6) }

func (o owners) get(a netip.Addr) (owner uint32, ok bool) {
	if a.Is4() {
		owner, ok = o.v4[a.As4()]
	} else {
		owner, ok = o.v6[a.As16()]
	}
	return owner, ok
}

func (o owners) set(a netip.Addr, owner uint32) {
	if a.Is4() {
		o.v4[a.As4()] = owner
	} else {
		o.v6[a.As16()] = owner
	}
}

func (o owners) remove(a netip.Addr) {
	if a.Is4() {
		delete(o.v4, a.As4())
	} else {
		delete(o.v6, a.As16())
	}
}

// each calls f for every address.
func (o owners) each(f func(netip.Addr)) {
	for a := range o.v4 {
		f(netip.AddrFrom4(a))
	}
	for a := range o.v6 {
		f(netip.AddrFrom16(a))
	}
}
