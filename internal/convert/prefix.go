package convert

import (
	"net"
	"net/netip"
	"strings"
)

// parsePrefix reads "10.0.0.0/8" or a bare address, which stands for its /32 or /128. Host bits are cleared. Zones and
// IPv4-mapped IPv6 are refused: no packet carries the first, and the second would be one family in the clothes of another.
func (p *problems) parsePrefix(path, text string) (netip.Prefix, bool) {
	if prefix, ok := readPrefix(text); ok {
		return prefix.Masked(), true
	}
	p.add(path, text, "must be an address or CIDR, as 10.0.0.0/8 or 2001:db8::/32")
	return netip.Prefix{}, false
}

func readPrefix(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		addr, ok := readAddr(text)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return prefix, true
}

// parseCIDR is parsePrefix for fields in which a bare address has no meaning.
func (p *problems) parseCIDR(path, text string) (netip.Prefix, bool) {
	if strings.Contains(text, "/") {
		if prefix, ok := readPrefix(text); ok {
			return prefix.Masked(), true
		}
	}
	p.add(path, text, "must be a CIDR, as 10.0.0.0/8 or 2001:db8::/32")
	return netip.Prefix{}, false
}

// parseAddr reads an address.
func (p *problems) parseAddr(path, text string) (netip.Addr, bool) {
	addr, ok := readAddr(text)
	if !ok {
		p.add(path, text, "must be an IP address, as 192.0.2.1 or 2001:db8::1")
	}
	return addr, ok
}

func readAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		return netip.Addr{}, false
	}
	return addr, true
}

// parseAddrOf is parseAddr for one family: 4, 6, or 0 for both.
func (p *problems) parseAddrOf(path, text string, family int) (netip.Addr, bool) {
	addr, ok := p.parseAddr(path, text)
	if ok && family != 0 && (family == 4) != addr.Is4() {
		p.add(path, text, "must be an IPv%d address", family)
		return netip.Addr{}, false
	}
	return addr, ok
}

// parsePrefixes reads a list of nets; wrong ones are noted and left out.
func (p *problems) parsePrefixes(path string, texts []string) []netip.Prefix {
	if len(texts) == 0 {
		return nil
	}
	nets := make([]netip.Prefix, 0, len(texts))
	for i, text := range texts {
		if prefix, ok := p.parsePrefix(index(path, i), text); ok {
			nets = append(nets, prefix)
		}
	}
	return nets
}

// parseMAC checks a hardware address of six bytes.
func (p *problems) parseMAC(path, text string) {
	if mac, err := net.ParseMAC(text); err != nil || len(mac) != 6 {
		p.add(path, text, "must be a MAC address, as ee:ee:ee:ee:ee:ee")
	}
}

// family is 4 or 6.
func family(prefix netip.Prefix) int {
	if prefix.Addr().Is4() {
		return 4
	}
	return 6
}
