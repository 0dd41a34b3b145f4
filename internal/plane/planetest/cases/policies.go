package cases

import (
	"fmt"
	"math"

	"github.com/tortie-net/tortie/internal/model"
)

// addPolicy makes a policy of any kind.
func (g *generator) addPolicy(name string) {
	switch n := g.IntN(20); {
	case n < 2:
		g.author(g.kubernetesPolicy(name), false)
		return
	case n < 3:
		g.clusterPolicy(name)
		return
	}
	p, s, wrong := g.policy(name)
	if g.chance(10) {
		p.Key.Kind = "Staged" + p.Key.Kind
		if g.chance(2) {
			s.StagedAction = pick(g.Rand, []string{"Set", "Delete", "Learn", "Ignore"})
		}
	}
	g.author(p, wrong)
}

// author enters a policy that has a text.
func (g *generator) author(p *Policy, wrong bool) {
	g.Authored = append(g.Authored, p)
	g.enter(meaning(p, wrong))
}

func (g *generator) enter(m *model.Policy) {
	g.put(m.Key, m)
	for i := range m.Ingress {
		g.rules = append(g.rules, target{model.Ingress, &m.Ingress[i]})
	}
	for i := range m.Egress {
		g.rules = append(g.rules, target{model.Egress, &m.Egress[i]})
	}
}

// clusterPolicy makes a ClusterNetworkPolicy, which comes without a text (R47).
func (g *generator) clusterPolicy(name string) {
	m := &model.Policy{
		Key: model.Key{Kind: model.KindClusterNetworkPolicy, Name: name}, UID: g.uid(), Tier: model.TierKubeBaseline,
		Order: float64(g.IntN(3)), AppliesIngress: true, AppliesEgress: g.bool(),
		Subject: parse(and(kubernetesWorkload, g.expr(namespaceLabels, 1).text("pcns.", hasNamespace, ""))),
	}
	for range 1 + g.IntN(g.size.Rules) {
		r := g.rule("", model.Ingress)
		m.Ingress = append(m.Ingress, ruleMeaning("", &r))
		r = g.rule("", model.Egress)
		m.Egress = append(m.Egress, ruleMeaning("", &r))
	}
	g.enter(m)
}

// policy draws a NetworkPolicy or GlobalNetworkPolicy, and whether something in it is wrong.
func (g *generator) policy(name string) (*Policy, *Spec, bool) {
	s := &Spec{Tier: pick(g.Rand, g.tiers)}
	p := &Policy{Key: model.Key{Kind: model.KindGlobalNetworkPolicy, Name: name}, Spec: s}
	if s.Tier == model.TierDefault && g.bool() {
		s.Tier = ""
	}
	if order := pick(g.Rand, g.orders); !math.IsInf(order, 1) {
		s.Order = &order
	}
	if g.bool() {
		p.Key.Kind, p.Key.Namespace = model.KindNetworkPolicy, pick(g.Rand, g.namespaces)
	}
	p.Metadata = Metadata{Name: name, Namespace: p.Key.Namespace, UID: g.uid()}
	if !g.chance(4) {
		s.Selector = g.expr(endpointLabels, 1)
	}
	if p.Key.Namespace == "" && g.chance(4) {
		s.NamespaceSelector = g.expr(namespaceLabels, 1)
	}
	if g.chance(7) {
		s.ServiceAccountSelector = g.expr(accountLabels, 1)
	}
	s.Types = pick(g.Rand, [][]string{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}, {"Ingress", "Egress"}})
	for range g.IntN(g.size.Rules + 1) {
		s.Ingress = append(s.Ingress, g.rule(p.Key.Namespace, model.Ingress))
	}
	for range g.IntN(g.size.Rules + 1) {
		s.Egress = append(s.Egress, g.rule(p.Key.Namespace, model.Egress))
	}
	if p.Key.Namespace == "" && g.chance(12) { // for hosts' untracked and pre-DNAT traffic (R31)
		s.ApplyOnForward = true
		if g.bool() {
			s.DoNotTrack = true
		} else if len(s.Types) == 1 && s.Types[0] == "Ingress" {
			s.PreDNAT, s.Egress = true, nil
		}
	}
	return p, s, g.chance(12) && g.spoil(s)
}

// spoil makes something wrong with a policy, if that can be.
func (g *generator) spoil(s *Spec) bool {
	if g.chance(3) {
		s.Selector = &Expr{op: "global"}
		return true
	}
	rules := s.Ingress
	if len(rules) == 0 {
		rules = s.Egress
	}
	if len(rules) == 0 {
		return false
	}
	switch r := &rules[g.IntN(len(rules))]; g.IntN(4) {
	case 0:
		r.Protocol = "TCPv9"
	case 1:
		r.Source.Nets = append(r.Source.Nets, "10.65.0.300/32")
	case 2:
		r.Protocol, r.Destination.Ports = nil, append(r.Destination.Ports, 80)
	default:
		r.Source.Selector = &Expr{op: "==", key: "app", values: []string{"a' == 'b"}}
	}
	return true
}

// rule draws a rule for a policy of a namespace, or none.
func (g *generator) rule(namespace string, dir model.Direction) Rule {
	r := Rule{Action: pick(g.Rand, []string{"Allow", "Allow", "Allow", "Allow", "Deny", "Pass", "Log"})}
	family := 0
	if g.chance(2) {
		family = 4 + 2*g.IntN(2)
	}
	if family != 0 && g.chance(4) {
		r.IPVersion = family
	}
	g.protocol(&r, &family)
	g.entity(&r.Source, namespace, &r, family)
	g.entity(&r.Destination, namespace, &r, family)
	side := &r.Source
	if dir == model.Egress {
		side = &r.Destination
	}
	if g.chance(7) { // R70
		*side = Entity{Services: &Service{Name: "svc", Namespace: namespace}}
		switch {
		case namespace == "":
			side.Services.Namespace = pick(g.Rand, g.namespaces)
		case g.bool():
			side.Services.Namespace = ""
		}
	}
	return r
}

// protocol draws what a rule says of protocols. A rule for ICMP of one family is for that family.
func (g *generator) protocol(r *Rule, family *int) {
	switch n := g.IntN(20); {
	case n < 5:
		r.Protocol = "TCP"
	case n < 7:
		r.Protocol = "UDP"
	case n < 8:
		r.Protocol = "SCTP"
	case n < 9:
		r.Protocol = pick(g.Rand, []any{47, "UDPLite", 6, 132, 17})
	case n < 12:
		r.Protocol, *family = "ICMP", 4
		if g.bool() {
			r.Protocol, *family = "ICMPv6", 6
		}
		if r.IPVersion != 0 {
			r.IPVersion = *family
		}
		if !g.chance(3) {
			r.ICMP = g.icmp(*family == 6)
		}
		if g.chance(2) {
			r.NotICMP = g.icmp(*family == 6)
		}
	case n < 15:
		r.NotProtocol = pick(g.Rand, []any{"TCP", "UDP", "SCTP", "ICMP", "ICMPv6", 47})
	}
	if r.Protocol != nil && g.chance(20) {
		r.NotProtocol = "UDP"
	}
}

func (g *generator) icmp(v6 bool) *ICMP {
	c := &ICMP{Type: pick(g.Rand, []int{8, 0, 3})}
	if v6 {
		c.Type = pick(g.Rand, []int{128, 129, 1})
	}
	if g.chance(2) {
		code := g.IntN(2)
		c.Code = &code
	}
	return c
}

// entity draws one side. Some sides say nothing.
func (g *generator) entity(e *Entity, namespace string, r *Rule, family int) {
	if g.chance(2) {
		return
	}
	if g.chance(4) {
		e.Nets = g.nets(family, 1+g.IntN(3))
	}
	if g.chance(5) {
		e.NotNets = g.nets(family, 1+g.IntN(2))
	}
	if g.chance(3) {
		e.Selector = g.expr(endpointLabels, 2)
	}
	if g.chance(6) {
		e.NotSelector = g.expr(endpointLabels, 1)
	}
	if g.chance(8) {
		e.NamespaceSelector = g.expr(namespaceLabels, 1)
		if g.chance(6) {
			e.NamespaceSelector = &Expr{op: "global"}
		}
	}
	if g.chance(12) {
		e.ServiceAccounts = &Accounts{}
		if g.bool() {
			e.ServiceAccounts.Names = []string{"sa1"}
		}
		if g.bool() || e.ServiceAccounts.Names == nil {
			e.ServiceAccounts.Selector = g.expr(accountLabels, 1)
		}
	}
	protocol := number(r.Protocol)
	numbers := protocol == model.ProtoTCP || protocol == model.ProtoUDP || protocol == model.ProtoSCTP
	if protocol == 0 || numbers {
		if g.chance(3) {
			e.Ports = g.ports(numbers)
		}
		if g.chance(4) {
			e.NotPorts = g.ports(numbers)
		}
	}
}

// nets draws nets of a family; of both where the rule names none.
func (g *generator) nets(family, n int) []string {
	var out []string
	for range n {
		v6 := family == 6
		if family == 0 {
			v6 = g.bool()
		}
		text := g.net(v6)
		if g.chance(6) {
			text = prefixes([]string{text})[0].Addr().String() // a bare address is its /32 or /128
		}
		out = append(out, text)
	}
	return out
}

// ports draws numbers, ranges and names; without a protocol only names (R82).
func (g *generator) ports(numbers bool) []any {
	var out []any
	for range 1 + g.IntN(3) {
		number := pick(g.Rand, portNumbers)
		switch n := g.IntN(3); {
		case n == 0 || !numbers:
			out = append(out, pick(g.Rand, portNames))
		case n == 1:
			out = append(out, number)
		default:
			out = append(out, fmt.Sprintf("%d:%d", max(number-g.IntN(3), 0), pick(g.Rand, []int{number, number + 1, number + 300, 65535})))
		}
	}
	return out
}
