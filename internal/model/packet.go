package model

import "net/netip"

// Packet is the first packet of a flow, as policy sees it: after DNAT, before SNAT (R100).
type Packet struct {
	Src, Dst         netip.Addr // one family
	Proto            uint8      // IANA number
	SrcPort, DstPort uint16     // 0 where the protocol has none
	ICMPType         uint8
	ICMPCode         uint8
}

// IP protocol numbers.
const (
	ProtoICMP    = 1
	ProtoIPIP    = 4
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoICMPv6  = 58
	ProtoSCTP    = 132
	ProtoUDPLite = 136
)

// Verdict is what one endpoint's policy says of a packet in one direction, and who said it. The evaluators that must
// agree (policy, intent/trace, the kernel by its counters) all give it.
type Verdict struct {
	Allowed bool
	Tier    string // the deciding tier; empty: a profile, or nothing at all decided
	Policy  string // Key.String() of the deciding policy; empty: the tier's default action, or a profile
	Profile string // the deciding profile
	Rule    int    // index of the deciding rule; -1: no rule, the end of tier or of the profiles
}
