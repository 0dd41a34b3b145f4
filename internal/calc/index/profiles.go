package index

import "slices"

// SetProfile says what labels a profile hands down to the items that name it.
func (x *Index) SetProfile(name string, labels map[string]string) {
	id := x.profileNumber(name)
	p := x.profiles[id]
	fresh := x.table.acquireAll(labels)
	if p.defined && slices.Equal(p.labels, fresh) {
		x.table.releaseAll(fresh)
		return
	}
	x.relabel(id, fresh)
	p.defined = true
}

// DropProfile says that a profile is gone: it hands nothing down.
func (x *Index) DropProfile(name string) {
	id, ok := x.byName[name]
	if !ok {
		return
	}
	x.relabel(id, nil)
	x.profiles[id].defined = false
	x.forgetProfiles([]uint32{id})
}

// ProfileLabel returns what value a profile gives a label. It allocates nothing.
func (x *Index) ProfileLabel(name, key string) (string, bool) {
	id, ok := x.byName[name]
	if !ok {
		return "", false
	}
	k, ok := x.table.keyID[key]
	if !ok {
		return "", false
	}
	return x.table.find(x.profiles[id].labels, k)
}

// relabel moves a profile to other labels and looks at its members again.
func (x *Index) relabel(id uint32, labels []label) {
	p := x.profiles[id]
	old := p.labels
	for _, l := range old {
		x.table.pairs[l.pair].profiles.remove(id)
	}
	for _, l := range labels {
		x.table.pairs[l.pair].profiles.add(id)
	}
	p.labels = labels
	x.table.releaseAll(old)
	p.members.each(func(member uint32) {
		x.evaluate(ItemID(member), x.items[member])
	})
}

func (x *Index) profileNumber(name string) uint32 {
	if id, ok := x.byName[name]; ok {
		return id
	}
	p := &profile{name: name}
	var id uint32
	if n := len(x.free); n > 0 {
		id, x.free = x.free[n-1], x.free[:n-1]
		x.profiles[id] = p
	} else {
		id = uint32(len(x.profiles))
		x.profiles = append(x.profiles, p)
	}
	x.byName[name] = id
	return id
}

func (x *Index) profileNumbers(names []string) []uint32 {
	if len(names) == 0 {
		return nil
	}
	out := make([]uint32, 0, len(names))
	for _, name := range names {
		if id := x.profileNumber(name); !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// forgetProfiles frees what nobody defines and nobody names.
func (x *Index) forgetProfiles(ids []uint32) {
	for _, id := range ids {
		p := x.profiles[id]
		if p != nil && !p.defined && p.members.len() == 0 {
			delete(x.byName, p.name)
			x.profiles[id] = nil
			x.free = append(x.free, id)
		}
	}
}
