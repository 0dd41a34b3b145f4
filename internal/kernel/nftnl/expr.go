package nftnl

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Expr is one encoded expression of a rule, or several in a row. The constructors below make what `nft` makes of the
// syntax that their comments name, so that a rule built of them reads well in `nft list ruleset`.
type Expr []byte

// Register is where expressions leave values for each other: 16 bytes each, or four of 4 bytes.
type Register uint32

// Reg is the register for single values. Reg32 are the 4-byte parts of the same space, from Reg's beginning, for keys of
// several fields.
const Reg Register = unix.NFT_REG_1

// Reg32 is the n-th 4-byte register, 0 to 15; Reg covers the first four.
func Reg32(n int) Register { return Register(unix.NFT_REG32_00 + n) }

func expression(name string, data func(b []byte) []byte) Expr {
	b, elem := openNest(make([]byte, 0, 64), unix.NFTA_LIST_ELEM)
	b = appendString(b, unix.NFTA_EXPR_NAME, name)
	b, at := openNest(b, unix.NFTA_EXPR_DATA)
	b = data(b)
	b = closeNest(b, at)
	return closeNest(b, elem)
}

// MetaKey is a property of a packet that is not in it.
type MetaKey uint32

// The keys in use.
const (
	MetaMark    MetaKey = unix.NFT_META_MARK
	MetaIIFName MetaKey = unix.NFT_META_IIFNAME
	MetaOIFName MetaKey = unix.NFT_META_OIFNAME
	MetaNFProto MetaKey = unix.NFT_META_NFPROTO
	MetaL4Proto MetaKey = unix.NFT_META_L4PROTO
)

// LoadMeta is `meta KEY`.
func LoadMeta(key MetaKey, to Register) Expr {
	return expression("meta", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_META_KEY, uint32(key))
		return appendU32(b, unix.NFTA_META_DREG, uint32(to))
	})
}

// SetMeta is `meta KEY set …`, from a register.
func SetMeta(key MetaKey, from Register) Expr {
	return expression("meta", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_META_KEY, uint32(key))
		return appendU32(b, unix.NFTA_META_SREG, uint32(from))
	})
}

// CtKey is a property of a packet's connection.
type CtKey uint32

// The keys in use.
const (
	CtState CtKey = unix.NFT_CT_STATE
	CtMark  CtKey = unix.NFT_CT_MARK
)

// The bits of CtState.
const (
	CtStateInvalid     = 1
	CtStateEstablished = 2
	CtStateRelated     = 4
)

// LoadCt is `ct KEY`.
func LoadCt(key CtKey, to Register) Expr {
	return expression("ct", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_CT_KEY, uint32(key))
		return appendU32(b, unix.NFTA_CT_DREG, uint32(to))
	})
}

// Header is the header that LoadPayload counts from.
type Header uint32

// The headers.
const (
	NetworkHeader   Header = unix.NFT_PAYLOAD_NETWORK_HEADER
	TransportHeader Header = unix.NFT_PAYLOAD_TRANSPORT_HEADER
)

// LoadPayload is a field of a header. The rule does not match a packet that is too short.
func LoadPayload(base Header, offset, length int, to Register) Expr {
	return expression("payload", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_PAYLOAD_DREG, uint32(to))
		b = appendU32(b, unix.NFTA_PAYLOAD_BASE, uint32(base))
		b = appendU32(b, unix.NFTA_PAYLOAD_OFFSET, uint32(offset))
		return appendU32(b, unix.NFTA_PAYLOAD_LEN, uint32(length))
	})
}

// CmpOp is a comparison.
type CmpOp uint32

// The comparisons.
const (
	Equal          CmpOp = unix.NFT_CMP_EQ
	NotEqual       CmpOp = unix.NFT_CMP_NEQ
	LessOrEqual    CmpOp = unix.NFT_CMP_LTE
	GreaterOrEqual CmpOp = unix.NFT_CMP_GTE
)

// Compare goes on only if the register stands so to the value, which is compared as bytes.
func Compare(reg Register, op CmpOp, value []byte) Expr {
	return expression("cmp", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_CMP_SREG, uint32(reg))
		b = appendU32(b, unix.NFTA_CMP_OP, uint32(op))
		return appendValue(b, unix.NFTA_CMP_DATA, value)
	})
}

// Outside goes on only if the register is below from or above to: `!= from-to`.
func Outside(reg Register, from, to []byte) Expr {
	return expression("range", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_RANGE_SREG, uint32(reg))
		b = appendU32(b, unix.NFTA_RANGE_OP, unix.NFT_RANGE_NEQ)
		b = appendValue(b, unix.NFTA_RANGE_FROM_DATA, from)
		return appendValue(b, unix.NFTA_RANGE_TO_DATA, to)
	})
}

func appendValue(b []byte, typ uint16, value []byte) []byte {
	b, at := openNest(b, typ)
	b = appendAttr(b, unix.NFTA_DATA_VALUE, value)
	return closeNest(b, at)
}

// Bitwise makes the register (reg & mask) ^ xor.
func Bitwise(reg Register, mask, xor []byte) Expr {
	return expression("bitwise", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_BITWISE_SREG, uint32(reg))
		b = appendU32(b, unix.NFTA_BITWISE_DREG, uint32(reg))
		b = appendU32(b, unix.NFTA_BITWISE_LEN, uint32(len(mask)))
		b = appendValue(b, unix.NFTA_BITWISE_MASK, mask)
		return appendValue(b, unix.NFTA_BITWISE_XOR, xor)
	})
}

// HostU32 is a number as the kernel holds marks and connection states in registers.
func HostU32(v uint32) []byte { return native.AppendUint32(nil, v) }

// PrefixMask is the netmask of a prefix of the given family.
func PrefixMask(p netip.Prefix) []byte {
	mask := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// Lookup goes on only if the register is in the set, or with invert if it is not.
func Lookup(reg Register, set string, invert bool) Expr {
	return expression("lookup", func(b []byte) []byte {
		b = appendString(b, unix.NFTA_LOOKUP_SET, set)
		b = appendU32(b, unix.NFTA_LOOKUP_SREG, uint32(reg))
		if invert {
			b = appendU32(b, unix.NFTA_LOOKUP_FLAGS, unix.NFT_LOOKUP_F_INV)
		}
		return b
	})
}

// LookupVerdict is `… vmap @set`: what the map holds for the register is the verdict; a miss goes on with the next rule.
func LookupVerdict(reg Register, set string) Expr {
	return expression("lookup", func(b []byte) []byte {
		b = appendString(b, unix.NFTA_LOOKUP_SET, set)
		b = appendU32(b, unix.NFTA_LOOKUP_SREG, uint32(reg))
		return appendU32(b, unix.NFTA_LOOKUP_DREG, unix.NFT_REG_VERDICT)
	})
}

// SourceHasRoute puts 1 into the register if the packet's source is reached through the interface that it came by, else
// 0: `fib saddr . iif oif exists`.
func SourceHasRoute(to Register) Expr {
	return expression("fib", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_FIB_RESULT, unix.NFT_FIB_RESULT_OIF)
		b = appendU32(b, unix.NFTA_FIB_DREG, uint32(to))
		return appendU32(b, unix.NFTA_FIB_FLAGS,
			unix.NFTA_FIB_F_SADDR|unix.NFTA_FIB_F_IIF|unix.NFTA_FIB_F_PRESENT)
	})
}

// CountPackets is an anonymous `counter` that begins at the given values.
func CountPackets(packets, bytes uint64) Expr {
	return expression("counter", func(b []byte) []byte {
		b = appendU64(b, unix.NFTA_COUNTER_BYTES, bytes)
		return appendU64(b, unix.NFTA_COUNTER_PACKETS, packets)
	})
}

// Limit is `limit rate N/unit burst M packets`; unit is in seconds.
func Limit(rate, unit uint64, burst uint32) Expr {
	return expression("limit", func(b []byte) []byte {
		b = appendU64(b, unix.NFTA_LIMIT_RATE, rate)
		b = appendU64(b, unix.NFTA_LIMIT_UNIT, unit)
		b = appendU32(b, unix.NFTA_LIMIT_BURST, burst)
		return appendU32(b, unix.NFTA_LIMIT_TYPE, unix.NFT_LIMIT_PKTS)
	})
}

// MaxLogPrefix is the most bytes that Log's prefix may have.
const MaxLogPrefix = 126

// Log writes to the kernel's log, at the syslog level given.
func Log(prefix string, level uint32) Expr {
	if len(prefix) > MaxLogPrefix {
		prefix = prefix[:MaxLogPrefix]
	}
	return expression("log", func(b []byte) []byte {
		b = appendString(b, unix.NFTA_LOG_PREFIX, prefix)
		return appendU32(b, unix.NFTA_LOG_LEVEL, level)
	})
}

// LoadValue puts a constant into a register.
func LoadValue(to Register, value []byte) Expr {
	return expression("immediate", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_IMMEDIATE_DREG, uint32(to))
		return appendValue(b, unix.NFTA_IMMEDIATE_DATA, value)
	})
}

// RejectTCPReset is `reject with tcp reset`; only for TCP.
func RejectTCPReset() Expr {
	return expression("reject", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_TCP_RST)
		return appendAttr(b, unix.NFTA_REJECT_ICMP_CODE, []byte{0})
	})
}

// RejectPortUnreachable is `reject`, of either family.
func RejectPortUnreachable() Expr {
	return expression("reject", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_ICMPX_UNREACH)
		return appendAttr(b, unix.NFTA_REJECT_ICMP_CODE, []byte{unix.NFT_REJECT_ICMPX_PORT_UNREACH})
	})
}

const natRangePorts = 1 << 1 // NF_NAT_RANGE_PROTO_SPECIFIED

// Masquerade is `masquerade`, with source ports from the two registers if they are not 0.
func Masquerade(portMin, portMax Register) Expr {
	return expression("masq", func(b []byte) []byte {
		if portMin != 0 {
			b = appendU32(b, unix.NFTA_MASQ_FLAGS, natRangePorts) // without it the kernel ignores the ports
			b = appendU32(b, unix.NFTA_MASQ_REG_PROTO_MIN, uint32(portMin))
			b = appendU32(b, unix.NFTA_MASQ_REG_PROTO_MAX, uint32(portMax))
		}
		return b
	})
}

// SourceNAT is `snat to`, the address from a register, ports likewise if they are not 0.
func SourceNAT(ipv6 bool, addr, portMin, portMax Register) Expr {
	family := uint32(unix.NFPROTO_IPV4)
	if ipv6 {
		family = unix.NFPROTO_IPV6
	}
	return expression("nat", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_NAT_TYPE, unix.NFT_NAT_SNAT)
		b = appendU32(b, unix.NFTA_NAT_FAMILY, family)
		b = appendU32(b, unix.NFTA_NAT_REG_ADDR_MIN, uint32(addr))
		if portMin != 0 {
			b = appendU32(b, unix.NFTA_NAT_REG_PROTO_MIN, uint32(portMin))
			b = appendU32(b, unix.NFTA_NAT_REG_PROTO_MAX, uint32(portMax))
		}
		return b
	})
}

// VerdictCode is what becomes of a packet.
type VerdictCode int32

// The verdicts.
const (
	Drop   VerdictCode = 0
	Accept VerdictCode = 1
	Jump   VerdictCode = unix.NFT_JUMP
	Goto   VerdictCode = unix.NFT_GOTO
	Return VerdictCode = unix.NFT_RETURN
)

// Verdict is a verdict, of a rule or of a map's element. Chain is set for Jump and Goto only.
type Verdict struct {
	Code  VerdictCode
	Chain string
}

// Decide ends the rule with a verdict.
func Decide(v Verdict) Expr {
	return expression("immediate", func(b []byte) []byte {
		b = appendU32(b, unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		b, at := openNest(b, unix.NFTA_IMMEDIATE_DATA)
		b = appendVerdict(b, v)
		return closeNest(b, at)
	})
}

func appendVerdict(b []byte, v Verdict) []byte {
	b, at := openNest(b, unix.NFTA_DATA_VERDICT)
	b = appendU32(b, unix.NFTA_VERDICT_CODE, uint32(v.Code))
	if v.Chain != "" {
		b = appendString(b, unix.NFTA_VERDICT_CHAIN, v.Chain)
	}
	return closeNest(b, at)
}
