package calc

import (
	"maps"
	"slices"

	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/policy"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// The annotations that a pod takes over from its namespace where it has none of the name.
var inheritedAnnotations = [...]string{
	"cni.projectcalico.org/ipv4pools", "cni.projectcalico.org/ipv6pools", "cni.projectcalico.org/ipFamilies",
}

// flushEndpoints makes the endpoints of the span that changed.
func (c *Calc) flushEndpoints() {
	for ref := range c.dirtyEndpoints {
		c.visited++
		ids := c.local[ref]
		if len(ids) == 0 {
			c.out.removeRef(ref)
			continue
		}
		id := c.first(ids)
		it := c.item(id)
		if c.givesWay(it.local) {
			c.out.removeRef(ref)
			continue
		}
		nodes := []string{it.node.Value()}
		if it.local.workload != nil {
			c.out.put(c.endpoint(id, it), nodes)
		} else {
			c.out.put(c.hostEndpoint(id, it), nodes)
		}
	}
	clear(c.dirtyEndpoints)
}

// first is the item that tells what an endpoint is, of those that stand for it: the first by its key, so that a Pod goes
// before a WorkloadEndpoint.
func (c *Calc) first(ids []index.ItemID) index.ItemID {
	return slices.MinFunc(ids, func(a, b index.ItemID) int { return c.item(a).local.key.Compare(c.item(b).local.key) })
}

// givesWay tells whether a WorkloadEndpoint is left over from a Pod that is elsewhere by now.
func (c *Calc) givesWay(l *localItem) bool {
	if l.key.Kind != model.KindWorkloadEndpoint || l.workload.ID.Orchestrator != "k8s" {
		return false
	}
	pod, ok := c.pods.Find(l.workload.ID.Namespace, l.workload.ID.Workload)
	if ok {
		_, ok = c.pods.Item(pod)
	}
	return ok
}

func (c *Calc) endpoint(id index.ItemID, it *item) *intent.Endpoint {
	w := it.local.workload
	o := &intent.Endpoint{
		ID: it.local.ref.ID, Workload: w.ID, UID: w.UID, Node: w.Node, ContainerID: w.ContainerID, Interface: w.Interface,
		MAC: w.MAC, Addresses: stated(w), Tiers: c.endpointTiers(id), Profiles: it.local.profiles,
		Memberships: c.sets.Memberships(id, it.node.Value()), Ports: w.Ports, Annotations: c.annotations(w),
	}
	for _, p := range w.SourcePrefixes {
		o.SourcePrefixes = append(o.SourcePrefixes, p.Masked())
	}
	var labels map[string]string
	if node := c.cluster.Nodes[w.Node]; node != nil {
		labels = node.Labels
	}
	o.Pools4, o.Pools6 = c.alloc.For(labels, namespaceLabels{c, w.ID.Namespace})
	return o
}

// annotations are a workload's own, and those that it takes over from its namespace.
func (c *Calc) annotations(w *model.WorkloadEndpoint) map[string]string {
	inherited := c.profiles.annotations[w.ID.Namespace]
	if len(inherited) == 0 {
		return w.Annotations
	}
	all := make(map[string]string, len(w.Annotations)+len(inheritedAnnotations))
	for _, key := range inheritedAnnotations {
		if value, ok := inherited[key]; ok {
			all[key] = value
		}
	}
	maps.Copy(all, w.Annotations)
	return all
}

func (c *Calc) hostEndpoint(id index.ItemID, it *item) *intent.HostEndpoint {
	h := it.local.host
	return &intent.HostEndpoint{
		ID: h.Name, Name: h.Name, Node: h.Node, Interface: h.Interface, ExpectedIPs: distinct(h.ExpectedIPs),
		Tiers: c.endpointTiers(id), Profiles: it.local.profiles,
	}
}

// endpointTiers is the policies that select an endpoint, in order.
func (c *Calc) endpointTiers(id index.ItemID) []intent.Tier {
	var policies []policy.Listed
	for sel := range c.index.Matches(id) {
		if c.index.Side(sel) != index.Subjects {
			continue
		}
		c.policies.with(sel, func(id uint32) {
			l := c.policies.states.At(id).live
			policies = append(policies, policy.Listed{Policy: l.policy, ID: l.active.id})
		})
	}
	c.visited += uint64(len(policies))
	return policy.Tiers(policies, func(name string) *model.Tier { return c.tiers[name] })
}
