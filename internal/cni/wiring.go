package cni

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/tortie-net/tortie/internal/kernel"
)

// What every workload sees of its node: one neighbour, the same on all nodes, with permanent entries, so that no first
// packet waits for ARP and nothing depends on the node's own routes.
const hostMAC = "ee:ee:ee:ee:ee:ee"

var (
	gatewayIPv4 = netip.MustParseAddr("169.254.1.1")
	gatewayIPv6 = netip.MustParseAddr("fe80::ecee:eeff:feee:eeee") // the link-local address that hostMAC gives
	defaultIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	defaultIPv6 = netip.MustParsePrefix("::/0")
)

// protocolBoot marks the routes inside workloads, as "ip route add" does.
const protocolBoot = 3

// wiring is what the configuration says beside the entry.
type wiring struct {
	queues  int
	forward bool // the workload may forward packets
}

func (r *request) wiring() wiring {
	return wiring{queues: r.conf.NumQueues, forward: r.conf.ContainerSettings.AllowIPForwarding}
}

func hasFamily(addrs []netip.Addr, four bool) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is4() == four })
}

// wire makes the pair and configures both ends. The workload's end is born in its namespace, under a name that is
// nobody's, and gets its own before it is up: a namespace that has that interface already is left as it was.
//
// The settings of the host's end are written here once, when it is made; plane/sysctl holds those that the intent
// names.
func (s *Server) wire(e entry, w wiring, netns *kernel.Namespace) error {
	b := e.Binding
	ipv6 := hasFamily(b.Addresses, false)
	if ipv6 && !kernel.IPv6Enabled(s.o.Namespace) {
		return badConf("workload %v has an IPv6 address, but IPv6 is off on this node", b.Workload)
	}
	inside, err := kernel.Open(netns)
	if err != nil {
		return types.NewError(types.ErrInvalidNetNS, err.Error(), "")
	}
	defer inside.Close()
	if _, err := inside.Link(b.IfName); !errors.Is(err, kernel.ErrNoLink) {
		if err == nil {
			err = fmt.Errorf("interface %s exists already in the workload's namespace", b.IfName)
		}
		return err
	}
	born := bornName(b)
	steps := []struct {
		point string
		do    func() error
	}{
		{"veth.add", func() error {
			return s.host.AddVeth(kernel.Veth{
				Name: b.Interface, MAC: hostMAC, PeerName: born, PeerMAC: b.MAC, PeerNamespace: netns, MTU: e.MTU, Queues: w.queues,
			})
		}},
		{"workload.rename", func() error { return inside.RenameLink(born, b.IfName) }},
		{"workload.settings", func() error { return inside.Sysctls().WriteAll(insideSettings(b.IfName, w.forward, ipv6)) }},
		{"host.settings", func() error { return s.host.Sysctls().WriteAll(s.hostSettings(b.Interface)) }},
		{"host.up", func() error { return s.host.SetLinkUp(b.Interface) }},
		{"host.linklocal", func() error {
			if !ipv6 {
				return nil
			}
			return s.host.AddAddress(b.Interface, netip.PrefixFrom(gatewayIPv6, 64))
		}},
		{"workload.up", func() error { return inside.SetLinkUp(b.IfName) }},
		{"workload.addresses", func() error { return addAddresses(inside, b) }},
		{"workload.routes", func() error { return addRoutes(inside, e) }},
	}
	for _, step := range steps {
		s.crash(step.point)
		if err := step.do(); err != nil {
			return fmt.Errorf("wire workload %v: %w", b.Workload, err)
		}
	}
	return nil
}

// bornName is the workload's end until it is renamed.
func bornName(b Binding) string {
	sum := sha1.Sum([]byte(b.ContainerID + "/" + b.IfName))
	return "tortie" + hex.EncodeToString(sum[:])[:9]
}

// hostSettings are those of the host's end: proxy ARP and NDP for workloads that have lost their neighbour entries,
// answered at once, and forwarding. Reverse path filtering is policy's.
func (s *Server) hostSettings(name string) []kernel.Setting {
	v4 := "net/ipv4/conf/" + name + "/"
	out := []kernel.Setting{
		{Path: v4 + "route_localnet", Value: "1"},
		{Path: "net/ipv4/neigh/" + name + "/proxy_delay", Value: "0"},
		{Path: v4 + "proxy_arp", Value: "1"},
		{Path: v4 + "forwarding", Value: "1"},
		{Path: v4 + "rp_filter", Value: "0"},
	}
	if !kernel.IPv6Enabled(s.o.Namespace) {
		return out
	}
	v6 := "net/ipv6/conf/" + name + "/"
	return append(out,
		kernel.Setting{Path: v6 + "disable_ipv6", Value: "0"},
		kernel.Setting{Path: v6 + "accept_dad", Value: "0"},
		kernel.Setting{Path: v6 + "accept_ra", Value: "0"},
		kernel.Setting{Path: v6 + "proxy_ndp", Value: "1"},
		kernel.Setting{Path: "net/ipv6/neigh/" + name + "/proxy_delay", Value: "0"},
		kernel.Setting{Path: v6 + "forwarding", Value: "1"},
	)
}

// insideSettings are those of the workload's namespace. Forwarding comes first: writing it resets others.
func insideSettings(ifName string, forward, ipv6 bool) []kernel.Setting {
	value := "0"
	if forward {
		value = "1"
	}
	out := []kernel.Setting{{Path: "net/ipv4/ip_forward", Value: value}}
	if !ipv6 {
		return out
	}
	for _, name := range []string{"all", "default", ifName} {
		out = append(out, kernel.Setting{Path: "net/ipv6/conf/" + name + "/disable_ipv6", Value: "0"})
	}
	return append(out,
		kernel.Setting{Path: "net/ipv6/conf/all/forwarding", Value: value},
		kernel.Setting{Path: "net/ipv6/conf/" + ifName + "/accept_dad", Value: "0"},
		kernel.Setting{Path: "net/ipv6/conf/" + ifName + "/accept_ra", Value: "0"},
	)
}

func addAddresses(h *kernel.Handle, b Binding) error {
	for _, a := range b.Addresses {
		if err := h.AddAddress(b.IfName, netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	return nil
}

// insideRoutes are the routes and the neighbours of the workload's end.
func insideRoutes(e entry, link int) ([]kernel.Route, []kernel.Neighbour) {
	var routes []kernel.Route
	var neighbours []kernel.Neighbour
	via := func(gateway netip.Addr, prefixes ...netip.Prefix) {
		for _, p := range prefixes {
			if p.Addr().Is4() == gateway.Is4() {
				routes = append(routes, kernel.Route{
					Prefix: p, Kind: kernel.Unicast, Protocol: protocolBoot, NextHops: []kernel.NextHop{{Gateway: gateway, Link: link}},
				})
			}
		}
		neighbours = append(neighbours, kernel.Neighbour{Link: link, Addr: gateway, MAC: hostMAC, Permanent: true})
	}
	if hasFamily(e.Binding.Addresses, true) {
		routes = append(routes, kernel.Route{
			Prefix: netip.PrefixFrom(gatewayIPv4, 32), Kind: kernel.Unicast, Protocol: protocolBoot, NextHops: []kernel.NextHop{{Link: link}},
		})
		via(gatewayIPv4, e.Routes...)
	}
	if hasFamily(e.Binding.Addresses, false) {
		via(gatewayIPv6, e.Routes...)
	}
	return routes, neighbours
}

func addRoutes(h *kernel.Handle, e entry) error {
	l, err := h.Link(e.Binding.IfName)
	if err != nil {
		return err
	}
	routes, neighbours := insideRoutes(e, l.Index)
	var writes []kernel.RouteWrite
	for _, r := range routes {
		writes = append(writes, kernel.RouteWrite{Route: r, Operation: kernel.RouteReplace})
	}
	errs, _ := h.WriteRoutes(writes)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var entries []kernel.NeighbourWrite
	for _, n := range neighbours {
		entries = append(entries, kernel.NeighbourWrite{Neighbour: n})
	}
	errs, _ = h.WriteNeighbours(entries)
	return errors.Join(errs...)
}
