package policy

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// Cluster is the cluster's objects at one moment. It never changes, so what the objects themselves say (who inherits which
// labels, who owns which addresses) is worked out once, by New.
type Cluster struct {
	byKey     map[model.Key]any
	objects   []model.Update // the same, in the order of keys, so that equal clusters give equal answers
	profiles  map[string]*model.Profile
	endpoints []endpoint // in the order of keys
	sets      []networkSet
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
	c.profiles = c.definedProfiles()
	for _, o := range c.objects {
		switch v := o.Value.(type) {
		case *model.WorkloadEndpoint:
			c.endpoints = append(c.endpoints, endpoint{o.Key, c.withInherited(v.Labels, v.Profiles), v.Profiles, v.Ports, c.owned(v)})
		case *model.HostEndpoint: // R120
			c.endpoints = append(c.endpoints, endpoint{o.Key, c.withInherited(v.Labels, v.Profiles), v.Profiles, v.Ports, v.ExpectedIPs})
		case *model.NetworkSet: // R73
			c.sets = append(c.sets, networkSet{c.withInherited(v.Labels, v.Profiles), v.Nets})
		}
	}
	return c
}

// endpoint is what policy applies to: a workload's or a host's interface.
type endpoint struct {
	key       model.Key
	labels    map[string]string // own and inherited ones
	profiles  []string
	ports     []model.NamedPort
	addresses []netip.Addr // those that it owns
}

// Get implements selector.Labels.
func (e endpoint) Get(key string) (string, bool) { v, ok := e.labels[key]; return v, ok }

// networkSet is labelled prefixes.
type networkSet struct {
	labels selector.Map // own and inherited ones
	nets   []netip.Prefix
}

// endpoint is the endpoint stored under a key, if there is one.
func (c *Cluster) endpoint(key model.Key) (endpoint, bool) {
	i := slices.IndexFunc(c.endpoints, func(e endpoint) bool { return e.key == key })
	if i < 0 {
		return endpoint{}, false
	}
	return c.endpoints[i], true
}

// withInherited is own labels and those of profiles: the own one wins, then that of the first profile that has it (R52).
func (c *Cluster) withInherited(own map[string]string, profiles []string) map[string]string {
	labels := map[string]string{}
	for _, name := range slices.Backward(profiles) {
		if p := c.profiles[name]; p != nil {
			maps.Copy(labels, p.Labels)
		}
	}
	maps.Copy(labels, own)
	return labels
}

// definedProfiles is the profiles that exist, by name. That for which a Namespace (R50) or ServiceAccount (R51) stands is
// written for it alone and so comes before a Profile object of its name, which another orchestrator's controller may have
// left behind. projectcalico-default-allow is built in and never stored: nothing redefines it.
func (c *Cluster) definedProfiles() map[string]*model.Profile {
	profiles, derived := map[string]*model.Profile{}, map[string]*model.Profile{}
	for _, o := range c.objects {
		switch v := o.Value.(type) {
		case *model.Namespace:
			p := v.Profile()
			derived[p.Name] = p
		case *model.Profile:
			if o.Key.Kind == model.KindProfile {
				profiles[v.Name] = v
			} else {
				derived[v.Name] = v
			}
		}
	}
	maps.Copy(profiles, derived)
	allow := []model.Rule{{Action: model.Allow}}
	profiles[model.ProfileDefaultAllow] = &model.Profile{Name: model.ProfileDefaultAllow, Ingress: allow, Egress: allow}
	return profiles
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
	uid := a.Attributes[model.AttrUID]
	return a.ReleasedAt.IsZero() &&
		a.Attributes[model.AttrPod] != "" &&
		a.Attributes[model.AttrPod] == w.ID.Workload &&
		a.Attributes[model.AttrNamespace] == w.ID.Namespace &&
		a.Attributes[model.AttrNode] == w.Node &&
		(uid == "" || uid == w.UID)
}
