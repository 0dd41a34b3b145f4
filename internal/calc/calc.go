package calc

import (
	"github.com/tortie-net/tortie/internal/calc/bgp"
	"github.com/tortie-net/tortie/internal/calc/host"
	"github.com/tortie-net/tortie/internal/calc/index"
	"github.com/tortie-net/tortie/internal/calc/ipset"
	"github.com/tortie-net/tortie/internal/calc/route"
	"github.com/tortie-net/tortie/internal/calc/slab"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Calc is the state machine. It is made by New and not safe for concurrent use.
type Calc struct {
	span    Span
	visited uint64

	index  *index.Index
	sets   *ipset.Sets
	owners *ipset.Owners
	routes *route.Routes

	items    slab.Of[item] // by index.ItemID
	pods     *ipset.Pods   // knows the items of kind Pod
	keys     slab.Names    // of the other kinds
	byKey    slab.Of[index.ItemID]
	rivals   map[ipset.PodID][]index.ItemID // WorkloadEndpoint objects that stand for a pod
	local    map[intent.Ref][]index.ItemID
	byNode   groups
	byNS     groups
	policies policies
	tiers    map[string]*model.Tier
	profiles profiles

	cluster  bgp.Cluster
	settings host.Settings
	alloc    host.Allocation

	dirtyEndpoints map[intent.Ref]struct{}
	dirtyPolicies  map[uint32]struct{} // by number
	dirtyNodes     map[string]part
	dirtyAll       part
	out            output
}

// groups is items by a name.
type groups map[string]map[index.ItemID]struct{}

func (g groups) add(name string, id index.ItemID) {
	if g[name] == nil {
		g[name] = map[index.ItemID]struct{}{}
	}
	g[name][id] = struct{}{}
}

func (g groups) remove(name string, id index.ItemID) {
	if delete(g[name], id); len(g[name]) == 0 {
		delete(g, name)
	}
}

// New makes a Calc for a span of nodes. It knows nothing yet; its first Flush gives the settings of the span's own node
// as they are when nothing is stored.
func New(span Span) *Calc {
	c := &Calc{
		span: span, pods: ipset.NewPods(), keys: slab.NewNames(), rivals: map[ipset.PodID][]index.ItemID{},
		local: map[intent.Ref][]index.ItemID{}, byNode: groups{}, byNS: groups{},
		policies: policies{hash: slab.NewHash()}, tiers: map[string]*model.Tier{}, profiles: newProfiles(),
		dirtyEndpoints: map[intent.Ref]struct{}{}, dirtyPolicies: map[uint32]struct{}{},
		dirtyNodes: map[string]part{}, dirtyAll: partAll, out: newOutput(),
	}
	c.index = index.New(c.started, c.stopped, &c.visited)
	c.sets = ipset.New(c.index, &c.visited)
	c.owners = ipset.NewOwners(c.pods)
	c.routes = route.New(func(owner uint32) string { return c.items.At(owner).node.Value() }, &c.visited)
	c.cluster = bgp.Cluster{
		Nodes: map[string]*model.Node{}, Configs: map[string]*model.BGPConfiguration{},
		Peers: map[string]*model.BGPPeer{}, Visited: &c.visited,
	}
	c.settings = host.Settings{Felix: map[string]*model.FelixConfiguration{}, BGP: &c.cluster}
	c.alloc = host.Allocation{
		Pools: map[string]*model.IPPool{}, Reservations: map[string]*model.IPReservation{},
	}
	return c
}

// Visited is how many objects were looked at since New: pairs of item and selector, set members, policies, rules,
// endpoints, addresses and nodes. What one change adds to it does not grow with what the change does not concern.
func (c *Calc) Visited() uint64 { return c.visited }

// Apply takes in what objects are now. A value of another type than its key's kind has counts as nil. Values must not be
// changed afterwards.
func (c *Calc) Apply(updates ...model.Update) {
	for _, u := range updates {
		c.apply(u.Key, u.Value)
	}
}

func (c *Calc) apply(key model.Key, value any) {
	switch key.Kind {
	case model.KindPod, model.KindWorkloadEndpoint:
		c.setWorkload(key, as[model.WorkloadEndpoint](value))
	case model.KindHostEndpoint:
		c.setHostEndpoint(key, as[model.HostEndpoint](value))
	case model.KindNetworkSet, model.KindGlobalNetworkSet:
		c.setNetworkSet(key, as[model.NetworkSet](value))
	case model.KindNetworkPolicy, model.KindGlobalNetworkPolicy, model.KindStagedNetworkPolicy,
		model.KindStagedGlobalNetworkPolicy, model.KindStagedKubernetesNetworkPolicy,
		model.KindKubernetesNetworkPolicy, model.KindClusterNetworkPolicy:
		c.setPolicy(key, as[model.Policy](value))
	case model.KindTier:
		c.setTier(key.Name, as[model.Tier](value))
	case model.KindProfile:
		c.setStoredProfile(key.Name, as[model.Profile](value))
	case model.KindServiceAccount:
		c.setServiceAccount(key, as[model.Profile](value))
	case model.KindNamespace:
		c.setNamespace(key.Name, as[model.Namespace](value))
	case model.KindEndpointSlice:
		c.sets.SetSlice(key, as[model.EndpointSlice](value))
	default:
		c.applyInfrastructure(key, value)
	}
}

// applyInfrastructure takes in what is about nodes and addresses.
func (c *Calc) applyInfrastructure(key model.Key, value any) {
	switch key.Kind {
	case model.KindNode:
		c.setNode(key.Name, as[model.Node](value))
	case model.KindIPPool:
		c.setPool(key.Name, as[model.IPPool](value))
	case model.KindIPReservation:
		set(c.alloc.Reservations, key.Name, as[model.IPReservation](value))
		c.dirtyAll |= partIPAM
	case model.KindIPAMConfig:
		c.alloc.Config = as[model.IPAMConfig](value)
		c.dirtyAll |= partIPAM
	case model.KindIPAMConfiguration:
		c.alloc.Resource = as[model.IPAMConfig](value)
		c.dirtyAll |= partIPAM
	case model.KindBlock:
		c.setBlock(key, as[model.Block](value))
	case model.KindAffinity:
		c.setAffinity(key, as[model.Affinity](value))
	case model.KindFelixConfiguration:
		set(c.settings.Felix, key.Name, as[model.FelixConfiguration](value))
		c.dirtyAll |= partConfig
	case model.KindBGPConfiguration:
		set(c.cluster.Configs, key.Name, as[model.BGPConfiguration](value))
		c.dirtyAll |= partConfig | partBGP
	case model.KindBGPPeer:
		set(c.cluster.Peers, key.Name, as[model.BGPPeer](value))
		c.dirtyAll |= partBGP
	case model.KindClusterInformation:
		c.settings.Cluster = as[model.ClusterInformation](value)
		c.dirtyAll |= partConfig
	}
}

// as is a value as a pointer to T, or nil.
func as[T any](value any) *T {
	v, _ := value.(*T)
	return v
}

// set keeps or, with nil, drops an object.
func set[T any](m map[string]*T, name string, v *T) {
	if v == nil {
		delete(m, name)
	} else {
		m[name] = v
	}
}
