package cases

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/intent/localize"
	"github.com/tortie-net/tortie/internal/model"
)

// Size says how much of everything a universe has, at most or about.
type Size struct {
	Nodes, Namespaces, Workloads, Hosts, NetworkSets, Policies, Rules int
}

// Small is a cluster in which every object is soon looked at. It is what the proof is made of.
var Small = Size{Nodes: 2, Namespaces: 2, Workloads: 7, Hosts: 1, NetworkSets: 4, Policies: 9, Rules: 4}

// Large has more of all.
var Large = Size{Nodes: 3, Namespaces: 3, Workloads: 40, Hosts: 3, NetworkSets: 12, Policies: 40, Rules: 6}

// Node is the name of the node whose endpoints are local.
const Node = "n1"

// Universe is a cluster and how it came about.
type Universe struct {
	Seed     uint64
	Updates  []model.Update        // every object, each once
	Authored []*Policy             // texts of those of the policies that have one
	Local    []Endpoint            // the endpoints of Node
	Doubtful map[netip.Addr]string // addresses that some object names and nobody owns, or several own, and why

	rules     []target
	addrs     [2][]netip.Addr // worth trying, by family
	doubtful  [2][]netip.Addr // those of Doubtful
	declaring []Endpoint      // whose ports may be named
}

// Endpoint is an endpoint of Node, with the addresses that it owns (R145).
type Endpoint struct {
	Key       model.Key
	Value     any // *model.WorkloadEndpoint or *model.HostEndpoint
	Addresses []netip.Addr
}

// Bound is the workloads of Node that own an address.
func (u *Universe) Bound() []Endpoint {
	return slices.DeleteFunc(slices.Clone(u.Local), func(e Endpoint) bool {
		_, ok := e.Value.(*model.WorkloadEndpoint)
		return !ok || len(e.Addresses) == 0
	})
}

// Bindings joins those of Bound, in their order, to interfaces cali0, cali1 … with the addresses that they own, as CNI would.
func (u *Universe) Bindings() []localize.Binding {
	var out []localize.Binding
	for i, e := range u.Bound() {
		out = append(out, localize.Binding{
			Workload: e.Value.(*model.WorkloadEndpoint).ID, ContainerID: "container", Interface: fmt.Sprintf("cali%d", i),
			MAC: "ee:ee:ee:ee:ee:ee", Addresses: slices.Clone(e.Addresses),
		})
	}
	return out
}

// target is a rule that packets may be aimed at.
type target struct {
	dir  model.Direction
	rule *model.Rule
}

// generator is the making of one universe.
type generator struct {
	*rand.Rand
	Universe
	size       Size
	namespaces []string
	tiers      []string
	workloads  []Endpoint // of all nodes
	blocks     map[netip.Prefix]*model.Block
	orders     []float64
}

func (g *generator) bool() bool { return g.IntN(2) == 0 }

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

func (g *generator) put(key model.Key, value any) {
	g.Updates = append(g.Updates, model.Update{Key: key, Value: value})
}

// Generate makes the universe of a seed. Its values must not be changed.
func Generate(seed uint64, size Size) *Universe {
	g := &generator{
		Rand: rand.New(rand.NewPCG(seed, 0x746f72746965)), size: size, blocks: map[netip.Prefix]*model.Block{},
		orders: []float64{1, 1, 2, 3, 1000, math.Inf(1)},
	}
	g.Seed, g.Doubtful = seed, map[netip.Addr]string{}
	g.addNodes()
	g.addNamespaces()
	g.addProfiles()
	g.addWorkloads()
	g.addHosts()
	g.addNetworkSets()
	g.addServices()
	g.addTiers()
	for i := range 1 + size.Policies/2 + g.IntN(size.Policies) {
		g.addPolicy(fmt.Sprintf("p%d", i))
	}
	g.addAddresses()
	u := g.Universe

	return &u
}

func (g *generator) addNodes() {
	for i := range g.size.Nodes {
		name := nodeName(i)
		g.put(model.Key{Kind: model.KindNode, Name: name}, &model.Node{
			Name: name,
			IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24),
			IPv6: netip.PrefixFrom(addr6(0x20010db800020000, uint64(i+1)), 64),
		})
	}
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

func addr6(high, low uint64) netip.Addr {
	var raw [16]byte
	for i := range 8 {
		raw[i], raw[8+i] = byte(high>>(56-8*i)), byte(low>>(56-8*i))
	}
	return netip.AddrFrom16(raw)
}

// addNamespaces makes namespaces with their service accounts. Now and then one is not there, or there is a Profile of its
// name beside it.
func (g *generator) addNamespaces() {
	for i := range g.size.Namespaces {
		name := fmt.Sprintf("ns%d", i+1)
		g.namespaces = append(g.namespaces, name)
		if !g.chance(12) {
			g.put(model.Key{Kind: model.KindNamespace, Name: name}, &model.Namespace{Name: name, Labels: g.labels(namespaceLabels[:2])})
		}
		if g.chance(8) {
			g.put(model.Key{Kind: model.KindProfile, Name: "kns." + name}, &model.Profile{
				Name: "kns." + name, Labels: map[string]string{"pcns.env": "old"}, Ingress: []model.Rule{{Action: model.Deny}},
			})
		}
		for _, account := range []string{"sa1", "sa2"} {
			labels := map[string]string{"pcsa.projectcalico.org/name": account}
			for k, v := range g.labels(accountLabels[:1]) {
				labels["pcsa."+k] = v
			}
			g.put(model.Key{Kind: model.KindServiceAccount, Namespace: name, Name: account},
				&model.Profile{Name: "ksa." + name + "." + account, Labels: labels})
		}
	}
}

// labels draws a value for most of some labels.
func (g *generator) labels(from []label) map[string]string {
	out := map[string]string{}
	for _, l := range from {
		if !g.chance(3) {
			out[l.key] = pick(g.Rand, l.values)
		}
	}
	return out
}

// addProfiles makes the profiles that endpoints name beside those of their namespace; "nowhere" is never made.
func (g *generator) addProfiles() {
	profile := func(name string, ingress, egress []model.Rule) {
		g.put(model.Key{Kind: model.KindProfile, Name: name},
			&model.Profile{Name: name, Labels: g.labels(endpointLabels[2:4]), Ingress: ingress, Egress: egress})
	}
	profile("passing", []model.Rule{{Action: model.Log}, {Action: model.Pass}, {Action: model.Deny}}, []model.Rule{{Action: model.Pass}})
	profile("empty", nil, nil)
	rules := func(dir model.Direction) (out []model.Rule) {
		for range 1 + g.IntN(3) {
			r := g.rule("", dir)
			out = append(out, ruleMeaning("", &r))
		}
		return out
	}
	profile("drawn", rules(model.Ingress), rules(model.Egress))
	if g.chance(6) { // it is built in and cannot be redefined
		g.put(model.Key{Kind: model.KindProfile, Name: model.ProfileDefaultAllow}, &model.Profile{
			Name: model.ProfileDefaultAllow, Labels: map[string]string{"color": "red"}, Egress: []model.Rule{{Action: model.Deny}},
		})
	}
}

// addTiers makes tiers; some that policies name are never made.
func (g *generator) addTiers() {
	g.tiers = []string{model.TierDefault, model.TierDefault, "alpha", "beta", "gamma"}
	for _, name := range []string{model.TierDefault, model.TierKubeBaseline, "alpha", "beta", "gamma"} {
		if g.chance(12) {
			continue
		}
		t := &model.Tier{Name: name, Order: pick(g.Rand, g.orders), DefaultAction: model.Pass}
		if g.chance(4) {
			t.DefaultAction = model.Deny
		}
		g.put(model.Key{Kind: model.KindTier, Name: name}, t)
	}
	g.tiers = append(g.tiers, model.TierKubeBaseline)
}
