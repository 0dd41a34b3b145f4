package mem

import (
	"bytes"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// Fail makes operations fail before they do anything, with the error that fault returns. Nil takes it back.
func (s *Store) Fail(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fault
}

// FailAfter makes writes fail after they took effect: the answer that got lost. Nil takes it back.
func (s *Store) FailAfter(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = fault
}

// Disconnect takes the store away: every call fails with ErrUnavailable and every watch ends with it.
func (s *Store) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
}

// Reconnect gives the store back, with all that was in it. A closed store stays closed.
func (s *Store) Reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.disconnected() {
		s.away = make(chan struct{})
	}
}

// Compact forgets the history up to now: a watch that has not seen it all ends with ErrCompacted.
func (s *Store) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = nil
	s.compacted = s.revision
	s.notify()
}

// PutRaw stores bytes as they are, whether or not they can be read back.
func (s *Store) PutRaw(key model.Key, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw = append([]byte{}, raw...)
	s.revision++
	s.objects[key] = record{s.revision, raw}
	s.history = append(s.history, change{key, s.revision, raw})
	s.notify()
}

// Raw returns a copy of the bytes stored under a key, or nil.
func (s *Store) Raw(key model.Key) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.objects[key].raw)
}

// Rewind puts the store back to an earlier revision number with the objects that it now holds, as restoring a backup
// does. The watches end.
func (s *Store) Rewind(to store.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.compacted, s.history = to, to, nil
	for key, r := range s.objects {
		r.revision = min(r.revision, to)
		s.objects[key] = r
	}
	s.disconnect()
	if !s.closed {
		s.away = make(chan struct{})
	}
}

// disconnected says whether the store is away. mu is held.
func (s *Store) disconnected() bool {
	select {
	case <-s.away:
		return true
	default:
		return false
	}
}

// disconnect takes the store away. mu is held.
func (s *Store) disconnect() {
	if !s.disconnected() {
		close(s.away)
	}
}
