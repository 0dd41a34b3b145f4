package calc

import (
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// item is what is kept of an endpoint or network set beside its labels (index) and its members (ipset). There may be
// hundreds of thousands: what only endpoints of the span need is in local.
type item struct {
	node   string
	ports  []model.NamedPort
	stated []netip.Addr // a workload's own word for its addresses
	claim  *claim       // where IPAM tells them instead
	local  *localItem
}

// claim is to whom allocations must be made to be an item's (R145).
type claim struct {
	pod ipset.Pod
	uid string
}

// localItem is an endpoint of a node of the span.
type localItem struct {
	key      model.Key
	ref      intent.Ref
	workload *model.WorkloadEndpoint // one of the two
	host     *model.HostEndpoint
	profiles []string // no duplicates
}

func (c *Calc) lookup(key model.Key) (index.ItemID, bool) {
	if key.Kind == model.KindPod {
		id, ok := c.pods[ipset.Pod{Namespace: key.Namespace, Name: key.Name}]
		return id, ok
	}
	id, ok := c.byKey[key]
	return id, ok
}

// enter returns the number of an object's item, a new one if need be.
func (c *Calc) enter(key model.Key) index.ItemID {
	if id, ok := c.lookup(key); ok {
		return id
	}
	var id index.ItemID
	if n := len(c.free); n > 0 {
		id, c.free = c.free[n-1], c.free[:n-1]
		c.items[id] = &item{}
	} else {
		id = index.ItemID(len(c.items))
		c.items = append(c.items, &item{})
	}
	if key.Kind == model.KindPod {
		c.pods[ipset.Pod{Namespace: key.Namespace, Name: key.Name}] = id
		c.touchRivals(key)
	} else {
		c.byKey[key] = id
	}
	return id
}

// leave forgets an object's item.
func (c *Calc) leave(key model.Key) {
	id, ok := c.lookup(key)
	if !ok {
		return
	}
	c.index.DropItem(id)
	c.sets.SetItem(id, nil, nil)
	it := c.items[id]
	c.routes.State(uint32(id), "", it.stated, nil)
	c.leaveRivals(key, id, it)
	c.setLocal(id, it, nil)
	c.items[id] = nil
	c.free = append(c.free, id)
	if key.Kind == model.KindPod {
		delete(c.pods, ipset.Pod{Namespace: key.Namespace, Name: key.Name})
		c.touchRivals(key)
	} else {
		delete(c.byKey, key)
	}
}

func (c *Calc) setWorkload(key model.Key, w *model.WorkloadEndpoint) {
	c.visited++
	if id, ok := c.lookup(key); w == nil || ok && c.items[id].node != w.Node {
		c.leave(key) // an endpoint of another node is another endpoint
	}
	if w == nil {
		return
	}
	id := c.enter(key)
	it := c.items[id]
	stated := distinct(w.Addresses)
	if !slices.Equal(it.stated, stated) {
		c.routes.State(uint32(id), w.Node, it.stated, stated)
	}
	c.leaveRivals(key, id, it)
	it.node, it.ports, it.stated, it.claim = w.Node, w.Ports, stated, nil
	pod := ipset.Pod{Namespace: w.ID.Namespace, Name: w.ID.Workload}
	if w.AddressesFromIPAM && len(stated) == 0 {
		it.claim = &claim{pod, w.UID}
	}
	subject := c.span.Has(w.Node)
	if subject {
		c.setLocal(id, it, &localItem{
			key: key, ref: intent.Ref{Kind: intent.KindEndpoint, ID: w.ID.String()}, workload: w, profiles: distinct(w.Profiles),
		})
	}
	if key.Kind != model.KindPod {
		c.setRival(id, pod, subject || it.claim != nil)
	}
	c.contribute(id, it)
	c.index.SetItem(id, subject, w.Labels, w.Profiles)
}

// setRival notes which WorkloadEndpoint objects stand for a pod: those whose addresses IPAM tells, and those of the span.
func (c *Calc) setRival(id index.ItemID, pod ipset.Pod, is bool) {
	list := slices.DeleteFunc(c.rivals[pod], func(o index.ItemID) bool { return o == id })
	if is {
		list = append(list, id)
	}
	if len(list) == 0 {
		delete(c.rivals, pod)
	} else {
		c.rivals[pod] = list
	}
}

// leaveRivals undoes setRival.
func (c *Calc) leaveRivals(key model.Key, id index.ItemID, it *item) {
	switch {
	case key.Kind != model.KindWorkloadEndpoint:
	case it.claim != nil:
		c.setRival(id, it.claim.pod, false)
	case it.local != nil:
		w := it.local.workload.ID
		c.setRival(id, ipset.Pod{Namespace: w.Namespace, Name: w.Workload}, false)
	}
}

// touchRivals looks again at the endpoints that give way to a Pod which comes or goes.
func (c *Calc) touchRivals(pod model.Key) {
	for _, id := range c.rivals[ipset.Pod{Namespace: pod.Namespace, Name: pod.Name}] {
		c.touch(id)
	}
}

// contribute says what a workload adds to the sets that it is in: the addresses that it states, else those that IPAM
// tells of it (R145).
func (c *Calc) contribute(id index.ItemID, it *item) {
	addrs := it.stated
	if it.claim != nil {
		addrs = c.owners.Addresses(it.claim.pod, it.node, it.claim.uid)
	}
	c.sets.SetItem(id, hostPrefixes(addrs), it.ports)
}

func (c *Calc) setHostEndpoint(key model.Key, h *model.HostEndpoint) {
	c.visited++
	if id, ok := c.lookup(key); h == nil || ok && c.items[id].node != h.Node {
		c.leave(key)
	}
	if h == nil {
		return
	}
	id := c.enter(key)
	it := c.items[id]
	it.node, it.ports = h.Node, h.Ports
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
		c.byNode.add(it.node, id)
		if now.workload != nil {
			c.byNS.add(now.workload.ID.Namespace, id)
		}
		for _, name := range now.profiles {
			c.profiles.use(name, it.node)
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
		c.byNode.remove(it.node, id)
	}
	if was.workload != nil && (now == nil || now.workload.ID.Namespace != was.workload.ID.Namespace) {
		c.byNS.remove(was.workload.ID.Namespace, id)
	}
	for _, name := range was.profiles {
		c.profiles.unuse(name, it.node)
	}
}

// touch makes the next Flush look at an endpoint again.
func (c *Calc) touch(id index.ItemID) {
	if l := c.items[id].local; l != nil {
		c.dirtyEndpoints[l.ref] = struct{}{}
	}
}

// started is called by index when an item matches a selector that it did not match before.
func (c *Calc) started(sel index.SelectorID, id index.ItemID) {
	if c.index.Side(sel) == index.Members {
		c.sets.Started(sel, id)
	} else {
		for _, p := range c.subjects[sel] {
			c.choose(p, id)
		}
	}
	c.touch(id)
}

// stopped is called by index when an item no longer matches a selector.
func (c *Calc) stopped(sel index.SelectorID, id index.ItemID) {
	if c.index.Side(sel) == index.Members {
		c.sets.Stopped(sel, id)
	} else {
		for _, p := range c.subjects[sel] {
			c.unchoose(p, id)
		}
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
