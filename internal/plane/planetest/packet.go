package planetest

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"net/netip"

	"github.com/tortie-net/tortie/internal/model"
)

// The last 8 bytes of every packet of the lab say that it is one, and which.
const tagLength = 8

var tagMagic = [4]byte{'T', 'O', 'R', 'T'}

// frame makes an Ethernet frame with a packet as a workload would send it: a TCP SYN, a UDP datagram, an ICMP message,
// or of any other protocol just 8 bytes.
func frame(to, from [6]byte, p model.Packet, id uint32) []byte {
	tag := binary.BigEndian.AppendUint32(tagMagic[:len(tagMagic):len(tagMagic)], id)
	transport := append(transportHeader(p, id), tag...)
	b := make([]byte, 0, 14+40+len(transport))
	b = append(append(b, to[:]...), from[:]...)
	if p.Src.Is4() {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		head := len(b)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(transport)))
		b = append(b, 0, 0, 0x40, 0, 64, p.Proto, 0, 0)
		b = append(append(b, p.Src.AsSlice()...), p.Dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[head+10:], checksum(0, b[head:]))
	} else {
		b = binary.BigEndian.AppendUint16(b, 0x86dd)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(transport)))
		b = append(b, p.Proto, 64)
		b = append(append(b, p.Src.AsSlice()...), p.Dst.AsSlice()...)
	}
	if at := checksumAt(p.Proto); at >= 0 {
		sum := pseudoHeader(p, len(transport))
		if p.Proto == model.ProtoICMP {
			sum = 0
		}
		binary.BigEndian.PutUint16(transport[at:], checksum(sum, transport))
	}
	if p.Proto == model.ProtoSCTP {
		binary.LittleEndian.PutUint32(transport[8:], crc32.Checksum(transport, crc32.MakeTable(crc32.Castagnoli)))
	}
	return append(b, transport...)
}

func transportHeader(p model.Packet, id uint32) []byte {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.SrcPort), p.DstPort)
	switch p.Proto {
	case model.ProtoTCP:
		b := binary.BigEndian.AppendUint32(ports, id) // sequence number
		return append(b, 0, 0, 0, 0, 5<<4, 0x02, 0xff, 0xff, 0, 0, 0, 0)
	case model.ProtoUDP:
		return append(binary.BigEndian.AppendUint16(ports, 8+tagLength), 0, 0)
	case model.ProtoSCTP: // an INIT chunk, so that conntrack takes it for the first packet of a flow
		b := append(ports, 0, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, 1, 0, 0, 20+tagLength)
		b = binary.BigEndian.AppendUint32(b, id|1)
		return append(b, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1)
	case model.ProtoICMP, model.ProtoICMPv6:
		// The identifier comes first: with each its own, no two probes are one flow to conntrack.
		return binary.BigEndian.AppendUint32([]byte{p.ICMPType, p.ICMPCode, 0, 0}, bits.RotateLeft32(id, 16))
	}
	return nil
}

func checksumAt(proto uint8) int {
	switch proto {
	case model.ProtoTCP:
		return 16
	case model.ProtoUDP:
		return 6
	case model.ProtoICMP, model.ProtoICMPv6:
		return 2
	}
	return -1
}

func pseudoHeader(p model.Packet, length int) uint32 {
	return sum(0, p.Src.AsSlice()) + sum(0, p.Dst.AsSlice()) + uint32(p.Proto) + uint32(length)
}

func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func checksum(s uint32, b []byte) uint16 {
	s = sum(s, b)
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

// seen is what a received frame, from the network header on, tells.
type seen struct {
	id       uint32
	src      netip.Addr
	srcPort  uint16
	rejected bool // an ICMP error about the packet
}

func parse(b []byte) (seen, bool) {
	if len(b) < 28 {
		return seen{}, false
	}
	var s seen
	var proto uint8
	var transport []byte
	switch b[0] >> 4 {
	case 4:
		total, head := int(binary.BigEndian.Uint16(b[2:])), int(b[0]&15)*4
		if total > len(b) || head > total {
			return seen{}, false
		}
		b, proto, transport = b[:total], b[9], b[head:total]
		s.src = netip.AddrFrom4([4]byte(b[12:16]))
	case 6:
		total := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if total > len(b) {
			return seen{}, false
		}
		b, proto, transport = b[:total], b[6], b[40:total]
		s.src = netip.AddrFrom16([16]byte(b[8:24]))
	default:
		return seen{}, false
	}
	id, ok := tagOf(b)
	if !ok || len(transport) < 8 {
		return seen{}, false
	}
	s.id = id
	s.srcPort = binary.BigEndian.Uint16(transport)
	s.rejected = proto == model.ProtoICMP && transport[0] == 3 || proto == model.ProtoICMPv6 && transport[0] == 1
	return s, true
}

func tagOf(b []byte) (uint32, bool) {
	if len(b) < tagLength || [4]byte(b[len(b)-tagLength:]) != tagMagic {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[len(b)-4:]), true
}
