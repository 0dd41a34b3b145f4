package route

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
)

// The protocol numbers of routes (rtnetlink(7)). Protocol is Tortie's own: it says in the kernel itself which routes a
// restarted agent may sweep. It must not be Felix's, which deletes routes of its number that it did not want, nor BIRD's.
const (
	Protocol       = 84
	ProtocolDevice = 3  // "boot": workload routes as Calico makes them (deviceRouteProtocol); owned by their interface
	protocolKernel = 2  // the kernel's own: connected prefixes
	protocolRA     = 9  // router advertisements
	protocolBIRD   = 12 // a predecessor's
	protocolFelix  = 80 // a predecessor's
)

// takeable says that a route of this protocol may be replaced in place by one that is wanted: Tortie's own and what
// Calico's processes leave behind (design §3.16).
func takeable(protocol uint8, device uint8) bool {
	switch protocol {
	case Protocol, ProtocolDevice, protocolFelix, protocolBIRD, device:
		return true
	}
	return false
}

// predecessor says that the route is from a process whose work Tortie takes over. Boot is not among them: an
// administrator's "ip route add" makes the same.
func predecessor(protocol uint8) bool { return protocol == protocolFelix || protocol == protocolBIRD }

// want is one kernel route that an intent object asks for.
type want struct {
	id    string // of the intent object
	route *intent.Route
	rank  int // what the kernel must know before what leans on it: 0 on a link, 1 through a gateway

	prefix    netip.Prefix
	metric    int
	gateways  []netip.Addr
	neighbour bool
}

func (w want) key() kernel.RouteKey {
	return kernel.Route{Prefix: w.prefix, Metric: w.metric}.Key()
}

// wants says what one object asks for: its route and, for an IPv6 gateway that is said to be on the link, a host route
// to the gateway, because the kernel refuses it while the gateway resolves through another interface.
func wants(r *intent.Route) []want {
	w := want{id: r.ID, route: r, prefix: r.Prefix.Masked(), metric: r.Metric, gateways: r.NextHops}
	w.neighbour = r.Neighbour != "" && r.Device != "" && w.prefix.IsSingleIP()
	if len(r.NextHops) > 0 {
		w.rank = 1
	}
	out := []want{w}
	if !r.OnLink || r.Device == "" {
		return out
	}
	for _, hop := range r.NextHops {
		if hop.Is6() && !hop.IsLinkLocalUnicast() {
			p := netip.PrefixFrom(hop, 128)
			if p != w.prefix {
				out = append(out, want{id: r.ID, route: r, prefix: p, metric: r.Metric})
			}
		}
	}
	return out
}

// invalid says why no kernel route can be made of it.
func invalid(r *intent.Route) error {
	switch {
	case !r.Prefix.IsValid():
		return fmt.Errorf("route %s: prefix is not valid", r.ID)
	case r.Type == intent.RouteBlackhole:
		return nil
	case r.Type != intent.RouteUnicast:
		return fmt.Errorf("route %s: type %d: must be unicast or blackhole", r.ID, r.Type)
	case r.Device == "" && len(r.NextHops) == 0:
		return fmt.Errorf("route %s: needs a device or a next hop", r.ID)
	case r.OnLink && r.Device == "":
		return fmt.Errorf("route %s: onlink needs a device", r.ID)
	}
	for _, hop := range r.NextHops {
		if !hop.IsValid() || hop.IsUnspecified() {
			return fmt.Errorf("route %s: next hop %v is not an address", r.ID, hop)
		}
		if hop.IsLinkLocalUnicast() && hop.Is6() && r.Device == "" {
			return fmt.Errorf("route %s: link-local next hop %v needs a device", r.ID, hop)
		}
	}
	return nil
}

// compile makes the kernel route. The interface is given by number.
func (w want) compile(link int, device uint8) kernel.Route {
	r := w.route
	out := kernel.Route{Prefix: w.prefix, Metric: w.key().Metric, Table: kernel.TableMain, Kind: kernel.Unicast, Protocol: Protocol}
	if r.Owner == intent.RouteWorkload {
		out.Protocol = device
	}
	if r.Type == intent.RouteBlackhole {
		out.Kind = kernel.Blackhole
		return out
	}
	out.MTU = r.MTU
	if len(w.gateways) == 0 {
		out.NextHops = []kernel.NextHop{{Link: link}}
		return out
	}
	seen := map[netip.Addr]bool{}
	for _, hop := range w.gateways {
		hop = hop.Unmap()
		if !seen[hop] {
			seen[hop] = true
			out.NextHops = append(out.NextHops, kernel.NextHop{Gateway: hop, Link: link, OnLink: r.OnLink})
		}
	}
	return out
}

// compareWants orders those that want the same kernel route: a local workload before everything learned.
func compareWants(a, b want) int {
	return cmp.Or(cmp.Compare(a.route.Owner, b.route.Owner), -cmp.Compare(a.rank, b.rank), strings.Compare(a.id, b.id))
}

// table is the wanted kernel routes by their key; the first of a list wins.
type table map[kernel.RouteKey][]want

func (t table) add(w want) {
	if len(t[w.key()]) == 0 {
		t[w.key()] = []want{w}
		return
	}
	list := append(slices.Clone(t[w.key()]), w)
	slices.SortFunc(list, compareWants)
	t[w.key()] = list
}

func (t table) remove(w want) {
	list := slices.DeleteFunc(slices.Clone(t[w.key()]), func(o want) bool { return o.id == w.id && o.rank == w.rank })
	if len(list) == 0 {
		delete(t, w.key())
		return
	}
	t[w.key()] = list
}

func (t table) winner(k kernel.RouteKey) (want, bool) {
	list := t[k]
	if len(list) == 0 {
		return want{}, false
	}
	return list[0], true
}
