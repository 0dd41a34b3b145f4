package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// RouteKind is a route's type, numbered as in rtnetlink(7).
type RouteKind uint8

// The kinds.
const (
	Unicast     RouteKind = unix.RTN_UNICAST
	Blackhole   RouteKind = unix.RTN_BLACKHOLE
	Unreachable RouteKind = unix.RTN_UNREACHABLE
)

// TableMain is the main routing table.
const TableMain = unix.RT_TABLE_MAIN

// metricIPv6 is what the kernel makes of metric 0 in IPv6.
const metricIPv6 = 1024

// NextHop is one way on.
type NextHop struct {
	Gateway netip.Addr // zero: directly on the link
	Link    int        // interface index; 0: the kernel finds it by the gateway
	OnLink  bool       // the gateway is on Link even if no route says so
}

// Route is a kernel route.
type Route struct {
	Prefix   netip.Prefix
	Metric   int
	Table    int // 0: main
	Kind     RouteKind
	Protocol uint8 // who made it (rtnetlink(7), /etc/iproute2/rt_protos)
	NextHops []NextHop
	MTU      int // 0: the interface's
}

// RouteKey identifies a route in the main table: a family has one route for each prefix and metric, apart from those
// that differ in the type of service.
type RouteKey struct {
	Prefix netip.Prefix
	Metric int
}

// Key is the route's identity, with the metric that the kernel really gives it.
func (r Route) Key() RouteKey {
	metric := r.Metric
	if metric == 0 && r.Prefix.Addr().Is6() {
		metric = metricIPv6
	}
	return RouteKey{r.Prefix.Masked(), metric}
}

// Equal says that both do the same. Next hops may be in any order; a next hop without an interface equals one with.
func (r Route) Equal(o Route) bool {
	if r.Key() != o.Key() || r.Kind != o.Kind || r.Protocol != o.Protocol || r.MTU != o.MTU ||
		len(r.NextHops) != len(o.NextHops) {
		return false
	}
	a, b := r.NextHops, o.NextHops
	if len(a) > 1 {
		a, b = sortedHops(a), sortedHops(b)
	}
	return slices.EqualFunc(a, b, func(x, y NextHop) bool {
		return x.Gateway == y.Gateway && (x.Link == y.Link || x.Link == 0 || y.Link == 0) && x.OnLink == y.OnLink
	})
}

func sortedHops(hops []NextHop) []NextHop {
	out := slices.Clone(hops)
	slices.SortFunc(out, func(x, y NextHop) int {
		if c := x.Gateway.Compare(y.Gateway); c != 0 {
			return c
		}
		return x.Link - y.Link
	})
	return out
}

// Uses says whether a next hop is on the interface.
func (r Route) Uses(link int) bool {
	return slices.ContainsFunc(r.NextHops, func(n NextHop) bool { return n.Link == link })
}

func (r Route) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "route %v", r.Prefix)
	if r.Kind == Blackhole {
		b.WriteString(" blackhole")
	}
	for _, n := range r.NextHops {
		if n.Gateway.IsValid() {
			fmt.Fprintf(&b, " via %v", n.Gateway)
		}
		if n.Link != 0 {
			fmt.Fprintf(&b, " interface %d", n.Link)
		}
	}
	fmt.Fprintf(&b, " metric %d", r.Key().Metric)
	return b.String()
}

// Routes lists the routes of the main table, both families.
func (h *Handle) Routes() ([]Route, error) {
	var routes []Route
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		before := len(routes)
		body := make([]byte, unix.SizeofRtMsg)
		body[0], body[4] = family, unix.RT_TABLE_MAIN
		err := h.raw.dump(unix.RTM_GETROUTE, body, func() { routes = routes[:before] }, func(data []byte) error {
			// A kernel without the family answers with all families.
			if len(data) < unix.SizeofRtMsg || data[0] != family || binary.NativeEndian.Uint32(data[8:])&unix.RTM_F_CLONED != 0 {
				return nil
			}
			r, err := decodeRoute(data)
			if err == nil && r.Table == TableMain && data[3] == 0 {
				routes = append(routes, r)
			}
			return err
		})
		if family == unix.AF_INET6 && unsupported(err) {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
	}
	return routes, nil
}

// RouteOperation is what a step of WriteRoutes does.
type RouteOperation uint8

// The operations.
const (
	RouteAdd     RouteOperation = iota // ErrRouteExists when there is one with the same prefix and metric
	RouteReplace                       // add, or take the place of what is there
	RouteDelete                        // only if its protocol is the same (0: any); no error if there is none
)

// ErrRouteExists is RouteAdd's reason.
var ErrRouteExists = errors.New("there is another route with this prefix and metric")

// RouteWrite is one step of WriteRoutes.
type RouteWrite struct {
	Route     Route
	Operation RouteOperation
}

// WriteRoutes does the steps in order, in few system calls, and returns one error for each and the bytes sent.
func (h *Handle) WriteRoutes(writes []RouteWrite) ([]error, int) {
	msgs := make([]message, len(writes))
	for i, w := range writes {
		switch w.Operation {
		case RouteDelete:
			msgs[i] = message{unix.RTM_DELROUTE, 0, encodeRoute(w.Route, true)}
		case RouteReplace:
			msgs[i] = message{unix.RTM_NEWROUTE, unix.NLM_F_CREATE | unix.NLM_F_REPLACE, encodeRoute(w.Route, false)}
		default:
			msgs[i] = message{unix.RTM_NEWROUTE, unix.NLM_F_CREATE | unix.NLM_F_EXCL, encodeRoute(w.Route, false)}
		}
	}
	errs, bytes := h.raw.transact(msgs)
	for i, err := range errs {
		w := writes[i]
		switch {
		case err == nil:
		case w.Operation == RouteDelete && gone(err):
			errs[i] = nil
		case w.Operation == RouteDelete:
			errs[i] = fmt.Errorf("%v: delete: %w", w.Route, err)
		case w.Operation == RouteAdd && errors.Is(err, unix.EEXIST):
			errs[i] = fmt.Errorf("%v: add: %w", w.Route, ErrRouteExists)
		case w.Operation == RouteAdd:
			errs[i] = fmt.Errorf("%v: add: %w", w.Route, err)
		default:
			errs[i] = fmt.Errorf("%v: replace: %w", w.Route, err)
		}
	}
	return errs, bytes
}

func encodeRoute(r Route, del bool) []byte {
	addr := r.Prefix.Addr()
	b := make([]byte, unix.SizeofRtMsg)
	b[0] = family(addr)
	b[1] = uint8(r.Prefix.Bits())
	table := r.Table
	if table == 0 {
		table = TableMain
	}
	b[4] = uint8(min(table, 255))
	b[5] = r.Protocol
	b[6] = unix.RT_SCOPE_UNIVERSE
	b[7] = uint8(r.Kind)
	if del {
		b[6] = unix.RT_SCOPE_NOWHERE // matches any
	} else if addr.Is4() && r.Kind == Unicast && !slices.ContainsFunc(r.NextHops, func(n NextHop) bool { return n.Gateway.IsValid() }) {
		b[6] = unix.RT_SCOPE_LINK
	}
	b = appendAttr(b, unix.RTA_DST, r.Prefix.Masked().Addr().AsSlice())
	b = appendAttr32(b, unix.RTA_TABLE, uint32(table))
	if m := r.Key().Metric; m != 0 {
		b = appendAttr32(b, unix.RTA_PRIORITY, uint32(m))
	}
	if del {
		return b // prefix, metric, type and protocol say which; IPv6 then takes all next hops at once
	}
	if r.MTU > 0 {
		b = appendAttr(b, unix.RTA_METRICS, appendAttr32(nil, unix.RTAX_MTU, uint32(r.MTU)))
	}
	switch len(r.NextHops) {
	case 0:
	case 1:
		n := r.NextHops[0]
		if n.OnLink {
			binary.NativeEndian.PutUint32(b[8:], unix.RTNH_F_ONLINK)
		}
		b = appendGateway(b, addr, n.Gateway)
		if n.Link != 0 {
			b = appendAttr32(b, unix.RTA_OIF, uint32(n.Link))
		}
	default:
		b = appendAttr(b, unix.RTA_MULTIPATH, encodeHops(addr, r.NextHops))
	}
	return b
}

// encodeHops writes struct rtnexthop for each: length, flags, hops, interface, then its attributes.
func encodeHops(dst netip.Addr, hops []NextHop) []byte {
	var out []byte
	for _, n := range sortedHops(hops) {
		attrs := appendGateway(nil, dst, n.Gateway)
		out = binary.NativeEndian.AppendUint16(out, uint16(unix.SizeofRtNexthop+len(attrs)))
		flags := byte(0)
		if n.OnLink {
			flags = unix.RTNH_F_ONLINK
		}
		out = append(out, flags, 0)
		out = binary.NativeEndian.AppendUint32(out, uint32(n.Link))
		out = append(out, attrs...)
	}
	return out
}

// appendGateway writes a gateway of the route's own family, or an IPv6 one for an IPv4 route (RFC 8950).
func appendGateway(b []byte, dst, gateway netip.Addr) []byte {
	if !gateway.IsValid() {
		return b
	}
	if dst.Is4() == gateway.Is4() {
		return appendAttr(b, unix.RTA_GATEWAY, gateway.AsSlice())
	}
	via := binary.NativeEndian.AppendUint16(nil, uint16(family(gateway)))
	return appendAttr(b, unix.RTA_VIA, append(via, gateway.AsSlice()...))
}

func decodeRoute(b []byte) (Route, error) {
	if len(b) < unix.SizeofRtMsg {
		return Route{}, fmt.Errorf("route message of %d bytes", len(b))
	}
	r := Route{Table: int(b[4]), Protocol: b[5], Kind: RouteKind(b[7])}
	flags := binary.NativeEndian.Uint32(b[8:])
	dst := netip.IPv4Unspecified()
	if b[0] == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	var single NextHop
	err := eachAttr(b[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.RTA_DST:
			if a, ok := netip.AddrFromSlice(v); ok {
				dst = a
			}
		case unix.RTA_TABLE:
			r.Table = int(u32(v))
		case unix.RTA_PRIORITY:
			r.Metric = int(u32(v))
		case unix.RTA_OIF:
			single.Link = int(u32(v))
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			single.Gateway = decodeGateway(kind, v)
		case unix.RTA_METRICS:
			_ = eachAttr(v, func(kind uint16, v []byte) {
				if kind == unix.RTAX_MTU {
					r.MTU = int(u32(v))
				}
			})
		case unix.RTA_MULTIPATH:
			r.NextHops = decodeHops(v)
		}
	})
	r.Prefix = netip.PrefixFrom(dst, int(b[1]))
	// IPv6 shows loopback as the interface of a blackhole: it is none of its next hops.
	if r.Kind == Unicast && r.NextHops == nil && (single.Link != 0 || single.Gateway.IsValid()) {
		single.OnLink = flags&unix.RTNH_F_ONLINK != 0
		r.NextHops = []NextHop{single}
	}
	return r, err
}

func decodeHops(b []byte) []NextHop {
	var hops []NextHop
	for len(b) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtNexthop || length > len(b) {
			break
		}
		n := NextHop{Link: int(binary.NativeEndian.Uint32(b[4:])), OnLink: b[2]&unix.RTNH_F_ONLINK != 0}
		_ = eachAttr(b[unix.SizeofRtNexthop:length], func(kind uint16, v []byte) {
			if kind == unix.RTA_GATEWAY || kind == unix.RTA_VIA {
				n.Gateway = decodeGateway(kind, v)
			}
		})
		hops = append(hops, n)
		b = b[min(align(length), len(b)):]
	}
	return hops
}

func decodeGateway(kind uint16, v []byte) netip.Addr {
	if kind == unix.RTA_VIA && len(v) > 2 {
		v = v[2:]
	}
	a, _ := netip.AddrFromSlice(v)
	return a
}

func u32(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
