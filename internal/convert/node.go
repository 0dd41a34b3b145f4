package convert

import (
	"net/netip"
	"slices"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

func (p *problems) node(v *v3.Node) *model.Node {
	out := &model.Node{
		Name: p.key.Name, UID: string(v.UID), Labels: v.Labels, NoBGP: v.Spec.BGP == nil,
		VXLANMAC4: v.Spec.VXLANTunnelMACAddr, VXLANMAC6: v.Spec.VXLANTunnelMACAddrV6,
		WireguardKey4: v.Status.WireguardPublicKey, WireguardKey6: v.Status.WireguardPublicKeyV6,
		PodCIDRs: p.parsePrefixes("status.podCIDRs", v.Status.PodCIDRs),
	}
	if bgp := v.Spec.BGP; bgp != nil {
		out.IPv4 = p.nodeAddress("spec.bgp.ipv4Address", bgp.IPv4Address, 4)
		out.IPv6 = p.nodeAddress("spec.bgp.ipv6Address", bgp.IPv6Address, 6)
		out.IPIPTunnel = p.tunnelAddress("spec.bgp.ipv4IPIPTunnelAddr", bgp.IPv4IPIPTunnelAddr, 4)
		if bgp.ASNumber != nil {
			out.ASNumber = uint32(*bgp.ASNumber)
		}
		if bgp.RouteReflectorClusterID != "" {
			if id, ok := readAddr(bgp.RouteReflectorClusterID); ok && id.Is4() {
				out.RRClusterID = bgp.RouteReflectorClusterID
			} else {
				p.add("spec.bgp.routeReflectorClusterID", bgp.RouteReflectorClusterID, "must be written as an IPv4 address, as 244.0.0.1")
			}
		}
	}
	out.VXLANTunnel4 = p.tunnelAddress("spec.ipv4VXLANTunnelAddr", v.Spec.IPv4VXLANTunnelAddr, 4)
	out.VXLANTunnel6 = p.tunnelAddress("spec.ipv6VXLANTunnelAddr", v.Spec.IPv6VXLANTunnelAddr, 6)
	if wg := v.Spec.Wireguard; wg != nil {
		out.WireguardAddr4 = p.tunnelAddress("spec.wireguard.interfaceIPv4Address", wg.InterfaceIPv4Address, 4)
		out.WireguardAddr6 = p.tunnelAddress("spec.wireguard.interfaceIPv6Address", wg.InterfaceIPv6Address, 6)
	}
	for _, mac := range []struct{ path, text string }{
		{"spec.vxlanTunnelMACAddr", out.VXLANMAC4}, {"spec.vxlanTunnelMACAddrV6", out.VXLANMAC6},
	} {
		if mac.text != "" {
			p.parseMAC(mac.path, mac.text)
		}
	}
	out.Addresses = p.nodeAddresses(v, out)
	return out
}

// nodeAddress reads an address with its subnet; without one the subnet is the address alone. Host bits stay.
func (p *problems) nodeAddress(path, text string, want int) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	prefix, ok := readPrefix(text)
	if !ok || family(prefix) != want {
		example := "192.0.2.1/24"
		if want == 6 {
			example = "2001:db8::1/64"
		}
		p.add(path, text, "must be an IPv%d address with its subnet, as %s", want, example)
		return netip.Prefix{}
	}
	return prefix
}

func (p *problems) tunnelAddress(path, text string, want int) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	addr, _ := p.parseAddrOf(path, text, want)
	return addr
}

// nodeAddresses is every address that the object states, each once, sorted.
func (p *problems) nodeAddresses(v *v3.Node, out *model.Node) []netip.Addr {
	var addrs []netip.Addr
	for _, prefix := range []netip.Prefix{out.IPv4, out.IPv6} {
		if prefix.IsValid() {
			addrs = append(addrs, prefix.Addr())
		}
	}
	read := func(path, text string) {
		if prefix, ok := readPrefix(text); ok {
			addrs = append(addrs, prefix.Addr())
		} else {
			p.add(path, text, "must be an address, as 192.0.2.1 or 192.0.2.1/24")
		}
	}
	for i, a := range v.Spec.Addresses {
		read(index("spec.addresses", i)+".address", a.Address)
	}
	for i := range v.Spec.Interfaces {
		for j, text := range v.Spec.Interfaces[i].Addresses {
			read(index(index("spec.interfaces", i)+".addresses", j), text)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
