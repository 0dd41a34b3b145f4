package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

type setter = func(v *Values, text string) error

func notOneOf(allowed []string) error {
	return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
}

// choice accepts one of the texts, whatever its case.
func choice(field func(*Values) *string, allowed ...string) setter {
	return func(v *Values, text string) error {
		i := slices.IndexFunc(allowed, func(a string) bool { return strings.EqualFold(a, text) })
		if i < 0 {
			return notOneOf(allowed)
		}
		*field(v) = allowed[i]
		return nil
	}
}

func enabled(field func(*Values) *bool) setter {
	return func(v *Values, text string) error {
		if !strings.EqualFold(text, "Enabled") && !strings.EqualFold(text, "Disabled") {
			return notOneOf([]string{"Enabled", "Disabled"})
		}
		*field(v) = strings.EqualFold(text, "Enabled")
		return nil
	}
}

func boolean(field func(*Values) *bool) setter {
	return func(v *Values, text string) error {
		switch strings.ToLower(text) {
		case "true", "1", "yes", "y", "t":
			*field(v) = true
		case "false", "0", "no", "n", "f":
			*field(v) = false
		default:
			return notOneOf([]string{"true", "false"})
		}
		return nil
	}
}

func integer(low, high int, field func(*Values) *int) setter {
	return func(v *Values, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		*field(v) = n
		return nil
	}
}

func port(low int, field func(*Values) *uint16) setter {
	return func(v *Values, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > 65535 {
			return fmt.Errorf("must be a port number from %d to 65535", low)
		}
		*field(v) = uint16(n)
		return nil
	}
}

func text(longest int, field func(*Values) *string) setter {
	return func(v *Values, text string) error {
		if len(text) > longest {
			return fmt.Errorf("must be at most %d bytes", longest)
		}
		*field(v) = text
		return nil
	}
}

func hostName(field func(*Values) *string) setter {
	return func(v *Values, text string) error {
		if !consistsOf(text, 64, "_.:+-") && text != "" {
			return errors.New("must be a host name or an address, 1 to 64 of letters, digits, '.', ':', '_', '+', '-'")
		}
		*field(v) = text
		return nil
	}
}

// rate accepts "" and "10/minute".
func rate(field func(*Values) *string) setter {
	return func(v *Values, text string) error {
		number, unit, _ := strings.Cut(text, "/")
		n, err := strconv.Atoi(number)
		known := slices.Contains([]string{"second", "minute", "hour", "day"}, unit)
		if text != "" && (err != nil || n < 1 || n > 9999 || !known || number[0] == '+') {
			return errors.New(`must be like "10/minute": 1 to 9999 per second, minute, hour or day`)
		}
		*field(v) = text
		return nil
	}
}

func interfacePrefixes(v *Values, text string) error {
	list := strings.Split(text, ",")
	for _, prefix := range list {
		if !consistsOf(prefix, 15, "_-") {
			return errors.New("must be one prefix of interface names or several with commas between, 1 to 15 of letters, digits, '_', '-' each")
		}
	}
	v.InterfacePrefixes = list
	return nil
}

// markMask accepts a mask that leaves room for Tortie's marks.
func markMask(v *Values, text string) error {
	n, err := strconv.ParseUint(text, 0, 32)
	bits := 0
	for m := n; m != 0; m &= m - 1 {
		bits++
	}
	if err != nil || bits < 2 {
		return errors.New("must be a 32-bit mask with at least 2 bits set, such as 0xffff0000")
	}
	v.MarkMask = uint32(n)
	return nil
}

func routeRefresh(v *Values, text string) error {
	d, err := Duration(text)
	v.RouteRefresh = d
	return err
}

func natAddress(v *Values, text string) error {
	if text == "" {
		v.NATOutgoingAddress = netip.Addr{}
		return nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return errors.New("must be an IPv4 address")
	}
	v.NATOutgoingAddress = a
	return nil
}

// natPorts accepts "", "n" and "n:m".
func natPorts(v *Values, text string) error {
	v.NATPorts = [2]uint16{}
	if text == "" {
		return nil
	}
	low, high, both := strings.Cut(text, ":")
	if !both {
		high = low
	}
	from, err1 := strconv.ParseUint(low, 10, 16)
	to, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || from > to {
		return errors.New("must be a port number or two with a colon between, lowest first, such as 20000:29999")
	}
	v.NATPorts = [2]uint16{uint16(from), uint16(to)}
	return nil
}

// protoPorts accepts "none" and a list of "[protocol:[network:]]port", protocol TCP where it is left out.
func protoPorts(field func(*Values) *[]ProtoPort) setter {
	return func(v *Values, text string) error {
		var list []ProtoPort
		if !strings.EqualFold(text, "none") {
			for _, entry := range strings.Split(text, ",") {
				p, err := protoPort(strings.TrimSpace(entry))
				if err != nil {
					return fmt.Errorf("%q: %w", entry, err)
				}
				list = append(list, p)
			}
		}
		*field(v) = list
		return nil
	}
}

func protoPort(entry string) (ProtoPort, error) {
	allowed := errors.New(`must be like tcp:22 or udp:10.0.0.0/8:53, with tcp, udp or sctp, or "none"`)
	o := ProtoPort{Protocol: model.ProtoTCP}
	protocol, rest, found := strings.Cut(entry, ":")
	if !found {
		rest = entry
	} else {
		switch strings.ToLower(protocol) {
		case "tcp":
		case "udp":
			o.Protocol = model.ProtoUDP
		case "sctp":
			o.Protocol = model.ProtoSCTP
		default:
			return o, allowed
		}
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		network, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(rest[:i]))
		if err != nil {
			return o, allowed
		}
		o.Net, rest = network.Masked(), rest[i+1:]
	}
	n, err := strconv.ParseUint(rest, 10, 16)
	if err != nil {
		return o, allowed
	}
	o.Port = uint16(n)
	return o, nil
}

// consistsOf tells whether text is 1 to longest ASCII letters, digits and others.
func consistsOf(text string, longest int, others string) bool {
	if len(text) == 0 || len(text) > longest {
		return false
	}
	for _, c := range text {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune(others, c) {
			return false
		}
	}
	return true
}
