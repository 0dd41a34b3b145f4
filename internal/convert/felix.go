package convert

import (
	"regexp"
	"strings"

	v3 "github.com/tortie-net/tortie/api/v3"
)

// felixDefaults fills what the schema fills: Calico's client writes these fields into every object.
func felixDefaults(spec *v3.FelixConfigurationSpec) {
	setDefault(&spec.NFTablesMode, "Auto")
	setDefault(&spec.NFTablesFlowTableOffload, "Disabled")
	setDefault(&spec.BPFConnectTimeLoadBalancing, "TCP")
	setDefault(&spec.BPFHostNetworkedNATWithoutCTLB, "Enabled")
	setDefault(&spec.FloatingIPs, "Disabled")
}

// felixFields checks the fields of a FelixConfiguration that have a structure.
func (p *problems) felixFields(v *v3.FelixConfiguration) {
	s := &v.Spec
	p.failsafe("spec.failsafeInboundHostPorts", s.FailsafeInboundHostPorts)
	p.failsafe("spec.failsafeOutboundHostPorts", s.FailsafeOutboundHostPorts)
	if s.RouteTableRange != nil {
		p.tableRange("spec.routeTableRange", *s.RouteTableRange, maxClassicTable)
	}
	for i, r := range s.RouteTableRanges {
		p.tableRange(index("spec.routeTableRanges", i), r, maxTable)
	}
	for i, text := range s.ExternalNodesList {
		p.parsePrefix(index("spec.externalNodesList", i), text)
	}
}

// The highest routing table: of the older field one byte, of the newer what rtnetlink carries.
const (
	maxClassicTable = 250
	maxTable        = 1<<32 - 1
)

func (p *problems) tableRange(path string, r v3.RouteTableRange, most int) {
	if r.Min < 1 || r.Max > most || r.Min > r.Max {
		p.add(path, nil, "min %d, max %d: must be 1 to %d, min not above max", r.Min, r.Max, most)
	}
}

// failsafe checks ports that are always open.
func (p *problems) failsafe(path string, ports []v3.ProtoPort) {
	for i, port := range ports {
		at := index(path, i)
		if port.Protocol != "" && !strings.EqualFold(port.Protocol, "tcp") && !strings.EqualFold(port.Protocol, "udp") {
			p.add(at+".protocol", port.Protocol, "%s", oneOf("TCP", "UDP"))
		}
		p.portNumber(at+".port", int64(port.Port))
		if port.Net != "" {
			p.parsePrefix(at+".net", port.Net)
		}
	}
}

// regularExpression checks the pattern of a field; empty means unset.
func (p *problems) regularExpression(path, text string) {
	if _, err := regexp.Compile(text); err != nil {
		p.add(path, text, "must be a regular expression: %v", err)
	}
}
