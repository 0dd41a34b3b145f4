package index

import (
	"cmp"
	"slices"
)

// label is one key=value, by the numbers that table gave them.
type label struct{ key, pair uint32 }

// pairText identifies a pair in the table.
type pairText struct {
	key   uint32
	value string
}

// pairRecord is one key=value that somebody states or requires, with who states it.
type pairRecord struct {
	key      uint32
	refs     uint32 // labels and anchors that use it
	value    string
	items    idSet // items that state it themselves
	profiles idSet // profiles that hand it down
}

// keyRecord is one label key, with the pairs of it.
type keyRecord struct {
	name   string
	refs   uint32 // pairs and anchors that use it
	stated uint32 // items that state it themselves
	pairs  idSet
}

// table numbers label keys and pairs, so that a label takes eight bytes wherever it occurs.
type table struct {
	keyID     map[string]uint32
	keys      []keyRecord
	freeKeys  []uint32
	pairID    map[pairText]uint32
	pairs     []pairRecord
	freePairs []uint32
}

func newTable() *table {
	return &table{keyID: map[string]uint32{}, pairID: map[pairText]uint32{}}
}

func (t *table) acquireKey(name string) uint32 {
	id, ok := t.keyID[name]
	if !ok {
		if n := len(t.freeKeys); n > 0 {
			id, t.freeKeys = t.freeKeys[n-1], t.freeKeys[:n-1]
		} else {
			id = uint32(len(t.keys))
			t.keys = append(t.keys, keyRecord{})
		}
		t.keys[id] = keyRecord{name: name}
		t.keyID[name] = id
	}
	t.keys[id].refs++
	return id
}

func (t *table) releaseKey(id uint32) {
	k := &t.keys[id]
	if k.refs--; k.refs == 0 {
		delete(t.keyID, k.name)
		*k = keyRecord{}
		t.freeKeys = append(t.freeKeys, id)
	}
}

func (t *table) acquirePair(key, value string) label {
	if k, ok := t.keyID[key]; ok {
		if id, ok := t.pairID[pairText{k, value}]; ok {
			t.pairs[id].refs++
			return label{k, id}
		}
	}
	k := t.acquireKey(key)
	var id uint32
	if n := len(t.freePairs); n > 0 {
		id, t.freePairs = t.freePairs[n-1], t.freePairs[:n-1]
	} else {
		id = uint32(len(t.pairs))
		t.pairs = append(t.pairs, pairRecord{})
	}
	t.pairs[id] = pairRecord{key: k, value: value, refs: 1}
	t.pairID[pairText{k, value}] = id
	t.keys[k].pairs.add(id)
	return label{k, id}
}

func (t *table) releasePair(id uint32) {
	p := &t.pairs[id]
	if p.refs--; p.refs > 0 {
		return
	}
	key := p.key
	delete(t.pairID, pairText{key, p.value})
	t.keys[key].pairs.remove(id)
	*p = pairRecord{}
	t.freePairs = append(t.freePairs, id)
	t.releaseKey(key)
}

// acquireAll numbers a whole set of labels, sorted.
func (t *table) acquireAll(labels map[string]string) []label {
	if len(labels) == 0 {
		return nil
	}
	out := make([]label, 0, len(labels))
	for k, v := range labels {
		out = append(out, t.acquirePair(k, v))
	}
	slices.SortFunc(out, func(a, b label) int { return cmp.Compare(a.pair, b.pair) })
	return out
}

func (t *table) releaseAll(labels []label) {
	for _, l := range labels {
		t.releasePair(l.pair)
	}
}

// find returns the value of a key among labels.
func (t *table) find(labels []label, key uint32) (string, bool) {
	for _, l := range labels {
		if l.key == key {
			return t.pairs[l.pair].value, true
		}
	}
	return "", false
}
