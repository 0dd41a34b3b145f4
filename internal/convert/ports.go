package convert

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// protocolNumbers are the protocols that have a name in the API; the name is matched without regard to case.
var protocolNumbers = [...]struct {
	name   string
	number uint8
}{
	{"TCP", model.ProtoTCP}, {"UDP", model.ProtoUDP}, {"ICMP", model.ProtoICMP}, {"ICMPv6", model.ProtoICMPv6},
	{"SCTP", model.ProtoSCTP}, {"UDPLite", model.ProtoUDPLite},
}

// protocolNumber reads a protocol's name, or its number as text.
func protocolNumber(text string) (uint8, bool) {
	for _, p := range protocolNumbers {
		if strings.EqualFold(p.name, text) {
			return p.number, true
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return uint8(n), err == nil && n > 0
}

// parseProtocol reads protocol and notProtocol.
func (p *problems) parseProtocol(path, text string) uint8 {
	number, ok := protocolNumber(text)
	if !ok {
		p.add(path, text, "must be TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255")
	}
	return number
}

// hasPorts says whether rules may match ports of a protocol by number (R83).
func hasPorts(protocol uint8) bool {
	return protocol == model.ProtoTCP || protocol == model.ProtoUDP || protocol == model.ProtoSCTP
}

// parsePort reads "80", "90:100" or the name of a port.
func (p *problems) parsePort(path, text string) (model.Port, bool) {
	first, last, isRange := strings.Cut(text, ":")
	if !isRange && !allDigits(text) {
		if !isPortName(text) {
			p.add(path, text, "must be a port from 1 to 65535, a range as 90:100, or the name of a port")
			return model.Port{}, false
		}
		return model.Port{Name: text}, true
	}
	if !isRange {
		last = first
	}
	low, errLow := strconv.ParseUint(first, 10, 16)
	high, errHigh := strconv.ParseUint(last, 10, 16)
	if errLow != nil || errHigh != nil || low > high {
		p.add(path, text, "must be a port from 1 to 65535, a range as 90:100, or the name of a port")
		return model.Port{}, false
	}
	if high == 0 { // model.Port would take it for a name, and no packet has it
		p.add(path, text, "must be a port from 1 to 65535: 0 alone matches no packet")
		return model.Port{}, false
	}
	return model.Port{Min: uint16(low), Max: uint16(high)}, true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// maxPortName is the longest name of a port, in bytes: Calico's limit; Kubernetes' own is 15.
const maxPortName = 128

// isPortName says whether a text can be the name of a port. Without a letter it is a wrong number, as "-1".
func isPortName(name string) bool {
	letters := 0
	for i := range len(name) {
		c := name[i]
		switch lower := c | 0x20; {
		case lower >= 'a' && lower <= 'z':
			letters++
		case c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return letters > 0 && len(name) <= maxPortName
}

// portName checks the name of a port.
func (p *problems) portName(path, name string) bool {
	if !isPortName(name) {
		p.add(path, name, "must be at most %d letters, digits, '-', '_' and '.', with a letter in it", maxPortName)
		return false
	}
	return true
}

// mergePorts joins numeric ports into the fewest ranges, ascending, with the names behind them, each once.
func mergePorts(ports []model.Port) []model.Port {
	var names, ranges []model.Port
	for _, port := range ports {
		switch {
		case port.Name == "":
			ranges = append(ranges, port)
		case !slices.Contains(names, port):
			names = append(names, port)
		}
	}
	slices.SortFunc(ranges, func(a, b model.Port) int { return int(a.Min) - int(b.Min) })
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && int(r.Min) <= int(merged[n-1].Max)+1 {
			merged[n-1].Max = max(merged[n-1].Max, r.Max)
			continue
		}
		merged = append(merged, r)
	}
	return append(merged, names...)
}

func nets(prefixes ...netip.Prefix) []netip.Prefix { return prefixes }

// portNumber checks the port of an endpoint or service.
func (p *problems) portNumber(path string, n int64) (uint16, bool) {
	if n < 1 || n > 65535 {
		p.add(path, n, "must be 1 to 65535")
		return 0, false
	}
	return uint16(n), true
}
