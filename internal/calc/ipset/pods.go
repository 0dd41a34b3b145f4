package ipset

import (
	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/slab"
)

// PodID numbers a pod that somebody uses.
type PodID uint32

// Pods numbers the pods that objects or allocations name.
type Pods struct {
	names   slab.Names
	records slab.Of[pod] // by number
}

// pod is what is known of one. The zero value is one without item or address.
type pod struct {
	uses uint32
	item uint32 // one more than the number of its Pod object's item; 0: there is none
	at   place  // of the first of the addresses that allocations give it
}

// place is where an allocation is: one more than the number of its block, and the address's ordinal.
type place struct{ block, ordinal uint32 }

// NewPods makes an empty one.
func NewPods() *Pods { return &Pods{names: slab.NewNames()} }

// Find returns the number of a pod that somebody uses.
func (p *Pods) Find(namespace, name string) (PodID, bool) {
	id, ok := p.names.Find(namespace, name)
	return PodID(id), ok
}

// Use numbers a pod, and keeps the number until Drop is called as often.
func (p *Pods) Use(namespace, name string) PodID {
	id, ok := p.names.Find(namespace, name)
	if !ok {
		id = p.names.Add(namespace, name)
		p.records.Grow(id + 1)
	}
	p.records.At(id).uses++
	return PodID(id)
}

// Drop undoes one Use.
func (p *Pods) Drop(id PodID) {
	r := p.at(id)
	if r.uses--; r.uses == 0 {
		*r = pod{}
		p.names.Remove(uint32(id))
	}
}

// Item is the item of a pod's own object.
func (p *Pods) Item(id PodID) (index.ItemID, bool) {
	item := p.at(id).item
	return index.ItemID(item - 1), item > 0
}

// SetItem notes it.
func (p *Pods) SetItem(id PodID, item index.ItemID) { p.at(id).item = uint32(item) + 1 }

// ClearItem notes that there is none any more.
func (p *Pods) ClearItem(id PodID) { p.at(id).item = 0 }

func (p *Pods) at(id PodID) *pod { return p.records.At(uint32(id)) }
