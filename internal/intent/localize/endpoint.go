package localize

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
)

func (l *Localizer) setEndpoint(id string, e *intent.Endpoint) {
	if e == nil {
		delete(l.endpoints, id)
	} else {
		l.endpoints[id] = e
	}
	l.remake(id)
}

// joined is the interface and addresses of a workload: those that CNI bound, else those that the stored object states
// (a workload that something other than CNI made).
func (l *Localizer) joined(e *intent.Endpoint) (Binding, bool) {
	if b, ok := l.bindings[e.ID]; ok {
		return b, true
	}
	if e.Interface == "" || len(e.Addresses) == 0 {
		return Binding{}, false
	}
	return Binding{Workload: e.Workload, ContainerID: e.ContainerID, Interface: e.Interface, MAC: e.MAC, Addresses: e.Addresses}, true
}

// remake makes a workload's objects anew: its dispatch entry, its memberships, its routes, its interface's settings.
// Without intent or without binding there are none: the interface stays closed (R4).
func (l *Localizer) remake(id string) {
	var refs []intent.Ref
	var members []localMember
	want := func(o intent.Object) {
		l.want(o.Ref(), o)
		refs = append(refs, o.Ref())
	}

	e := l.endpoints[id]
	if e != nil && l.config != nil {
		if b, ok := l.joined(e); ok {
			want(&intent.LocalEndpoint{
				ID: id, Workload: e.Workload, Interface: b.Interface, MAC: b.MAC, Addresses: b.Addresses,
				Tiers: e.Tiers, Profiles: e.Profiles, SourcePrefixes: e.SourcePrefixes,
			})
			for _, addr := range b.Addresses {
				want(l.workloadRoute(addr, b))
			}
			for _, s := range interfaceSysctls(b.Interface, l.config.IPv6) {
				want(s)
			}
			members = memberships(e.Memberships, b.Addresses)
		}
	}

	for _, ref := range refs {
		if ref.Kind == intent.KindRoute {
			l.workload[ref]++
		}
	}
	for _, ref := range l.parts[id] {
		if ref.Kind == intent.KindRoute {
			if l.workload[ref]--; l.workload[ref] <= 0 {
				delete(l.workload, ref)
			}
		}
		if contains(refs, ref) {
			continue
		}
		if r, ok := l.given[ref].(*intent.Route); ok {
			l.routes[r.Prefix] = true // what else the prefix may lead to now
		}
		l.want(ref, nil)
	}
	if len(refs) == 0 {
		delete(l.parts, id)
	} else {
		l.parts[id] = refs
	}
	l.sets.setLocal(id, members)
}

func contains(refs []intent.Ref, ref intent.Ref) bool {
	for _, r := range refs {
		if r == ref {
			return true
		}
	}
	return false
}

func (l *Localizer) workloadRoute(addr netip.Addr, b Binding) *intent.Route {
	metric := l.config.RoutePriority4
	if addr.Is6() {
		metric = l.config.RoutePriority6
	}
	prefix := netip.PrefixFrom(addr, addr.BitLen())
	return &intent.Route{
		ID: prefix.String(), Prefix: prefix, Type: intent.RouteUnicast, Owner: intent.RouteWorkload,
		Device: b.Interface, Metric: metric, Neighbour: b.MAC,
	}
}

// memberships are the set members that an endpoint with these addresses is.
func memberships(ms []intent.Membership, addrs []netip.Addr) []localMember {
	var out []localMember
	for _, m := range ms {
		for _, addr := range addrs {
			prefix := netip.PrefixFrom(addr, addr.BitLen())
			if m.Ports == nil {
				out = append(out, localMember{m.Set, intent.Member{Prefix: prefix}})
				continue
			}
			for _, p := range m.Ports {
				out = append(out, localMember{m.Set, intent.Member{Prefix: prefix, Proto: p.Protocol, Port: p.Port}})
			}
		}
	}
	return out
}

// interfaceSysctls are the settings of a workload's host side (store-layout §3.2). Reverse path filtering is the policy
// plane's, for both families alike, so the kernel's own is off.
func interfaceSysctls(name string, ipv6 bool) []*intent.Sysctl {
	v4, n4 := "net/ipv4/conf/"+name+"/", "net/ipv4/neigh/"+name+"/"
	out := []*intent.Sysctl{
		{Path: v4 + "forwarding", Value: "1"},
		{Path: v4 + "proxy_arp", Value: "1"},
		{Path: v4 + "route_localnet", Value: "1"},
		{Path: v4 + "rp_filter", Value: "0"},
		{Path: n4 + "proxy_delay", Value: "0"},
	}
	if ipv6 {
		v6 := "net/ipv6/conf/" + name + "/"
		for _, s := range [][2]string{{"accept_ra", "0"}, {"forwarding", "1"}, {"accept_dad", "0"}, {"proxy_ndp", "1"}} {
			out = append(out, &intent.Sysctl{Path: v6 + s[0], Value: s[1], Optional: true})
		}
	}
	return out
}

// localMember is a member that a workload of this node contributes to a set.
type localMember struct {
	set    intent.SetID
	member intent.Member
}
