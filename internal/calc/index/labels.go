package index

import (
	"slices"

	"github.com/tortie-net/tortie/internal/calc/slab"
)

// pairRecord is one key=value that somebody states or requires, with who states it.
type pairRecord struct {
	value     string
	key       uint32
	refs      uint32   // labels and anchors that use it
	items     idSet    // items that state it themselves
	profiles  idSet    // profiles that hand it down
	selectors [2]idSet // by side: filed under it
}

// keyRecord is one label key, with the pairs of it.
type keyRecord struct {
	name      string
	refs      uint32 // pairs and anchors that use it
	stated    uint32 // items that state it themselves
	pairs     idSet
	selectors [2]idSet // by side: filed under it
}

// table numbers label keys and pairs, so that a label takes four bytes wherever it occurs.
type table struct {
	sets   *idSets
	keyID  map[string]uint32
	keys   slab.Of[keyRecord]
	hash   slab.Hash
	byText slab.Table // pairs by key and value
	pairs  slab.Of[pairRecord]
}

func newTable(sets *idSets) *table {
	return &table{sets: sets, keyID: map[string]uint32{}, hash: slab.NewHash()}
}

func (t *table) acquireKey(name string) uint32 {
	id, ok := t.keyID[name]
	if !ok {
		id = t.keys.New()
		t.keys.At(id).name = name
		t.keyID[name] = id
	}
	t.keys.At(id).refs++
	return id
}

func (t *table) releaseKey(id uint32) {
	k := t.keys.At(id)
	if k.refs--; k.refs == 0 {
		delete(t.keyID, k.name)
		t.keys.Free(id)
	}
}

func (t *table) pairHash(key uint32, value string) uint64 {
	return slab.Join(t.hash.String(value), uint64(key))
}

func (t *table) findPair(key uint32, value string) (uint32, bool) {
	return t.byText.Find(t.pairHash(key, value), func(id uint32) bool {
		p := t.pairs.At(id)
		return p.key == key && p.value == value
	})
}

func (t *table) acquirePair(key, value string) uint32 {
	k, known := t.keyID[key]
	if known {
		if id, ok := t.findPair(k, value); ok {
			t.pairs.At(id).refs++
			return id
		}
	}
	k = t.acquireKey(key)
	id := t.pairs.New()
	*t.pairs.At(id) = pairRecord{key: k, value: value, refs: 1}
	t.byText.Insert(t.pairHash(k, value), id)
	t.sets.add(&t.keys.At(k).pairs, id)
	return id
}

func (t *table) releasePair(id uint32) {
	p := t.pairs.At(id)
	if p.refs--; p.refs > 0 {
		return
	}
	key := p.key
	t.byText.Remove(t.pairHash(key, p.value), id)
	t.sets.remove(&t.keys.At(key).pairs, id)
	t.pairs.Free(id)
	t.releaseKey(key)
}

// acquireAll appends the numbers of a whole set of labels, sorted, to an empty list.
func (t *table) acquireAll(list []uint32, labels map[string]string) []uint32 {
	for k, v := range labels {
		list = append(list, t.acquirePair(k, v))
	}
	slices.Sort(list)
	return list
}

func (t *table) releaseAll(pairs []uint32) {
	for _, id := range pairs {
		t.releasePair(id)
	}
}

// find returns the value of a key among labels.
func (t *table) find(pairs []uint32, key uint32) (string, bool) {
	for _, id := range pairs {
		if p := t.pairs.At(id); p.key == key {
			return p.value, true
		}
	}
	return "", false
}
