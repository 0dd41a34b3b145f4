package proof

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
)

// TestHistoriesGiveOneIntent: what a node has in the end depends on the last value of each object alone, and not on how
// they came, nor on whether calc ran for the node or, as in a hub, for all.
func TestHistoriesGiveOneIntent(t *testing.T) {
	seed, packets := setting(t, "TORTIE_PROOF_SEED", 1), setting(t, "TORTIE_PROOF_CASES", standard)
	t.Logf("TORTIE_PROOF_SEED=%d", seed)
	for last := seed + packets/perUniverse/4; seed <= last; seed++ {
		u := cases.Generate(seed, sizeOf(seed))
		want := newNode(calc.Span{Node: cases.Node})
		atOnce(want, u, u.Updates)
		for name, span := range map[string]calc.Span{"agent": {Node: cases.Node}, "hub": {All: true}} {
			got := newNode(span)
			changing(got, u, u.Updates)
			if ref, ok := want.differs(got); ok {
				t.Fatalf("TORTIE_PROOF_SEED=%d, %s: %v:\nat once:  %s %v\nchanging: %s %v", seed, name, ref,
					describe(want.objects[ref]), want.sets[ref], describe(got.objects[ref]), got.sets[ref])
			}
			// Everything goes as it came.
			for _, o := range u.Updates {
				got.apply(model.Update{Key: o.Key})
			}
			empty := newNode(span)
			empty.apply()
			if ref, ok := empty.differs(got); ok {
				t.Fatalf("TORTIE_PROOF_SEED=%d, %s: after all objects are gone: %v: %s", seed, name, ref, describe(got.objects[ref]))
			}
		}
	}
}

// differs names an object that two nodes do not have alike.
func (n *node) differs(o *node) (intent.Ref, bool) {
	for _, pair := range [][2]*node{{n, o}, {o, n}} {
		for ref, object := range pair[0].objects {
			if !reflect.DeepEqual(object, pair[1].objects[ref]) {
				return ref, true
			}
		}
		for ref, members := range pair[0].sets {
			if other, ok := pair[1].sets[ref]; !ok || !reflect.DeepEqual(members, other) {
				return ref, true
			}
		}
	}
	return intent.Ref{}, false
}

// history is a way to tell calc of objects.
type history func(n *node, u *cases.Universe, objects []model.Update)

// atOnce gives all in one.
func atOnce(n *node, _ *cases.Universe, objects []model.Update) { n.apply(objects...) }

// changing gives the objects in a random order, split at random, some of them first as other objects of their kind are,
// some removed and given again, so that only the last values are those of the universe.
func changing(n *node, u *cases.Universe, objects []model.Update) {
	r := rand.New(rand.NewPCG(u.Seed, 0x686973746f7279))
	byKind := map[model.Kind][]model.Update{}
	for _, o := range objects {
		byKind[o.Key.Kind] = append(byKind[o.Key.Kind], o)
	}
	var steps []model.Update
	for _, i := range r.Perm(len(objects)) {
		for range r.IntN(3) {
			before := model.Update{Key: objects[i].Key}
			if r.IntN(3) > 0 {
				before.Value = disguised(r, byKind[before.Key.Kind][r.IntN(len(byKind[before.Key.Kind]))].Value, objects[i].Value)
			}
			steps = append(steps, before)
		}
	}
	r.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, i := range r.Perm(len(objects)) {
		steps = append(steps, objects[i])
	}
	for len(steps) > 0 {
		k := min(len(steps), 1+r.IntN(1+r.IntN(12)))
		n.apply(steps[:k]...)
		steps = steps[k:]
	}
	for range min(len(objects), 6) { // and some by themselves
		o := objects[r.IntN(len(objects))]
		n.apply(model.Update{Key: o.Key})
		n.apply(model.Update{Key: o.Key, Value: disguised(r, byKind[o.Key.Kind][r.IntN(len(byKind[o.Key.Kind]))].Value, o.Value)})
		n.apply(o)
	}
}

// disguised is another object's value with the identity of self, as if self had been like the other before; of a policy or
// tier perhaps only its order or types.
func disguised(r *rand.Rand, other, self any) any {
	switch o := other.(type) {
	case *model.WorkloadEndpoint:
		c := *o
		c.ID, c.UID = self.(*model.WorkloadEndpoint).ID, self.(*model.WorkloadEndpoint).UID
		return &c
	case *model.HostEndpoint:
		c := *o
		c.Name = self.(*model.HostEndpoint).Name
		return &c
	case *model.NetworkSet:
		c := *o
		c.Key = self.(*model.NetworkSet).Key
		return &c
	case *model.Policy:
		c, own := *o, *self.(*model.Policy)
		switch r.IntN(4) {
		case 0:
			own.Order = float64(r.IntN(3))
			return &own
		case 1:
			own.AppliesIngress, own.AppliesEgress = own.AppliesEgress, own.AppliesIngress
			return &own
		}
		c.Key = own.Key
		return &c
	case *model.Block: // some of its addresses were free
		c := self.(*model.Block).Clone()
		for i := range c.Allocations {
			if i%2 == 0 {
				c.Allocations[i] = -1
			}
		}
		return c
	case *model.Tier:
		c := *o
		c.Name = self.(*model.Tier).Name
		return &c
	case *model.Profile:
		c := *o
		c.Name = self.(*model.Profile).Name
		return &c
	case *model.Namespace:
		c := *o
		c.Name = self.(*model.Namespace).Name
		return &c
	case *model.EndpointSlice:
		c := *o
		c.Namespace, c.Name = self.(*model.EndpointSlice).Namespace, self.(*model.EndpointSlice).Name
		return &c
	}
	return self
}
