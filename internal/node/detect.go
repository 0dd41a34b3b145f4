package node

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Interface is an interface of the host, as detection sees it.
type Interface struct {
	Name      string
	Index     int
	Up        bool
	Addresses []netip.Prefix // with their subnets
}

// skipped are interfaces that never carry the node's own address (features.md §1.14).
var skipped = regexp.MustCompile(`^(docker.*|cbr.*|dummy.*|virbr.*|lxcbr.*|veth.*|lo|cali.*|tunl.*|flannel.*|kube-ipvs.*|cni.*|vxlan\..*|wireguard\..*|wg-v6\..*|br-.*)$`)

// Detect finds the node's address of a family (4 or 6) by one of Calico's methods: "first-found", "interface=REGEX[,…]",
// "skip-interface=REGEX[,…]", "cidr=CIDR[,…]", "can-reach=ADDRESS" (route is asked for the local address that packets to
// it would have). It says also how it found it, for people.
func Detect(method string, family int, ifaces []Interface, route func(netip.Addr) (netip.Addr, error)) (netip.Prefix, string, error) {
	name, arg, _ := strings.Cut(method, "=")
	usable := func(i Interface) bool { return i.Up && !skipped.MatchString(i.Name) }
	accept := func(netip.Prefix) bool { return true }
	switch name {
	case "", "first-found":
	case "interface", "skip-interface":
		res, err := patterns(arg)
		if err != nil {
			return netip.Prefix{}, "", fmt.Errorf("address detection %q: %w", method, err)
		}
		matches := func(i Interface) bool {
			return slices.ContainsFunc(res, func(r *regexp.Regexp) bool { return r.MatchString(i.Name) })
		}
		if name == "interface" {
			usable = func(i Interface) bool { return i.Up && matches(i) }
		} else {
			usable = func(i Interface) bool { return i.Up && !skipped.MatchString(i.Name) && !matches(i) }
		}
	case "cidr":
		var nets []netip.Prefix
		for _, text := range strings.Split(arg, ",") {
			p, err := netip.ParsePrefix(strings.TrimSpace(text))
			if err != nil {
				return netip.Prefix{}, "", fmt.Errorf("address detection %q: %w", method, err)
			}
			nets = append(nets, p.Masked())
		}
		accept = func(p netip.Prefix) bool {
			return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(p.Addr()) })
		}
	case "can-reach":
		dst, err := netip.ParseAddr(arg)
		if err != nil {
			return netip.Prefix{}, "", fmt.Errorf("address detection %q: %w", method, err)
		}
		if dst.Is4() != (family == 4) {
			return netip.Prefix{}, "", fmt.Errorf("address detection %q: not an IPv%d address", method, family)
		}
		src, err := route(dst)
		if err != nil {
			return netip.Prefix{}, "", fmt.Errorf("address detection %q: %w", method, err)
		}
		usable = func(i Interface) bool { return i.Up }
		accept = func(p netip.Prefix) bool { return p.Addr() == src }
	default:
		return netip.Prefix{}, "", fmt.Errorf("address detection method %q: allowed are first-found, interface=REGEX, skip-interface=REGEX, cidr=CIDR, can-reach=ADDRESS", method)
	}

	ordered := slices.Clone(ifaces)
	slices.SortFunc(ordered, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	for _, i := range ordered {
		if !usable(i) {
			continue
		}
		for _, p := range i.Addresses {
			if p.Addr().Is4() == (family == 4) && p.Addr().IsGlobalUnicast() && accept(p) {
				return p, fmt.Sprintf("%s on %s", cmp.Or(method, "first-found"), i.Name), nil
			}
		}
	}
	return netip.Prefix{}, "", fmt.Errorf("address detection %q: no interface has an IPv%d address that fits", cmp.Or(method, "first-found"), family)
}

func patterns(list string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, text := range strings.Split(list, ",") {
		r, err := regexp.Compile("^(?:" + strings.TrimSpace(text) + ")$")
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Interfaces lists the host's interfaces, of the network namespace of the calling thread.
func Interfaces() ([]Interface, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []Interface
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it vanished meanwhile
		}
		e := Interface{Name: i.Name, Index: i.Index, Up: i.Flags&net.FlagUp != 0}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				e.Addresses = append(e.Addresses, p)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// LocalAddress is the source address that this host would use towards dst; nothing is sent.
func LocalAddress(dst netip.Addr) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
