package calc

import (
	"net/netip"
	"slices"
	"unique"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// item is what is kept of an endpoint or network set beside its labels (index) and its members (ipset). There may be
// hundreds of thousands: what only endpoints of the span need is in local.
type item struct {
	node  unique.Handle[string] // the zero one: a network set
	uid   ipset.UID             // of who claims
	pod   ipset.PodID           // of an item of kind Pod, a claim or a rival, which all use it
	kind  itemKind
	claim bool // IPAM tells the addresses: those of allocations that name the pod, at node, with uid (R145)
	rival bool // in Calc.rivals
	local *localItem
}

// itemKind says what an item's object is.
type itemKind uint8

const (
	itemFree itemKind = iota
	itemPod
	itemWorkload // a WorkloadEndpoint
	itemOther
)

// localItem is an endpoint of a node of the span.
type localItem struct {
	key      model.Key
	ref      intent.Ref
	workload *model.WorkloadEndpoint // one of the two
	host     *model.HostEndpoint
	profiles []string // no duplicates
}

func (c *Calc) item(id index.ItemID) *item { return c.items.At(uint32(id)) }

func (c *Calc) lookup(key model.Key) (index.ItemID, bool) {
	if key.Kind == model.KindPod {
		if pod, ok := c.pods.Find(key.Namespace, key.Name); ok {
			return c.pods.Item(pod)
		}
		return 0, false
	}
	if name, ok := c.keys.Find(string(key.Kind), key.Namespace, key.Name); ok {
		return *c.byKey.At(name), true
	}
	return 0, false
}

// enter returns the number of an object's item, a new one if need be.
func (c *Calc) enter(key model.Key) index.ItemID {
	if id, ok := c.lookup(key); ok {
		return id
	}
	id := index.ItemID(c.items.New())
	it := c.item(id)
	switch key.Kind {
	case model.KindPod:
		it.kind, it.pod = itemPod, c.pods.Use(key.Namespace, key.Name)
		c.pods.SetItem(it.pod, id)
		c.touchRivals(it.pod)
		return id
	case model.KindWorkloadEndpoint:
		it.kind = itemWorkload
	default:
		it.kind = itemOther
	}
	name := c.keys.Add(string(key.Kind), key.Namespace, key.Name)
	c.byKey.Grow(name + 1)
	*c.byKey.At(name) = id
	return id
}

// leave forgets an object's item.
func (c *Calc) leave(key model.Key) {
	id, ok := c.lookup(key)
	if !ok {
		return
	}
	it := c.item(id)
	c.routes.State(uint32(id), c.statedBefore(id), nil)
	c.index.DropItem(id)
	c.sets.SetItem(id, nil, nil)
	c.setRival(id, it, false, "", "")
	c.setLocal(id, it, nil)
	if it.kind == itemPod {
		c.pods.ClearItem(it.pod)
		c.touchRivals(it.pod)
		c.pods.Drop(it.pod)
	} else if name, ok := c.keys.Find(string(key.Kind), key.Namespace, key.Name); ok {
		c.keys.Remove(name)
	}
	c.items.Free(uint32(id))
}

func (c *Calc) setWorkload(key model.Key, w *model.WorkloadEndpoint) {
	c.visited++
	if id, ok := c.lookup(key); w == nil || ok && c.item(id).node.Value() != w.Node {
		c.leave(key) // an endpoint of another node is another endpoint
	}
	if w == nil {
		return
	}
	id := c.enter(key)
	it := c.item(id)
	now, before := stated(w), c.statedBefore(id)
	it.node, it.uid = unique.Make(w.Node), ipset.UID{}
	if !slices.Equal(before, now) {
		c.routes.State(uint32(id), before, now)
	}
	it.claim = w.AddressesFromIPAM && len(now) == 0 && w.Node != ""
	if it.claim {
		it.uid = ipset.MakeUID(w.UID)
	}
	subject := c.span.Has(w.Node)
	if subject {
		c.setLocal(id, it, &localItem{
			key: key, ref: intent.Ref{Kind: intent.KindEndpoint, ID: w.ID.String()}, workload: w, profiles: distinct(w.Profiles),
		})
	}
	if it.kind == itemWorkload {
		c.setRival(id, it, subject || it.claim, w.ID.Namespace, w.ID.Workload)
	}
	if it.claim {
		now = c.owners.Addresses(it.pod, it.node, it.uid)
	}
	c.sets.SetItem(id, hostPrefixes(now), w.Ports)
	c.index.SetItem(id, subject, w.Labels, w.Profiles)
}

// stated is a workload's own word for its addresses. Who is not scheduled owns none (R145).
func stated(w *model.WorkloadEndpoint) []netip.Addr {
	if w.Node == "" {
		return nil
	}
	return distinct(w.Addresses)
}

// statedBefore is what an item's workload stated the last time: what it contributes, unless IPAM tells that.
func (c *Calc) statedBefore(id index.ItemID) []netip.Addr {
	if it := c.item(id); it.claim || it.kind != itemPod && it.kind != itemWorkload {
		return nil
	}
	return c.sets.Addresses(id)
}

// setRival notes which WorkloadEndpoint objects stand for a pod: those whose addresses IPAM tells, and those of the span.
// An item of a Pod is none, whatever its workload says.
func (c *Calc) setRival(id index.ItemID, it *item, is bool, namespace, name string) {
	was, old := it.rival, it.pod
	if is {
		it.pod = c.pods.Use(namespace, name)
		if !was || it.pod != old {
			c.rivals[it.pod] = append(c.rivals[it.pod], id)
		}
	}
	if it.rival = is; !was {
		return
	}
	if !is || it.pod != old {
		list := slices.DeleteFunc(c.rivals[old], func(o index.ItemID) bool { return o == id })
		if len(list) == 0 {
			delete(c.rivals, old)
		} else {
			c.rivals[old] = list
		}
	}
	c.pods.Drop(old)
}

// touchRivals looks again at the endpoints that give way to a Pod which comes or goes.
func (c *Calc) touchRivals(pod ipset.PodID) {
	for _, id := range c.rivals[pod] {
		c.touch(id)
	}
}

// contribute looks again at the addresses that IPAM tells of a workload, if it does (R145).
func (c *Calc) contribute(id index.ItemID) {
	if it := c.item(id); it.claim {
		c.sets.SetPrefixes(id, hostPrefixes(c.owners.Addresses(it.pod, it.node, it.uid)))
	}
}

func (c *Calc) setHostEndpoint(key model.Key, h *model.HostEndpoint) {
	c.visited++
	if id, ok := c.lookup(key); h == nil || ok && c.item(id).node.Value() != h.Node {
		c.leave(key)
	}
	if h == nil {
		return
	}
	id := c.enter(key)
	it := c.item(id)
	it.node = unique.Make(h.Node)
	subject := c.span.Has(h.Node)
	if subject {
		c.setLocal(id, it, &localItem{
			key: key, ref: intent.Ref{Kind: intent.KindHostEndpoint, ID: h.Name}, host: h, profiles: distinct(h.Profiles),
		})
	}
	c.sets.SetItem(id, hostPrefixes(distinct(h.ExpectedIPs)), h.Ports)
	c.index.SetItem(id, subject, h.Labels, h.Profiles)
}

func (c *Calc) setNetworkSet(key model.Key, s *model.NetworkSet) {
	c.visited++
	if s == nil {
		c.leave(key)
		return
	}
	id := c.enter(key)
	nets := make([]netip.Prefix, len(s.Nets))
	for i, n := range s.Nets {
		nets[i] = n.Masked()
	}
	c.sets.SetItem(id, distinct(nets), nil)
	c.index.SetItem(id, false, s.Labels, s.Profiles)
}

// setLocal replaces what is kept of an endpoint of the span; nil: it is none any more.
func (c *Calc) setLocal(id index.ItemID, it *item, now *localItem) {
	was := it.local
	it.local = now
	if now != nil {
		c.dirtyEndpoints[now.ref] = struct{}{}
		if was == nil || was.ref != now.ref {
			c.local[now.ref] = append(c.local[now.ref], id)
		}
		c.byNode.add(it.node.Value(), id)
		if now.workload != nil {
			c.byNS.add(now.workload.ID.Namespace, id)
		}
		for _, name := range now.profiles {
			c.profiles.use(name, it.node.Value())
		}
	}
	if was == nil {
		return
	}
	c.dirtyEndpoints[was.ref] = struct{}{}
	if now == nil || was.ref != now.ref {
		c.local[was.ref] = slices.DeleteFunc(c.local[was.ref], func(o index.ItemID) bool { return o == id })
		if len(c.local[was.ref]) == 0 {
			delete(c.local, was.ref)
		}
	}
	if now == nil {
		c.byNode.remove(it.node.Value(), id)
	}
	if was.workload != nil && (now == nil || now.workload.ID.Namespace != was.workload.ID.Namespace) {
		c.byNS.remove(was.workload.ID.Namespace, id)
	}
	for _, name := range was.profiles {
		c.profiles.unuse(name, it.node.Value())
	}
}

// touch makes the next Flush look at an endpoint again.
func (c *Calc) touch(id index.ItemID) {
	if l := c.item(id).local; l != nil {
		c.dirtyEndpoints[l.ref] = struct{}{}
	}
}

// started is called by index when an item matches a selector that it did not match before.
func (c *Calc) started(sel index.SelectorID, id index.ItemID) {
	if c.index.Side(sel) == index.Members {
		c.sets.Started(sel, id)
	} else {
		c.policies.with(sel, func(policy uint32) { c.choose(policy, id) })
	}
	c.touch(id)
}

// stopped is called by index when an item no longer matches a selector.
func (c *Calc) stopped(sel index.SelectorID, id index.ItemID) {
	if c.index.Side(sel) == index.Members {
		c.sets.Stopped(sel, id)
	} else {
		c.policies.with(sel, func(policy uint32) { c.unchoose(policy, id) })
	}
	c.touch(id)
}

// distinct is a list without repetitions, in its order; nil where it is empty.
func distinct[T comparable](list []T) []T {
	var out []T
	for i, v := range list {
		if !slices.Contains(list[:i], v) {
			out = append(out, v)
		}
	}
	return out
}

func hostPrefixes(addrs []netip.Addr) []netip.Prefix {
	if len(addrs) == 0 {
		return nil
	}
	out := make([]netip.Prefix, len(addrs))
	for i, a := range addrs {
		out[i] = netip.PrefixFrom(a, a.BitLen())
	}
	return out
}
