package index

import (
	"slices"

	"github.com/tortie-net/tortie/internal/calc/slab"
)

// idSet is a set of small numbers in four bytes: empty (0), one number (odd), or the place in idSets of more (even). It
// is the caller's to keep, and only idSets can read it. Numbers are below 2^31.
type idSet uint32

// idSets holds the sets that have more than one element: up to maxList in a sorted slice, more in a bigSet.
type idSets struct{ many slab.Of[overflow] }

type overflow struct {
	list []uint32
	big  *bigSet // set: list is not used
}

const maxList = 64

func single(id uint32) idSet           { return idSet(id<<1 | 1) }
func (s idSet) isSingle() bool         { return s&1 == 1 }
func (s idSet) id() uint32             { return uint32(s >> 1) }
func (p *idSets) of(s idSet) *overflow { return p.many.At(uint32(s>>1) - 1) }

func (p *idSets) len(s idSet) int {
	switch {
	case s == 0:
		return 0
	case s.isSingle():
		return 1
	}
	if o := p.of(s); o.big == nil {
		return len(o.list)
	} else {
		return o.big.n
	}
}

// add puts an element in; adding what is there changes nothing.
func (p *idSets) add(s *idSet, id uint32) {
	switch {
	case *s == 0:
		*s = single(id)
		return
	case s.isSingle():
		if one := s.id(); one != id {
			n := p.many.New()
			p.many.At(n).list = []uint32{min(one, id), max(one, id)}
			*s = idSet((n + 1) << 1)
		}
		return
	}
	o := p.of(*s)
	if o.big != nil {
		o.big.add(id)
		return
	}
	at, found := slices.BinarySearch(o.list, id)
	if found {
		return
	}
	if len(o.list) < maxList {
		o.list = slices.Insert(o.list, at, id)
		return
	}
	o.big = &bigSet{}
	for _, v := range o.list {
		o.big.add(v)
	}
	o.list = nil
	o.big.add(id)
}

// remove takes an element out; removing what is not there changes nothing.
func (p *idSets) remove(s *idSet, id uint32) {
	switch {
	case *s == 0:
		return
	case s.isSingle():
		if s.id() == id {
			*s = 0
		}
		return
	}
	o := p.of(*s)
	if o.big != nil {
		o.big.remove(id)
		if o.big.n <= maxList/4 {
			list := make([]uint32, 0, o.big.n)
			o.big.each(func(v uint32) { list = append(list, v) })
			o.list, o.big = list, nil
		}
		return
	}
	if at, found := slices.BinarySearch(o.list, id); found {
		o.list = slices.Delete(o.list, at, at+1)
		if len(o.list) == 1 {
			one := o.list[0]
			p.many.Free(uint32(*s>>1) - 1)
			*s = single(one)
		}
	}
}

// each calls f for every element, in order.
func (p *idSets) each(s idSet, f func(uint32)) {
	switch {
	case s == 0:
		return
	case s.isSingle():
		f(s.id())
		return
	}
	o := p.of(s)
	if o.big != nil {
		o.big.each(f)
		return
	}
	for _, v := range o.list {
		f(v)
	}
}
