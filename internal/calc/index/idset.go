package index

import "slices"

// idSet is a set of small numbers. Most have one element, a few have all of them: one element is stored inline, up to
// maxList in a sorted slice, more in a map.
type idSet struct {
	one  uint32
	n    uint32
	more *overflow
}

type overflow struct {
	list []uint32
	set  map[uint32]struct{}
}

const maxList = 64

func (s *idSet) len() int { return int(s.n) }

// add puts an element in; adding what is there changes nothing.
func (s *idSet) add(id uint32) {
	switch {
	case s.n == 0:
		s.one, s.n = id, 1
		return
	case s.more == nil:
		if s.one == id {
			return
		}
		s.more = &overflow{list: []uint32{min(s.one, id), max(s.one, id)}}
		s.n = 2
		return
	case s.more.set != nil:
		s.more.set[id] = struct{}{}
		s.n = uint32(len(s.more.set))
		return
	}
	at, found := slices.BinarySearch(s.more.list, id)
	if found {
		return
	}
	if len(s.more.list) < maxList {
		s.more.list = slices.Insert(s.more.list, at, id)
		s.n++
		return
	}
	s.more.set = make(map[uint32]struct{}, 2*maxList)
	for _, v := range s.more.list {
		s.more.set[v] = struct{}{}
	}
	s.more.list = nil
	s.more.set[id] = struct{}{}
	s.n = uint32(len(s.more.set))
}

// remove takes an element out; removing what is not there changes nothing.
func (s *idSet) remove(id uint32) {
	switch {
	case s.n == 0:
		return
	case s.more == nil:
		if s.one == id {
			s.n = 0
		}
		return
	case s.more.set != nil:
		delete(s.more.set, id)
		s.n = uint32(len(s.more.set))
		if s.n <= maxList/4 {
			list := make([]uint32, 0, s.n)
			for v := range s.more.set {
				list = append(list, v)
			}
			slices.Sort(list)
			s.more.list, s.more.set = list, nil
			s.shrink()
		}
		return
	}
	if at, found := slices.BinarySearch(s.more.list, id); found {
		s.more.list = slices.Delete(s.more.list, at, at+1)
		s.n--
		s.shrink()
	}
}

// shrink goes back to the inline form.
func (s *idSet) shrink() {
	if s.n <= 1 {
		if s.n == 1 {
			s.one = s.more.list[0]
		}
		s.more = nil
	}
}

// each calls f for every element, in no particular order.
func (s *idSet) each(f func(uint32)) {
	switch {
	case s.n == 0:
	case s.more == nil:
		f(s.one)
	case s.more.set != nil:
		for v := range s.more.set {
			f(v)
		}
	default:
		for _, v := range s.more.list {
			f(v)
		}
	}
}
