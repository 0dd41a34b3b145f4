package node

import (
	"errors"
	"net/netip"
	"testing"
)

var host = []Interface{
	{Name: "lo", Index: 1, Up: true, Addresses: prefixes("127.0.0.1/8", "::1/128")},
	{Name: "docker0", Index: 2, Up: true, Addresses: prefixes("172.17.0.1/16")},
	{Name: "eth1", Index: 3, Up: false, Addresses: prefixes("10.9.0.1/24")},
	{Name: "bond0", Index: 4, Up: true, Addresses: prefixes("192.0.2.7/24", "fe80::1/64", "2001:db8::7/64")},
	{Name: "eth0", Index: 5, Up: true, Addresses: prefixes("198.51.100.7/24")},
	{Name: "cali0123456789a", Index: 6, Up: true, Addresses: prefixes("203.0.113.1/32")},
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func TestDetect(t *testing.T) {
	route := func(netip.Addr) (netip.Addr, error) { return netip.MustParseAddr("198.51.100.7"), nil }
	for _, c := range []struct {
		method string
		family int
		want   string
	}{
		{"", 4, "192.0.2.7/24"},
		{"first-found", 6, "2001:db8::7/64"},
		{"interface=eth.*", 4, "198.51.100.7/24"},
		{"interface=docker0", 4, "172.17.0.1/16"},
		{"skip-interface=bond.*", 4, "198.51.100.7/24"},
		{"cidr=198.51.100.0/24,10.0.0.0/8", 4, "198.51.100.7/24"},
		{"can-reach=203.0.113.9", 4, "198.51.100.7/24"},
	} {
		got, how, err := Detect(c.method, c.family, host, route)
		if err != nil || got.String() != c.want || how == "" {
			t.Errorf("%q IPv%d: %v (%q), %v; want %s", c.method, c.family, got, how, err, c.want)
		}
	}
}

func TestDetectSaysWhatIsWrong(t *testing.T) {
	route := func(netip.Addr) (netip.Addr, error) { return netip.Addr{}, errors.New("network is unreachable") }
	for method, want := range map[string]string{
		"fastest":           `address detection method "fastest": allowed are first-found, interface=REGEX, skip-interface=REGEX, cidr=CIDR, can-reach=ADDRESS`,
		"cidr=10.0.0.0/33":  `address detection "cidr=10.0.0.0/33": netip.ParsePrefix("10.0.0.0/33"): prefix length out of range`,
		"can-reach=1.1.1.1": `address detection "can-reach=1.1.1.1": network is unreachable`,
		"interface=wlan9":   `address detection "interface=wlan9": no interface has an IPv4 address that fits`,
	} {
		if _, _, err := Detect(method, 4, host, route); err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %s", method, err, want)
		}
	}
}
