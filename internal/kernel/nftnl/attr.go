package nftnl

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// Netlink attributes: 2 bytes length and 2 bytes type in host order, then the payload, padded to 4 bytes. Numbers inside
// nf_tables' attributes are big endian.

const attrHeader = 4

var native = binary.NativeEndian

func align4(n int) int { return (n + 3) &^ 3 }

func appendAttr(b []byte, typ uint16, data []byte) []byte {
	b = native.AppendUint16(b, uint16(attrHeader+len(data)))
	b = native.AppendUint16(b, typ)
	b = append(b, data...)
	return pad(b, len(data))
}

func pad(b []byte, n int) []byte {
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}

func appendString(b []byte, typ uint16, s string) []byte {
	b = native.AppendUint16(b, uint16(attrHeader+len(s)+1))
	b = native.AppendUint16(b, typ)
	b = append(b, s...)
	b = append(b, 0)
	return pad(b, len(s)+1)
}

func appendU32(b []byte, typ uint16, v uint32) []byte {
	b = native.AppendUint16(b, attrHeader+4)
	b = native.AppendUint16(b, typ)
	return binary.BigEndian.AppendUint32(b, v)
}

func appendU64(b []byte, typ uint16, v uint64) []byte {
	b = native.AppendUint16(b, attrHeader+8)
	b = native.AppendUint16(b, typ)
	return binary.BigEndian.AppendUint64(b, v)
}

// openNest begins a nested attribute; closeNest, given what openNest returned as position, ends it.
func openNest(b []byte, typ uint16) ([]byte, int) {
	at := len(b)
	b = native.AppendUint16(b, 0)
	b = native.AppendUint16(b, typ|unix.NLA_F_NESTED)
	return b, at
}

func closeNest(b []byte, at int) []byte {
	native.PutUint16(b[at:], uint16(len(b)-at))
	return b
}

// attrs yields the type, without flags, and the payload of each attribute. It ends at the first that is malformed.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= attrHeader {
			n := int(native.Uint16(b))
			if n < attrHeader || n > len(b) {
				return
			}
			if !yield(native.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[attrHeader:n]) {
				return
			}
			b = b[min(align4(n), len(b)):]
		}
	}
}

func attr(b []byte, typ uint16) []byte {
	for t, data := range attrs(b) {
		if t == typ {
			return data
		}
	}
	return nil
}

func attrU32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func attrU64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func attrString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
