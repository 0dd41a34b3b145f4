package index

import (
	"math/bits"
	"slices"
)

// bigSet is a set of many numbers, by their upper bits: in each chunk a sorted list or, where that is smaller, a bitmap.
// It takes at most about two bytes for each element and one bit for each number where most are elements.
type bigSet struct {
	chunks []chunk // sorted by high, none empty
	n      int
}

type chunk struct {
	high uint16 // the number's upper 16 bits
	list []uint16
	bits *[1 << 16 / 64]uint64 // set: list is not used
	n    int
}

const (
	toBits = 4096 // elements from which a bitmap is not larger
	toList = 3072 // elements at which a bitmap becomes a list again
)

func (s *bigSet) find(id uint32) (int, bool) {
	return slices.BinarySearchFunc(s.chunks, uint16(id>>16), func(c chunk, high uint16) int { return int(c.high) - int(high) })
}

// add puts an element in; adding what is there changes nothing.
func (s *bigSet) add(id uint32) {
	at, found := s.find(id)
	if !found {
		s.chunks = slices.Insert(s.chunks, at, chunk{high: uint16(id >> 16)})
	}
	if s.chunks[at].add(uint16(id)) {
		s.n++
	}
}

// remove takes an element out; removing what is not there changes nothing.
func (s *bigSet) remove(id uint32) {
	at, found := s.find(id)
	if !found || !s.chunks[at].remove(uint16(id)) {
		return
	}
	s.n--
	if s.chunks[at].n == 0 {
		s.chunks = slices.Delete(s.chunks, at, at+1)
	}
}

// each calls f for every element, in order.
func (s *bigSet) each(f func(uint32)) {
	for i := range s.chunks {
		high := uint32(s.chunks[i].high) << 16
		s.chunks[i].each(func(low uint16) { f(high | uint32(low)) })
	}
}

func (c *chunk) add(low uint16) bool {
	if c.bits != nil {
		word, bit := &c.bits[low/64], uint64(1)<<(low%64)
		if *word&bit != 0 {
			return false
		}
		*word |= bit
		c.n++
		return true
	}
	at, found := slices.BinarySearch(c.list, low)
	if found {
		return false
	}
	c.list = slices.Insert(c.list, at, low)
	if c.n++; c.n >= toBits {
		c.bits = new([1 << 16 / 64]uint64)
		for _, low := range c.list {
			c.bits[low/64] |= 1 << (low % 64)
		}
		c.list = nil
	}
	return true
}

func (c *chunk) remove(low uint16) bool {
	if c.bits == nil {
		at, found := slices.BinarySearch(c.list, low)
		if found {
			c.list = slices.Delete(c.list, at, at+1)
			c.n--
		}
		return found
	}
	word, bit := &c.bits[low/64], uint64(1)<<(low%64)
	if *word&bit == 0 {
		return false
	}
	*word &^= bit
	if c.n--; c.n <= toList {
		list := make([]uint16, 0, c.n)
		c.each(func(low uint16) { list = append(list, low) })
		c.list, c.bits = list, nil
	}
	return true
}

func (c *chunk) each(f func(uint16)) {
	if c.bits == nil {
		for _, low := range c.list {
			f(low)
		}
		return
	}
	for i, word := range c.bits {
		for ; word != 0; word &= word - 1 {
			f(uint16(i*64 + bits.TrailingZeros64(word)))
		}
	}
}
