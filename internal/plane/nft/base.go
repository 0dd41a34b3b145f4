package nft

import (
	"slices"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/model"
)

// The chains and sets that are always there. A workload's packet meets the egress policy of its sender in one base chain
// and the ingress policy of its receiver in the next (R3): Allow is nft's accept, which ends one base chain only.
const (
	chainSource      = "prerouting-source"
	chainForwardFrom = "forward-from"
	chainForwardTo   = "forward-to"
	chainInputFrom   = "input-from"
	chainInputHost   = "input-host"
	chainOutput      = "output"
	chainPostrouting = "postrouting-nat"
	chainFlowFrom    = "flow/from"
	chainFlowTo      = "flow/to"
	chainCut         = "flow/cut"

	setWorkloads = "workload-interfaces"
	setFrom      = "from-workload"
	setTo        = "to-workload"
	setSpoof4    = "workload-sources4"
	setSpoof6    = "workload-sources6"
)

const (
	priorityRaw       = -300
	priorityFilter    = 0
	prioritySourceNAT = 110
)

func (p *Plane) prefixes() []string {
	out := slices.DeleteFunc(slices.Clone(p.host.InterfacePrefixes), func(s string) bool { return s == "" || len(s) > 15 })
	if len(out) == 0 {
		return []string{"cali"}
	}
	return out
}

func (p *Plane) markMask() uint32 {
	if p.host.MarkMask == 0 {
		return defaultMarkMask
	}
	return p.host.MarkMask
}

func plainRule(label string, exprs ...nftnl.Expr) rule {
	return rule{match: slices.Concat(exprs...), label: label, plain: true}
}

func inSet(key nftnl.MetaKey, set string) nftnl.Expr {
	return slices.Concat(nftnl.LoadMeta(key, nftnl.Reg), nftnl.Lookup(nftnl.Reg, set, false))
}

func vmap(key nftnl.MetaKey, set string) nftnl.Expr {
	return slices.Concat(nftnl.LoadMeta(key, nftnl.Reg), nftnl.LookupVerdict(nftnl.Reg, set))
}

// unknown drops what comes from or goes to a workload interface that no endpoint has, whatever its connection (R4).
func (p *Plane) unknown(key nftnl.MetaKey) []rule {
	var out []rule
	for _, prefix := range p.prefixes() {
		out = append(out, rule{
			match:  slices.Concat(nftnl.LoadMeta(key, nftnl.Reg), nftnl.Compare(nftnl.Reg, nftnl.Equal, []byte(prefix))),
			action: decide(nftnl.Drop), label: "unknown workload interface",
		})
	}
	return out
}

func filterBase(hook nftnl.Hook, priority int32) *nftnl.Base {
	return &nftnl.Base{Type: "filter", Hook: hook, Priority: priority}
}

// renderClosing makes only the drop for unknown interfaces: what protects workloads until the intent is known (design §3.8).
func (p *Plane) renderClosing() {
	for name, c := range map[string]*chain{
		chainForwardFrom: {base: filterBase(nftnl.HookForward, priorityFilter), rules: p.unknown(nftnl.MetaIIFName)},
		chainForwardTo:   {base: filterBase(nftnl.HookForward, priorityFilter+1), rules: p.unknown(nftnl.MetaOIFName)},
		chainInputFrom:   {base: filterBase(nftnl.HookInput, priorityFilter), rules: p.unknown(nftnl.MetaIIFName)},
		chainOutput:      {base: filterBase(nftnl.HookOutput, priorityFilter), rules: p.unknown(nftnl.MetaOIFName)},
	} {
		p.rules.desireChain(name, c)
	}
}

// dispatchRules sends what comes from, or goes to, a workload to the chain of its policies. That chain always decides; a
// packet that comes back from it met a chain in the making, or none, and must not go on.
func (p *Plane) dispatchRules(key nftnl.MetaKey, verdicts, label string) []rule {
	return append([]rule{
		plainRule(label, vmap(key, verdicts)),
		{match: inSet(key, setWorkloads), action: decide(nftnl.Drop), label: "workload without policy chain"},
	}, p.unknown(key)...)
}

func (p *Plane) renderBase() {
	p.renderFlow()
	p.rules.desireChain(chainSource, p.sourceChain())
	p.rules.desireChain(chainForwardFrom, &chain{
		base:  filterBase(nftnl.HookForward, priorityFilter),
		rules: p.dispatchRules(nftnl.MetaIIFName, setFrom, "egress policy"),
	})
	p.rules.desireChain(chainForwardTo, &chain{
		base:  filterBase(nftnl.HookForward, priorityFilter+1),
		rules: p.dispatchRules(nftnl.MetaOIFName, setTo, "ingress policy"),
	})
	neighbours, use := neighbourDiscovery()
	p.rules.desireChain(chainInputFrom, &chain{
		base: filterBase(nftnl.HookInput, priorityFilter),
		uses: []*constant{use},
		rules: append([]rule{
			plainRule("neighbour discovery", inSet(nftnl.MetaIIFName, setWorkloads), neighbours, decide(nftnl.Accept)),
		}, p.dispatchRules(nftnl.MetaIIFName, setFrom, "egress policy")...),
	})
	p.rules.desireChain(chainInputHost, p.hostChain(neighbours, use))
	p.rules.desireChain(chainOutput, &chain{ // R5: what the host itself sends to a workload is not policed
		base: filterBase(nftnl.HookOutput, priorityFilter),
		rules: append([]rule{plainRule("host to its workloads", inSet(nftnl.MetaOIFName, setWorkloads), decide(nftnl.Accept))},
			p.unknown(nftnl.MetaOIFName)...),
	})
	p.rules.desireChain(chainPostrouting, p.masqueradeChain())
}

// ctState matches a packet whose connection is in one of the states.
func ctState(states uint32) nftnl.Expr {
	none := nftnl.HostU32(0)
	return slices.Concat(nftnl.LoadCt(nftnl.CtState, nftnl.Reg), nftnl.Bitwise(nftnl.Reg, nftnl.HostU32(states), none),
		nftnl.Compare(nftnl.Reg, nftnl.NotEqual, none))
}

// cutMark matches a packet whose connection was cut (NotEqual), or was not (Equal).
func (p *Plane) cutMark(op nftnl.CmpOp) nftnl.Expr {
	none := nftnl.HostU32(0)
	return slices.Concat(nftnl.LoadCt(nftnl.CtMark, nftnl.Reg), nftnl.Bitwise(nftnl.Reg, nftnl.HostU32(CutMark(p.markMask())), none),
		nftnl.Compare(nftnl.Reg, op, none))
}

// established begins each group's chain: nearly every packet is of a flow that was allowed and not cut, and meets no
// other rule of the chain (R1).
func (p *Plane) established() rule {
	return plainRule("established", ctState(nftnl.CtStateEstablished|nftnl.CtStateRelated), p.cutMark(nftnl.Equal), decide(nftnl.Accept))
}

// renderFlow makes what every other packet of a workload meets ahead of policy (R1, R2).
func (p *Plane) renderFlow() {
	flow := []rule{plainRule("cut flow", p.cutMark(nftnl.NotEqual), jump(chainCut))}
	if !p.host.DisableInvalidCheck {
		flow = append(flow, rule{match: ctState(nftnl.CtStateInvalid), action: decide(nftnl.Drop), label: "invalid"})
	}
	p.rules.desireChain(chainFlowTo, &chain{rules: flow})

	from := slices.Clone(flow)
	if !p.host.AllowVXLANFromPods {
		vxlan := p.host.VXLANPort
		if vxlan == 0 {
			vxlan = 4789
		}
		from = append(from, rule{
			match: slices.Concat(protocolTerm(nftnl.Equal, model.ProtoUDP), destination.loadPort(nftnl.Reg),
				nftnl.Compare(nftnl.Reg, nftnl.Equal, port(vxlan))),
			action: decide(nftnl.Drop), label: "VXLAN from workload",
		})
	}
	if !p.host.AllowIPIPFromPods {
		from = append(from, rule{match: protocolTerm(nftnl.Equal, model.ProtoIPIP), action: decide(nftnl.Drop), label: "IPIP from workload"})
	}
	p.rules.desireChain(chainFlowFrom, &chain{rules: from})

	p.rules.desireChain(chainCut, &chain{rules: []rule{
		{match: protocolTerm(nftnl.Equal, model.ProtoTCP), action: nftnl.RejectTCPReset(), label: "cut flow"},
		{action: decide(nftnl.Drop), label: "cut flow"},
	}})
}

// sourceChain drops what a workload sends from an address that is not routed to its interface (R7), ahead of conntrack.
// The route is looked up first, for every interface: that is the one rule that nearly every packet meets, and it costs less
// than to find out whose the interface is and then look up the route. IPv6 link-local and unspecified sources are needed
// for neighbour discovery, and are never forwarded.
func (p *Plane) sourceChain() *chain {
	c := &chain{base: filterBase(nftnl.HookPrerouting, priorityRaw)}
	workload := inSet(nftnl.MetaIIFName, setWorkloads)
	from6 := slices.Concat(familyTerm(6), source.loadAddr(6))
	linkLocal := slices.Concat(nftnl.Bitwise(nftnl.Reg, append([]byte{0xff, 0xc0}, make([]byte, 14)...), make([]byte, 16)),
		nftnl.Compare(nftnl.Reg, nftnl.Equal, append([]byte{0xfe, 0x80}, make([]byte, 14)...)))
	c.rules = append(c.rules,
		plainRule("routed source", nftnl.SourceHasRoute(nftnl.Reg), nftnl.Compare(nftnl.Reg, nftnl.Equal, []byte{1, 0, 0, 0}), decide(nftnl.Accept)),
		plainRule("link-local source", from6, linkLocal, decide(nftnl.Accept)),
		plainRule("unspecified source", from6, nftnl.Compare(nftnl.Reg, nftnl.Equal, make([]byte, 16)), decide(nftnl.Accept)))
	if p.host.WorkloadSourceSpoofAny {
		for i, family := range []uint8{4, 6} {
			addr := nftnl.LoadPayload(nftnl.NetworkHeader, source.addr4, 4, nftnl.Reg32(4))
			if family == 6 {
				addr = nftnl.LoadPayload(nftnl.NetworkHeader, source.addr6, 16, nftnl.Reg32(4))
			}
			c.rules = append(c.rules, plainRule("allowed source", familyTerm(family), nftnl.LoadMeta(nftnl.MetaIIFName, nftnl.Reg), addr,
				nftnl.Lookup(nftnl.Reg, p.spoof[i].spec.Name, false), decide(nftnl.Accept)))
		}
	}
	c.rules = append(c.rules, rule{match: workload, action: decide(nftnl.Drop), label: "source is not the workload's"})
	return c
}

// neighbourDiscovery matches what IPv6 needs between a workload and its host: multicast listener messages, router
// solicitation, neighbour discovery (R6).
func neighbourDiscovery() (nftnl.Expr, *constant) {
	var elements []nftnl.Element
	for _, t := range []byte{130, 131, 132, 133, 135, 136} {
		elements = append(elements, nftnl.Element{Key: []byte{t}})
	}
	k := &constant{spec: nftnl.Set{Name: "neighbour-discovery", Key: nftnl.TypeICMPv6, Constant: true}, elements: elements}
	return slices.Concat(familyTerm(6), protocolTerm(nftnl.Equal, model.ProtoICMPv6),
		nftnl.LoadPayload(nftnl.TransportHeader, 0, 1, nftnl.Reg), nftnl.Lookup(nftnl.Reg, k.spec.Name, false)), k
}

// hostChain is what a workload may do to its own host once its egress policy allows it (R6).
func (p *Plane) hostChain(neighbours nftnl.Expr, use *constant) *chain {
	c := &chain{base: filterBase(nftnl.HookInput, priorityFilter+1), uses: []*constant{use}}
	if p.host.EndpointToHost != intent.EndpointToHostDrop {
		return c // accept and return are one here: later base chains are asked either way
	}
	workload := inSet(nftnl.MetaIIFName, setWorkloads)
	c.rules = []rule{
		plainRule("neighbour discovery", workload, neighbours, decide(nftnl.Accept)),
		plainRule("replies to the host", workload, ctState(nftnl.CtStateEstablished|nftnl.CtStateRelated), decide(nftnl.Accept)),
		{match: workload, action: decide(nftnl.Drop), label: "workload to host"},
	}
	return c
}

// masqueradeChain gives what leaves the cluster from a pool with natOutgoing the node's address (R102).
func (p *Plane) masqueradeChain() *chain {
	c := &chain{base: &nftnl.Base{Type: "nat", Hook: nftnl.HookPostrouting, Priority: prioritySourceNAT}}
	r := intent.Rule{
		Src: intent.Entity{Sets: []intent.SetID{intent.SetMasqueradePools}},
		Dst: intent.Entity{NotSets: []intent.SetID{intent.SetAllPools}},
	}
	if p.host.NATExcludeHosts {
		r.Dst.NotSets = append(r.Dst.NotSets, intent.SetHosts)
	}
	for _, family := range []uint8{4, 6} {
		r.IPVersion = family
		m := match(&r, p.shape)
		if m.missing {
			continue
		}
		for _, v := range m.variants {
			c.rules = append(c.rules, p.sourceNAT(v, family)...)
		}
	}
	return c
}

func (p *Plane) sourceNAT(match nftnl.Expr, family uint8) []rule {
	const addrReg = nftnl.Reg
	low, high := nftnl.Reg32(4), nftnl.Reg32(5)
	to := p.host.NATOutgoingAddress
	fixed := to.IsValid() && to.Is4() == (family == 4)
	nat := func(ports bool) nftnl.Expr {
		var load nftnl.Expr
		portMin, portMax := nftnl.Register(0), nftnl.Register(0)
		if ports {
			portMin, portMax = low, high
			load = slices.Concat(nftnl.LoadValue(low, port(p.host.NATPortRange.Min)), nftnl.LoadValue(high, port(p.host.NATPortRange.Max)))
		}
		if !fixed {
			return slices.Concat(load, nftnl.Masquerade(portMin, portMax))
		}
		return slices.Concat(nftnl.LoadValue(addrReg, to.AsSlice()), load, nftnl.SourceNAT(family == 6, addrReg, portMin, portMax))
	}
	var out []rule
	if p.host.NATPortRange.Max != 0 {
		for _, proto := range []uint8{model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP} {
			out = append(out, rule{match: slices.Concat(match, protocolTerm(nftnl.Equal, proto)), action: nat(true), label: "natOutgoing"})
		}
	}
	return append(out, rule{match: match, action: nat(false), label: "natOutgoing"})
}
