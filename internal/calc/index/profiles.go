package index

import "slices"

// SetProfile says what labels a profile hands down to the items that name it. tag is the caller's own, from 1.
func (x *Index) SetProfile(name string, labels map[string]string, tag uint8) {
	id := x.profileNumber(name)
	p := x.profiles.At(id)
	p.tag = tag
	fresh := x.table.acquireAll(make([]uint32, 0, len(labels)), labels)
	if p.defined && slices.Equal(p.labels, fresh) {
		x.table.releaseAll(fresh)
		return
	}
	x.relabel(id, fresh)
	p.defined = true
}

// DropProfile says that a profile is gone: it hands nothing down.
func (x *Index) DropProfile(name string) {
	id, ok := x.findProfile(name)
	if !ok {
		return
	}
	x.relabel(id, nil)
	p := x.profiles.At(id)
	p.defined, p.tag = false, 0
	x.forgetProfiles([]uint32{id})
}

// ProfileTag returns the tag that SetProfile gave; 0: nobody defines the profile.
func (x *Index) ProfileTag(name string) uint8 {
	if id, ok := x.findProfile(name); ok {
		return x.profiles.At(id).tag
	}
	return 0
}

// ProfileLabel returns what value a profile gives a label. It allocates nothing.
func (x *Index) ProfileLabel(name, key string) (string, bool) {
	id, ok := x.findProfile(name)
	if !ok {
		return "", false
	}
	k, ok := x.table.keyID[key]
	if !ok {
		return "", false
	}
	return x.table.find(x.profiles.At(id).labels, k)
}

// relabel moves a profile to other labels and looks at its members again.
func (x *Index) relabel(id uint32, labels []uint32) {
	p := x.profiles.At(id)
	old := p.labels
	for _, l := range old {
		x.sets.remove(&x.table.pairs.At(l).profiles, id)
	}
	for _, l := range labels {
		x.sets.add(&x.table.pairs.At(l).profiles, id)
	}
	p.labels = labels
	x.table.releaseAll(old)
	x.sets.each(p.members, func(member uint32) {
		x.evaluate(ItemID(member), x.items.At(member))
	})
}

func (x *Index) findProfile(name string) (uint32, bool) {
	return x.byName.Find(x.table.hash.String(name), func(id uint32) bool { return x.profiles.At(id).name == name })
}

func (x *Index) profileNumber(name string) uint32 {
	if id, ok := x.findProfile(name); ok {
		return id
	}
	id := x.profiles.New()
	x.profiles.At(id).name = name
	x.byName.Insert(x.table.hash.String(name), id)
	return id
}

// profileNumbers appends the numbers of profiles, in their order and without repetitions.
func (x *Index) profileNumbers(list []uint32, names []string) []uint32 {
	before := len(list)
	for _, name := range names {
		if id := x.profileNumber(name); !slices.Contains(list[before:], id) {
			list = append(list, id)
		}
	}
	return list
}

// forgetProfiles frees what nobody defines and nobody names. A number may come twice.
func (x *Index) forgetProfiles(ids []uint32) {
	for _, id := range ids {
		p := x.profiles.At(id)
		if p.name != "" && !p.defined && p.members == 0 {
			x.byName.Remove(x.table.hash.String(p.name), id)
			x.profiles.Free(id)
		}
	}
}
