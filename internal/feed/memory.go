package feed

import (
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// memory knows of every object the revision that was given last, so that none ever moves backwards.
type memory struct {
	floor store.Revision               // everything up to here was given
	high  store.Revision               // something of here was given; never below floor
	seen  map[model.Key]store.Revision // of what exists
}

func newMemory() memory {
	return memory{seen: map[model.Key]store.Revision{}}
}

// exact says that everything up to the newest that was given was given: only then can a watch be resumed without
// repeating anything, and can a store that went back to an earlier state refuse it.
func (m *memory) exact() bool { return m.floor == m.high }

// relist takes a whole list and returns what is new in it, changed, or missing. restored says that the store's history
// is another one than before: then no revision proves that an object is the same, and all are returned.
func (m *memory) relist(objects []store.Object, revision store.Revision, restored bool) []store.Event {
	var changes []store.Event
	listed := make(map[model.Key]store.Revision, len(objects))
	for _, o := range objects {
		listed[o.Key] = o.Revision
		if known, ok := m.seen[o.Key]; restored || !ok || known != o.Revision {
			changes = append(changes, store.Event{Object: o})
		}
	}
	for key := range m.seen {
		if _, ok := listed[key]; !ok {
			changes = append(changes, store.Event{Object: store.Object{Key: key, Revision: revision}, Deleted: true})
		}
	}
	m.seen, m.floor, m.high = listed, revision, revision
	return changes
}

// follow takes a step of a watch and returns what is new in it.
func (m *memory) follow(batch store.Batch) []store.Event {
	var changes []store.Event
	for _, e := range batch.Events {
		known, exists := m.seen[e.Key]
		if e.Revision <= max(m.floor, known) || (e.Deleted && !exists) {
			continue
		}
		if e.Deleted {
			delete(m.seen, e.Key)
		} else {
			m.seen[e.Key] = e.Revision
		}
		m.high = max(m.high, e.Revision)
		changes = append(changes, e)
	}
	m.floor = max(m.floor, batch.Revision)
	m.high = max(m.high, m.floor)
	return changes
}
