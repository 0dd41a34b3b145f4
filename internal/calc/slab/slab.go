package slab

// Of is numbered records. Numbers are handed out from 0, those that were freed first. The zero value is empty.
type Of[T any] struct {
	parts []*[partSize]T
	next  uint32
	free  []uint32
}

// partSize is how many records are allocated at once.
const partSize = 256

// New hands out the number of a record, which is the zero value.
func (s *Of[T]) New() uint32 {
	if n := len(s.free); n > 0 {
		id := s.free[n-1]
		s.free = s.free[:n-1]
		return id
	}
	id := s.next
	s.Grow(id + 1)
	return id
}

// Grow makes the records with numbers below n, for who hands the numbers out himself and never calls New or Free.
func (s *Of[T]) Grow(n uint32) {
	for uint32(len(s.parts))*partSize < n {
		s.parts = append(s.parts, new([partSize]T))
	}
	s.next = max(s.next, n)
}

// Len is one more than the highest number ever handed out.
func (s *Of[T]) Len() uint32 { return s.next }

// At is the record with a number below Len. The pointer stays valid.
func (s *Of[T]) At(id uint32) *T { return &s.parts[id/partSize][id%partSize] }

// Free empties a record and takes its number back.
func (s *Of[T]) Free(id uint32) {
	var zero T
	*s.At(id) = zero
	s.free = append(s.free, id)
}
