package nftnl

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// KeyType is the type of a set's key, as nft names it: nft tells how to print elements by the number.
type KeyType struct {
	Name   string
	Length int // bytes
	magic  uint32
	fields []int // of a concatenation: bytes of each field
}

// The simple types.
var (
	TypeIPv4       = KeyType{Name: "ipv4_addr", Length: 4, magic: 7}
	TypeIPv6       = KeyType{Name: "ipv6_addr", Length: 16, magic: 8}
	TypeProtocol   = KeyType{Name: "inet_proto", Length: 1, magic: 12}
	TypeService    = KeyType{Name: "inet_service", Length: 2, magic: 13}
	TypeICMP       = KeyType{Name: "icmp_type", Length: 1, magic: 14}
	TypeICMPCode   = KeyType{Name: "icmp_code", Length: 1, magic: 32}
	TypeICMPv6     = KeyType{Name: "icmpv6_type", Length: 1, magic: 29}
	TypeICMPv6Code = KeyType{Name: "icmpv6_code", Length: 1, magic: 33}
	TypeIFName     = KeyType{Name: "ifname", Length: 16, magic: 41}
)

// Concat is the type of a key of several fields, each padded to 4 bytes.
func Concat(types ...KeyType) KeyType {
	var c KeyType
	for i, t := range types {
		if i > 0 {
			c.Name += " . "
		}
		c.Name += t.Name
		c.Length += align4(t.Length)
		c.magic = c.magic<<6 | t.magic
		c.fields = append(c.fields, align4(t.Length))
	}
	return c
}

// Set is a set, or with Verdicts a map from keys to verdicts.
type Set struct {
	Name     string
	Key      KeyType
	Interval bool // elements are ranges
	Constant bool // never changes once a rule refers to it
	Verdicts bool
}

const setConcat = 0x80 // NFT_SET_CONCAT

// Flags are the kernel's flags of such a set.
func (s Set) Flags() uint32 {
	var f uint32
	if s.Interval {
		f |= unix.NFT_SET_INTERVAL
		if len(s.Key.fields) > 0 {
			f |= setConcat
		}
	}
	if s.Constant {
		f |= unix.NFT_SET_CONSTANT
	}
	if s.Verdicts {
		f |= unix.NFT_SET_MAP
	}
	return f
}

// Shape is what a dump tells of such a set.
func (s Set) Shape() SetShape {
	return SetShape{Flags: s.Flags(), KeyMagic: s.Key.magic, KeyLength: s.Key.Length}
}

// SetShape is the type and flags of a set.
type SetShape struct {
	Flags     uint32
	KeyMagic  uint32
	KeyLength int
}

// Map tells whether the set is a map.
func (s SetShape) Map() bool { return s.Flags&unix.NFT_SET_MAP != 0 }

// Element is an element of a set. In an interval set with a simple key an element begins or, with End, ends a range: the
// end is the first key behind it, and a range to the last key of all has none. In one with a concatenated key KeyEnd is
// the last key of the range.
type Element struct {
	Key     []byte
	KeyEnd  []byte
	End     bool
	Verdict *Verdict
}

// AddSet makes a set, if need be. The elements of a new set should be added next: AddElements then need not have the
// kernel look for it among all of the table's sets, which are one list.
func (b *Batch) AddSet(s Set) {
	b.add(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, operation{"add", "set", s.Name}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_SET_TABLE, b.Table)
		m = appendString(m, unix.NFTA_SET_NAME, s.Name)
		m = appendU32(m, unix.NFTA_SET_FLAGS, s.Flags())
		m = appendU32(m, unix.NFTA_SET_KEY_TYPE, s.Key.magic)
		m = appendU32(m, unix.NFTA_SET_KEY_LEN, uint32(s.Key.Length))
		m = appendU32(m, unix.NFTA_SET_ID, uint32(len(b.ops)))
		if s.Verdicts {
			m = appendU32(m, unix.NFTA_SET_DATA_TYPE, unix.NFT_DATA_VERDICT)
			m = appendU32(m, unix.NFTA_SET_DATA_LEN, 0)
		}
		if s.Interval && len(s.Key.fields) > 0 {
			m = s.Key.appendFields(m)
		}
		if s.Key.magic == TypeService.magic || s.Key.magic == TypeIFName.magic || s.Interval {
			m = appendAttr(m, unix.NFTA_SET_USERDATA, s.userdata())
		}
		return m
	})
	b.newSet = s.Name
}

// userdata tells nft the byte order of the key: big endian, but for interface names, which are strings in host order.
func (s Set) userdata() []byte {
	const keyByteOrder, hostOrder, bigEndian = 0, 1, 2
	order := byte(bigEndian)
	if s.Key.magic == TypeIFName.magic {
		order = hostOrder
	}
	return []byte{keyByteOrder, 4, order, 0, 0, 0}
}

func (k KeyType) appendFields(m []byte) []byte {
	const descConcat, fieldLen = 2, 1 // NFTA_SET_DESC_CONCAT, NFTA_SET_FIELD_LEN
	m, desc := openNest(m, unix.NFTA_SET_DESC)
	m, list := openNest(m, descConcat)
	for _, n := range k.fields {
		var at int
		m, at = openNest(m, unix.NFTA_LIST_ELEM)
		m = appendU32(m, fieldLen, uint32(n))
		m = closeNest(m, at)
	}
	m = closeNest(m, list)
	return closeNest(m, desc)
}

// DeleteSet removes a set, its elements included, that no rule refers to.
func (b *Batch) DeleteSet(name string) {
	b.add(unix.NFT_MSG_DELSET, 0, operation{"delete", "set", name}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_SET_TABLE, b.Table)
		return appendString(m, unix.NFTA_SET_NAME, name)
	})
}

// AddElements puts elements into a set; those that are there already are no error unless their verdict differs.
func (b *Batch) AddElements(set string, elements []Element) {
	var id uint32
	if set == b.newSet && newestSetFirst() {
		id = uint32(len(b.ops)) // as AddSet has numbered it
	}
	b.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, operation{"add", "element of set", set}, set, id, elements)
}

// newestSetFirst tells whether the kernel, asked for a set of the same transaction by number, tries the newest first. One
// before Linux 6.12 walks through the whole transaction from its beginning, which is slower than by name.
var newestSetFirst = sync.OnceValue(func() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return n == 2 && (major > 6 || major == 6 && minor >= 12)
})

// FlushSet removes every element of a set.
func (b *Batch) FlushSet(set string) {
	b.add(unix.NFT_MSG_DELSETELEM, 0, operation{"flush", "set", set}, func(m []byte) []byte {
		m = appendString(m, unix.NFTA_SET_ELEM_LIST_TABLE, b.Table)
		return appendString(m, unix.NFTA_SET_ELEM_LIST_SET, set)
	})
}

// DeleteElements removes elements that are in the set.
func (b *Batch) DeleteElements(set string, elements []Element) {
	b.elements(unix.NFT_MSG_DELSETELEM, 0, operation{"delete", "element of set", set}, set, 0, elements)
}

// A message's elements are one attribute, whose length is 16 bits.
const (
	maxElements     = 1000
	maxElementBytes = 60_000
)

// elements names the set by its number in this batch if id is not 0: with a name, the kernel would not ask for a number.
func (b *Batch) elements(op, flags uint16, what operation, set string, id uint32, elements []Element) {
	for len(elements) > 0 {
		b.add(op, flags, what, func(m []byte) []byte {
			m = appendString(m, unix.NFTA_SET_ELEM_LIST_TABLE, b.Table)
			if id != 0 {
				m = appendU32(m, unix.NFTA_SET_ELEM_LIST_SET_ID, id)
			} else {
				m = appendString(m, unix.NFTA_SET_ELEM_LIST_SET, set)
			}
			m, at := openNest(m, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
			n := 0
			for n < len(elements) && n < maxElements && len(m)-at < maxElementBytes {
				m = appendElement(m, elements[n])
				n++
			}
			elements = elements[n:]
			return closeNest(m, at)
		})
	}
}

func appendElement(m []byte, e Element) []byte {
	const keyEnd = 10 // NFTA_SET_ELEM_KEY_END
	m, at := openNest(m, unix.NFTA_LIST_ELEM)
	m = appendValue(m, unix.NFTA_SET_ELEM_KEY, e.Key)
	if e.KeyEnd != nil {
		m = appendValue(m, keyEnd, e.KeyEnd)
	}
	if e.End {
		m = appendU32(m, unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
	}
	if e.Verdict != nil {
		var data int
		m, data = openNest(m, unix.NFTA_SET_ELEM_DATA)
		m = appendVerdict(m, *e.Verdict)
		m = closeNest(m, data)
	}
	return closeNest(m, at)
}
