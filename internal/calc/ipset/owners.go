package ipset

import (
	"cmp"
	"net/netip"
	"slices"
	"unique"

	"github.com/tortie-net/tortie/internal/calc/slab"
	"github.com/tortie-net/tortie/internal/model"
)

// Owners knows which addresses the allocations of IPAM blocks give to which pod (R145).
type Owners struct {
	pods   *Pods
	byCIDR map[netip.Prefix]uint32
	blocks slab.Of[block]
	more   map[PodID][]place // beyond the first
}

// block is one's allocations to pods, by ordinal.
type block struct {
	cidr   netip.Prefix
	grants []grant
}

type grant struct {
	ordinal uint32
	pod     PodID
	node    unique.Handle[string]
	uid     UID
}

// NewOwners makes an empty one.
func NewOwners(pods *Pods) *Owners {
	return &Owners{pods: pods, byCIDR: map[netip.Prefix]uint32{}, more: map[PodID][]place{}}
}

// Addresses are those allocated to a pod at a node, sorted. An allocation that names another node or, where it names
// any, another UID, is of another pod that had the same name.
func (o *Owners) Addresses(id PodID, node unique.Handle[string], uid UID) []netip.Addr {
	var out []netip.Addr
	see := func(at place) {
		b := o.blocks.At(at.block - 1)
		i, found := slices.BinarySearchFunc(b.grants, at.ordinal, func(g grant, n uint32) int { return cmp.Compare(g.ordinal, n) })
		if !found {
			return
		}
		if g := &b.grants[i]; g.node == node && (g.uid == UID{} || g.uid == uid) {
			addr := (&model.Block{CIDR: b.cidr}).Addr(int(at.ordinal))
			if !slices.Contains(out, addr) {
				out = append(out, addr)
			}
		}
	}
	if at := o.pods.at(id).at; at.block != 0 {
		see(at)
	}
	for _, at := range o.more[id] {
		see(at)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// SetBlock says what a block is now, nil: gone, and calls changed for the pods whose addresses may be other ones. The
// block itself is not kept.
func (o *Owners) SetBlock(cidr netip.Prefix, b *model.Block, changed func(PodID)) {
	fresh := o.grants(b)
	id, known := o.byCIDR[cidr]
	if !known {
		if len(fresh) == 0 {
			return
		}
		id = o.blocks.New()
		o.byCIDR[cidr] = id
		o.blocks.At(id).cidr = cidr
	}
	record := o.blocks.At(id)
	old := record.grants
	record.grants = fresh
	// Blocks change one address at a time: pods whose entries stay as they are need no look.
	var others []PodID
	for i, j := 0, 0; i < len(old) || j < len(fresh); {
		switch {
		case j == len(fresh) || i < len(old) && old[i].ordinal < fresh[j].ordinal:
			o.leave(old[i].pod, place{id + 1, old[i].ordinal})
			others = append(others, old[i].pod)
			i++
		case i == len(old) || fresh[j].ordinal < old[i].ordinal:
			o.enter(fresh[j].pod, place{id + 1, fresh[j].ordinal})
			others = append(others, fresh[j].pod)
			j++
		default:
			if old[i] != fresh[j] {
				o.leave(old[i].pod, place{id + 1, old[i].ordinal})
				o.enter(fresh[j].pod, place{id + 1, fresh[j].ordinal})
				others = append(others, old[i].pod, fresh[j].pod)
			}
			i, j = i+1, j+1
		}
	}
	for _, pod := range others {
		changed(pod)
	}
	for _, g := range old {
		o.pods.Drop(g.pod)
	}
	if len(fresh) == 0 {
		delete(o.byCIDR, cidr)
		o.blocks.Free(id)
	}
}

// grants are a block's allocations to pods, in order of the ordinals, each of which uses its pod.
func (o *Owners) grants(b *model.Block) []grant {
	if b == nil || b.Deleted {
		return nil
	}
	fresh := make([]grant, 0, max(len(b.Allocations)-len(b.Unallocated), 0))
	for ordinal, i := range b.Allocations {
		if i < 0 || i >= len(b.Attributes) {
			continue
		}
		a := &b.Attributes[i]
		name := a.Attributes[model.AttrPod]
		if !a.ReleasedAt.IsZero() || name == "" {
			continue
		}
		fresh = append(fresh, grant{
			ordinal: uint32(ordinal), pod: o.pods.Use(a.Attributes[model.AttrNamespace], name),
			node: unique.Make(a.Attributes[model.AttrNode]), uid: MakeUID(a.Attributes[model.AttrUID]),
		})
	}
	return fresh
}

func (o *Owners) enter(id PodID, at place) {
	if p := o.pods.at(id); p.at.block == 0 {
		p.at = at
	} else {
		o.more[id] = append(o.more[id], at)
	}
}

func (o *Owners) leave(id PodID, at place) {
	p, more := o.pods.at(id), o.more[id]
	switch n := len(more); {
	case p.at != at:
		more = slices.DeleteFunc(more, func(other place) bool { return other == at })
	case n > 0:
		p.at, more = more[n-1], more[:n-1]
	default:
		p.at = place{}
	}
	if len(more) == 0 {
		delete(o.more, id)
	} else {
		o.more[id] = more
	}
}
