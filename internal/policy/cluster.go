package policy

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
)

// Cluster is the cluster's objects at one moment. It never changes.
type Cluster struct {
	byKey   map[model.Key]any
	objects []model.Update // the same, in the order of keys, so that equal clusters give equal answers
}

// New is the cluster that a history of updates leaves behind: the last value of each key counts, nil deletes.
func New(updates []model.Update) *Cluster {
	c := &Cluster{byKey: map[model.Key]any{}}
	for _, u := range updates {
		if u.Value == nil {
			delete(c.byKey, u.Key)
		} else {
			c.byKey[u.Key] = u.Value
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(c.byKey), model.Key.Compare) {
		c.objects = append(c.objects, model.Update{Key: key, Value: c.byKey[key]})
	}
	return c
}

// endpoint is what policy applies to: a workload's or a host's interface.
type endpoint struct {
	labels    map[string]string // own and inherited ones
	profiles  []string
	ports     []model.NamedPort
	addresses []netip.Addr // those that it owns
}

// Get implements selector.Labels.
func (e endpoint) Get(key string) (string, bool) { v, ok := e.labels[key]; return v, ok }

// endpoint is the endpoint stored under a key, if there is one.
func (c *Cluster) endpoint(key model.Key) (endpoint, bool) {
	switch o := c.byKey[key].(type) {
	case *model.WorkloadEndpoint:
		return endpoint{c.withInherited(o.Labels, o.Profiles), o.Profiles, o.Ports, c.owned(o)}, true
	case *model.HostEndpoint:
		return endpoint{c.withInherited(o.Labels, o.Profiles), o.Profiles, o.Ports, o.ExpectedIPs}, true // R120
	}
	return endpoint{}, false
}

// endpoints is every endpoint, in the order of keys.
func (c *Cluster) endpoints() []endpoint {
	var all []endpoint
	for _, o := range c.objects {
		if e, ok := c.endpoint(o.Key); ok {
			all = append(all, e)
		}
	}
	return all
}

// withInherited is own labels and those of profiles: the own one wins, then that of the first profile that has it (R52).
func (c *Cluster) withInherited(own map[string]string, profiles []string) map[string]string {
	labels := map[string]string{}
	for _, name := range slices.Backward(profiles) {
		if p := c.profile(name); p != nil {
			maps.Copy(labels, p.Labels)
		}
	}
	maps.Copy(labels, own)
	return labels
}

// profile is the profile of that name, or nil. projectcalico-default-allow is built in and cannot be redefined. A
// Profile object comes before the profile that a Namespace (R50) or ServiceAccount (R51) stands for.
func (c *Cluster) profile(name string) *model.Profile {
	if name == model.ProfileDefaultAllow {
		allow := []model.Rule{{Action: model.Allow}}
		return &model.Profile{Name: name, Ingress: allow, Egress: allow}
	}
	if p, ok := c.byKey[model.Key{Kind: model.KindProfile, Name: name}].(*model.Profile); ok {
		return p
	}
	for _, o := range c.objects {
		var p *model.Profile
		switch value := o.Value.(type) {
		case *model.Namespace:
			p = value.Profile()
		case *model.Profile:
			p = value
		}
		if p != nil && p.Name == name && o.Key.Kind != model.KindProfile {
			return p
		}
	}
	return nil
}

// owned is the addresses of a workload (R145): none if it is not scheduled (finished and host-networked pods are no
// endpoints, or come without any); those that the object states; else those that IPAM holds for it.
func (c *Cluster) owned(w *model.WorkloadEndpoint) []netip.Addr {
	switch {
	case w.Node == "":
		return nil
	case len(w.Addresses) > 0:
		return w.Addresses
	case !w.AddressesFromIPAM:
		return nil
	}
	var addresses []netip.Addr
	for _, o := range c.objects {
		b, ok := o.Value.(*model.Block)
		if !ok || b.Deleted {
			continue
		}
		for ordinal, index := range b.Allocations {
			if index >= 0 && index < len(b.Attributes) && allocatedTo(b.Attributes[index], w) {
				addresses = append(addresses, b.Addr(ordinal))
			}
		}
	}
	return addresses
}

// allocatedTo tells whether an allocation names a workload: its namespace, pod and node, its uid where the allocation
// has one, and it is not released (R145).
func allocatedTo(a model.Allocation, w *model.WorkloadEndpoint) bool {
	uid, hasUID := a.Attributes[model.AttrUID]
	return a.ReleasedAt.IsZero() &&
		a.Attributes[model.AttrPod] != "" &&
		a.Attributes[model.AttrPod] == w.ID.Workload &&
		a.Attributes[model.AttrNamespace] == w.ID.Namespace &&
		a.Attributes[model.AttrNode] == w.Node &&
		(!hasUID || uid == w.UID)
}
