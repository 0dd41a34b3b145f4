package feed

import (
	"encoding/binary"
	"maps"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// memory knows of every object the revision that was given last, so that none ever moves backwards.
type memory struct {
	floor store.Revision // everything up to here was given
	high  store.Revision // something of here was given; never below floor
	seen  seen
}

func newMemory() memory { return memory{seen: seen{}} }

// seen is the revisions of what exists, by kind and then by namespace and name as one text: there may be hundreds of
// thousands, and the keys themselves often are slices of something larger.
type seen map[model.Kind]map[string]store.Revision

// appendName appends a key without its kind: the length of the namespace as a varint, the namespace, the name.
func appendName(b []byte, key model.Key) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(key.Namespace))), key.Namespace...)
	return append(b, key.Name...)
}

// keyOf undoes appendName.
func keyOf(kind model.Kind, name string) model.Key {
	length, n := binary.Uvarint([]byte(name))
	return model.Key{Kind: kind, Namespace: name[n : n+int(length)], Name: name[n+int(length):]}
}

func (s seen) get(key model.Key) (store.Revision, bool) {
	var room [128]byte
	r, ok := s[key.Kind][string(appendName(room[:0], key))]
	return r, ok
}

func (s seen) set(key model.Key, r store.Revision) {
	var room [128]byte
	of := s[key.Kind]
	if of == nil {
		of = map[string]store.Revision{}
		s[key.Kind] = of
	}
	of[string(appendName(room[:0], key))] = r
}

func (s seen) remove(key model.Key) {
	var room [128]byte
	delete(s[key.Kind], string(appendName(room[:0], key)))
}

// exact says that everything up to the newest that was given was given: only then can a watch be resumed without
// repeating anything, and can a store that went back to an earlier state refuse it.
func (m *memory) exact() bool { return m.floor == m.high }

// relisting takes in a list, portion by portion. The memory is as before until it ends.
type relisting struct {
	memory   *memory
	revision store.Revision
	restored bool // the store's history is another one than before: no revision proves that an object is the same
	first    bool // no list was ever whole: its portions may be given as they come
	listed   seen
}

func (m *memory) relist(revision store.Revision, restored bool) *relisting {
	return &relisting{memory: m, revision: revision, restored: restored, first: m.floor == 0, listed: seen{}}
}

// page appends what is new or changed in a portion of the list. Where all is to be taken over, that is everything.
func (l *relisting) page(objects []store.Object, changes []store.Event) []store.Event {
	for _, o := range objects {
		l.listed.set(o.Key, o.Revision)
		if known, ok := l.memory.seen.get(o.Key); l.restored || !ok || known != o.Revision {
			changes = append(changes, store.Event{Object: o})
		}
	}
	return changes
}

// finish appends what is missing from the list, which is then what the memory holds.
func (l *relisting) finish(changes []store.Event) []store.Event {
	m := l.memory
	for kind, names := range m.seen {
		for name := range names {
			if _, ok := l.listed[kind][name]; !ok {
				gone := store.Object{Key: keyOf(kind, name), Revision: l.revision}
				changes = append(changes, store.Event{Object: gone, Deleted: true})
			}
		}
	}
	m.seen, m.floor, m.high = l.listed, l.revision, l.revision
	return changes
}

// abandon ends a list that broke off. What was given of a first list is remembered: the next one must say what of it is
// gone, and must not be older.
func (l *relisting) abandon() {
	if !l.first {
		return
	}
	for kind, names := range l.listed {
		if l.memory.seen[kind] == nil {
			l.memory.seen[kind] = names
			continue
		}
		maps.Copy(l.memory.seen[kind], names)
	}
	l.memory.high = l.revision
}

// follow takes a step of a watch and returns what is new in it.
func (m *memory) follow(batch store.Batch) []store.Event {
	var changes []store.Event
	for _, e := range batch.Events {
		known, exists := m.seen.get(e.Key)
		if e.Revision <= max(m.floor, known) || (e.Deleted && !exists) {
			continue
		}
		if e.Deleted {
			m.seen.remove(e.Key)
		} else {
			m.seen.set(e.Key, e.Revision)
		}
		m.high = max(m.high, e.Revision)
		changes = append(changes, e)
	}
	m.floor = max(m.floor, batch.Revision)
	m.high = max(m.high, m.floor)
	return changes
}
