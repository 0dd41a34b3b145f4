package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/trace"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/policy"
	"github.com/tortie-net/tortie/internal/store"
)

// errNoWorkload: nothing has that name. It is a store.ErrNotFound, for the exit code.
var errNoWorkload = fmt.Errorf("%w", store.ErrNotFound)

// engine is what the agents of all nodes make of a snapshot, and the law beside it.
type engine struct {
	*snapshot
	workloads []endpoint
	addresses map[model.Key][]netip.Addr
	owners    map[netip.Addr][]endpoint // more than one while an address changes hands (R68), or for a Pod and its WorkloadEndpoint
	nodes     []keyed[model.Node]
	law       *policy.Cluster // nil for a large cluster: see lawLimit

	changes   []intent.Change
	endpoints map[[2]string]*intent.Endpoint // by node and ID
	configs   map[string]*intent.Config
	speakers  map[string]*intent.BGP
	facts     map[string]*intent.NodeFacts
	pools     []*intent.Pool
	blocks    []*intent.BlockRoute
	sets      map[intent.SetID]*intent.Set
	policies  map[string]*intent.Policy
	profiles  map[string]*intent.Profile
}

// lawLimit is the most objects of a cluster whose answers are held against the law as well: it looks at every object for
// every rule, which takes longer than a user waits where there are more.
const lawLimit = 2000

func newEngine(n *snapshot) *engine {
	c := calc.New(calc.Span{All: true})
	c.Apply(n.updates...)
	g := &engine{
		snapshot: n, workloads: values[model.WorkloadEndpoint](n), nodes: values[model.Node](n),
		addresses: n.addresses(), owners: map[netip.Addr][]endpoint{},
		changes: c.Flush(), endpoints: map[[2]string]*intent.Endpoint{}, configs: map[string]*intent.Config{},
		speakers: map[string]*intent.BGP{}, facts: map[string]*intent.NodeFacts{}, sets: map[intent.SetID]*intent.Set{},
		policies: map[string]*intent.Policy{}, profiles: map[string]*intent.Profile{},
	}
	if len(n.updates) <= lawLimit {
		g.law = policy.New(n.updates)
	}
	for _, w := range g.workloads {
		for _, addr := range g.addresses[w.key] {
			g.owners[addr] = append(g.owners[addr], w)
		}
	}
	for _, change := range g.changes {
		switch o := change.Object.(type) {
		case *intent.Endpoint:
			g.endpoints[[2]string{o.Node, o.ID}] = o
		case *intent.Config:
			g.configs[o.ID] = o
		case *intent.BGP:
			g.speakers[o.ID] = o
		case *intent.NodeFacts:
			g.facts[o.ID] = o
		case *intent.Pool:
			g.pools = append(g.pools, o)
		case *intent.BlockRoute:
			g.blocks = append(g.blocks, o)
		case *intent.Set:
			g.sets[o.ID] = o
		case *intent.Policy:
			g.policies[o.ID] = o
		case *intent.Profile:
			g.profiles[o.ID] = o
		}
	}
	return g
}

// judgement is what one end's policy says of a packet, and how it comes to that.
type judgement struct {
	direction model.Direction
	end       *side
	verdict   model.Verdict
	endpoint  *intent.Endpoint // nil: no workload's policy is asked
	steps     []trace.Step
	staged    []trace.StagedVerdict
	note      string // why no policy is asked, or what else decides
	decides   string // what decides in place of policy, where something does
}

// flow is the answer for one family.
type flow struct {
	packet          model.Packet
	egress, ingress judgement
	allowed         bool
	route           route
	defect          string // the evaluators do not agree
}

// explain judges the flow in every family in which both ends have an address.
func (g *engine) explain(src, dst *side, s service, sourcePort uint16) ([]flow, error) {
	var flows []flow
	for _, v6 := range []bool{false, true} {
		from, ok1 := ofFamily(src.addresses, v6)
		to, ok2 := ofFamily(dst.addresses, v6)
		if !ok1 || !ok2 {
			continue
		}
		if !v6 && s.protocol == model.ProtoICMPv6 {
			continue
		}
		flows = append(flows, g.judge(src, dst, s.packet(from, to, sourcePort)))
	}
	if flows != nil {
		return flows, nil
	}
	for _, e := range []*side{src, dst} {
		if len(e.addresses) == 0 {
			return nil, fmt.Errorf("%s has no address yet: nothing can be sent", e.name())
		}
	}
	return nil, fmt.Errorf("%s has %v and %s has %v: no family in common", src.name(), src.addresses, dst.name(), dst.addresses)
}

func ofFamily(addresses []netip.Addr, v6 bool) (netip.Addr, bool) {
	for _, a := range addresses {
		if a.Is6() == v6 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (g *engine) judge(src, dst *side, p model.Packet) flow {
	f := flow{packet: p}
	f.egress = g.side(src, model.Egress, &p)
	f.ingress = g.side(dst, model.Ingress, &p)
	same := src.node != "" && src.node == dst.node
	switch {
	case src.host && same && dst.workload != nil: // R5
		f.ingress = judgement{direction: model.Ingress, end: dst, verdict: undecided(true), note: "a node reaches its own workloads whatever their policy"}
	case src.workload != nil && dst.host && same: // R6
		f.ingress = g.toHost(src, dst)
	case dst.service != "": // R100
		f.ingress.note = fmt.Sprintf("the address of service %s: policy sees the endpoint that it is translated to: explain the way to one of them", dst.service)
	case dst.host:
		f.ingress.note = "the address of a node: the policy of its host endpoints is not judged here"
	case src.host:
		f.egress.note = "the address of a node: the policy of its host endpoints is not judged here"
	}
	f.allowed = f.egress.verdict.Allowed && f.ingress.verdict.Allowed
	f.route = g.route(src, dst, p)
	f.defect = g.compare(&f)
	return f
}

func undecided(allowed bool) model.Verdict { return model.Verdict{Allowed: allowed, Rule: -1} }

// toHost is what defaultEndpointToHostAction says of a packet from a workload to its own node (R6).
func (g *engine) toHost(src, dst *side) judgement {
	j := judgement{direction: model.Ingress, end: dst, verdict: undecided(true)}
	cfg := g.configs[src.node]
	switch {
	case cfg == nil || cfg.EndpointToHost == intent.EndpointToHostDrop:
		j.verdict = undecided(false)
		j.decides = "defaultEndpointToHostAction Drop of the node's FelixConfiguration"
	case cfg.EndpointToHost == intent.EndpointToHostAccept:
		j.decides = "defaultEndpointToHostAction Accept of the node's FelixConfiguration"
	default:
		j.decides = "defaultEndpointToHostAction Return of the node's FelixConfiguration: the host's own rules follow"
	}
	return j
}

// side asks the policy of one end, as the node that holds it does.
func (g *engine) side(end *side, dir model.Direction, p *model.Packet) judgement {
	j := judgement{direction: dir, end: end, verdict: undecided(true)}
	if end.workload == nil {
		j.note = "no workload has this address: no policy is asked here"
		return j
	}
	j.endpoint = g.endpoints[[2]string{end.workload.Node, end.workload.ID.String()}]
	if j.endpoint == nil {
		j.verdict, j.decides = undecided(false), "the workload is on no node: nothing is forwarded (R4)"
		return j
	}
	view := trace.NewState(end.workload.Node)
	view.Apply(g.changes)
	j.verdict, j.steps = trace.Explain(view, j.endpoint.Tiers, j.endpoint.Profiles, dir, p)
	j.staged = trace.Staged(view, j.endpoint.Tiers, j.endpoint.Profiles, dir, p)
	return j
}

// compare holds what the nodes do against the law, which is computed on another way.
func (g *engine) compare(f *flow) string {
	for _, j := range []*judgement{&f.egress, &f.ingress} {
		if j.endpoint == nil || g.law == nil {
			continue
		}
		want := g.law.Verdict(j.end.key, j.direction, f.packet)
		if !reflect.DeepEqual(want, j.verdict) {
			return fmt.Sprintf("%v of %s: the node's evaluator says %+v, the reference says %+v", j.direction, j.end.name(), j.verdict, want)
		}
	}
	return ""
}

// enforcedIn is the IDs of the policies of a tier that count in one direction.
func (g *engine) enforcedIn(e *intent.Endpoint, tier string, dir model.Direction) []string {
	for _, t := range e.Tiers {
		if t.Name != tier {
			continue
		}
		ids := t.Ingress
		if dir == model.Egress {
			ids = t.Egress
		}
		return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			p := g.policies[id]
			return p != nil && p.Staged != ""
		})
	}
	return nil
}

// poolOf is the most specific pool that holds an address.
func (g *engine) poolOf(addr netip.Addr) *intent.Pool {
	var best *intent.Pool
	for _, p := range g.pools {
		if p.CIDR.Contains(addr) && (best == nil || p.CIDR.Bits() > best.CIDR.Bits()) {
			best = p
		}
	}
	return best
}

// blockOf is the most specific route that holds an address: a borrowed address before its block.
func (g *engine) blockOf(addr netip.Addr) *intent.BlockRoute {
	var best *intent.BlockRoute
	for _, b := range g.blocks {
		if b.Prefix.Contains(addr) && (best == nil || cmp.Compare(b.Prefix.Bits(), best.Prefix.Bits()) > 0) {
			best = b
		}
	}
	return best
}
