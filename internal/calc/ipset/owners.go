package ipset

import (
	"net/netip"
	"slices"
	"unique"

	"github.com/tortie-net/tortie/internal/model"
)

// Pod names a pod in the attributes of an allocation.
type Pod struct{ Namespace, Name string }

// Owners knows which addresses the allocations of IPAM blocks give to which pod (R145).
type Owners struct {
	blocks map[netip.Prefix][]grant
	byPod  map[Pod][]owned
}

type grant struct {
	pod  Pod
	addr netip.Addr
}

type owned struct {
	addr netip.Addr
	node unique.Handle[string]
	uid  string
}

// NewOwners makes an empty one.
func NewOwners() *Owners {
	return &Owners{blocks: map[netip.Prefix][]grant{}, byPod: map[Pod][]owned{}}
}

// Addresses are those allocated to a pod at a node, sorted. An allocation that names another node or, where it names
// any, another UID, is of another pod that had the same name.
func (o *Owners) Addresses(pod Pod, node, uid string) []netip.Addr {
	var out []netip.Addr
	at := unique.Make(node)
	for _, a := range o.byPod[pod] {
		if a.node == at && (a.uid == "" || a.uid == uid) && !slices.Contains(out, a.addr) {
			out = append(out, a.addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// SetBlock says what a block is now, nil: gone, and calls changed for the pods whose addresses may be other ones. The
// block itself is not kept.
func (o *Owners) SetBlock(cidr netip.Prefix, b *model.Block, changed func(Pod)) {
	fresh, details := o.grants(b)
	old := o.blocks[cidr]
	// Blocks change one address at a time: pods whose entries stay as they are need no look.
	i := 0
	for _, g := range old {
		for i < len(fresh) && fresh[i].addr.Less(g.addr) {
			o.add(fresh[i], details[i], changed)
			i++
		}
		if i < len(fresh) && fresh[i].addr == g.addr {
			if fresh[i].pod != g.pod || !slices.Contains(o.byPod[g.pod], details[i]) {
				o.remove(g, changed)
				o.add(fresh[i], details[i], changed)
			} else {
				fresh[i].pod = g.pod // keep the strings that are shared already
			}
			i++
			continue
		}
		o.remove(g, changed)
	}
	for ; i < len(fresh); i++ {
		o.add(fresh[i], details[i], changed)
	}
	if len(fresh) == 0 {
		delete(o.blocks, cidr)
	} else {
		o.blocks[cidr] = fresh
	}
}

// grants are a block's allocations to pods, in order of the addresses.
func (o *Owners) grants(b *model.Block) ([]grant, []owned) {
	if b == nil || b.Deleted {
		return nil, nil
	}
	used := len(b.Allocations) - len(b.Unallocated)
	fresh := make([]grant, 0, max(used, 0))
	details := make([]owned, 0, max(used, 0))
	for ordinal, i := range b.Allocations {
		if i < 0 || i >= len(b.Attributes) {
			continue
		}
		a := &b.Attributes[i]
		pod := Pod{a.Attributes[model.AttrNamespace], a.Attributes[model.AttrPod]}
		if !a.ReleasedAt.IsZero() || pod.Name == "" {
			continue
		}
		addr := b.Addr(ordinal)
		fresh = append(fresh, grant{pod, addr})
		details = append(details, owned{addr, unique.Make(a.Attributes[model.AttrNode]), a.Attributes[model.AttrUID]})
	}
	return fresh, details
}

func (o *Owners) add(g grant, d owned, changed func(Pod)) {
	o.byPod[g.pod] = append(o.byPod[g.pod], d)
	changed(g.pod)
}

func (o *Owners) remove(g grant, changed func(Pod)) {
	list := slices.DeleteFunc(o.byPod[g.pod], func(d owned) bool { return d.addr == g.addr })
	if len(list) == 0 {
		delete(o.byPod, g.pod)
	} else {
		o.byPod[g.pod] = list
	}
	changed(g.pod)
}
