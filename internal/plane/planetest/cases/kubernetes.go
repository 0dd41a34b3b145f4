package cases

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tortie-net/tortie/internal/model"
)

// kubernetesMeaning follows R40 to R45.
func kubernetesMeaning(p *Policy, s *KubernetesSpec) *model.Policy {
	m := &model.Policy{Key: p.Key, UID: p.Metadata.UID, Tier: model.TierDefault, Order: 1000}
	m.Subject = parse(and(kubernetesWorkload, s.PodSelector.text("", "all()"), own(p.Key.Namespace)))
	m.AppliesIngress = len(s.PolicyTypes) == 0 || slices.Contains(s.PolicyTypes, "Ingress")
	m.AppliesEgress = slices.Contains(s.PolicyTypes, "Egress")
	if m.AppliesIngress {
		for _, r := range s.Ingress {
			for _, rule := range r.meaning() {
				for _, e := range peers(p.Key.Namespace, r.From) {
					rule.Src = e
					m.Ingress = append(m.Ingress, rule)
				}
			}
		}
	}
	if m.AppliesEgress {
		for _, r := range s.Egress {
			for _, rule := range r.meaning() {
				for _, e := range peers(p.Key.Namespace, r.To) {
					e.Ports = rule.Dst.Ports
					rule.Dst = e
					m.Egress = append(m.Egress, rule)
				}
			}
		}
	}
	return m
}

const kubernetesWorkload = model.LabelOrchestrator + " == 'k8s'"

// meaning is one rule for each protocol (R42).
func (r *KubernetesRule) meaning() []model.Rule {
	if len(r.Ports) == 0 {
		return []model.Rule{{Action: model.Allow}}
	}
	var out []model.Rule
	whole := map[uint8]bool{} // protocols of which every port is allowed
	for _, p := range r.Ports {
		protocol := uint8(model.ProtoTCP)
		if p.Protocol != "" {
			protocol = protocols[p.Protocol]
		}
		i := slices.IndexFunc(out, func(o model.Rule) bool { return o.Protocol == protocol })
		if i < 0 {
			i = len(out)
			out = append(out, model.Rule{Action: model.Allow, Protocol: protocol})
		}
		switch number, isNumber := p.Port.(int); {
		case p.Port == nil:
			whole[protocol] = true
		case isNumber:
			out[i].Dst.Ports = append(out[i].Dst.Ports, model.Port{Min: uint16(number), Max: uint16(max(number, p.EndPort))})
		default:
			out[i].Dst.Ports = append(out[i].Dst.Ports, model.Port{Name: p.Port.(string)})
		}
		if whole[protocol] {
			out[i].Dst.Ports = nil
		}
	}
	return out
}

// peers is whom a rule is about, each by itself (R43, R44).
func peers(namespace string, list []Peer) []model.Entity {
	if len(list) == 0 {
		return []model.Entity{{}}
	}
	var out []model.Entity
	for _, p := range list {
		if p.IPBlock != nil {
			out = append(out, model.Entity{Nets: prefixes([]string{p.IPBlock.CIDR}), NotNets: prefixes(p.IPBlock.Except)})
			continue
		}
		parts := []string{kubernetesWorkload, own(namespace)}
		if p.NamespaceSelector != nil {
			parts[1] = p.NamespaceSelector.text("pcns.", hasNamespace)
		}
		if p.PodSelector != nil {
			parts = append(parts, p.PodSelector.text("", "all()"))
		}
		out = append(out, model.Entity{Selector: parse(and(parts...))})
	}
	return out
}

// text is the selector in our language (R45); empty is the text of all.
func (s *LabelSelector) text(prefix, empty string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		parts = append(parts, prefix+k+" == '"+s.MatchLabels[k]+"'")
	}
	operators := map[string]string{"In": "in", "NotIn": "not in", "Exists": "has", "DoesNotExist": "has"}
	for _, r := range s.MatchExpressions {
		e := &Expr{op: operators[r.Operator], key: r.Key, values: r.Values}
		if r.Operator == "DoesNotExist" {
			e = &Expr{op: "!", operands: []*Expr{e}}
		}
		parts = append(parts, e.text(prefix, "", ""))
	}
	if len(parts) == 0 {
		return empty
	}
	return and(parts...)
}

// kubernetesPolicy draws one.
func (g *generator) kubernetesPolicy(name string) *Policy {
	namespace := pick(g.Rand, g.namespaces)
	s := &KubernetesSpec{PodSelector: g.labelSelector(endpointLabels[:3])}
	s.PolicyTypes = pick(g.Rand, [][]string{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}})
	for range 1 + g.IntN(2) {
		s.Ingress = append(s.Ingress, KubernetesRule{From: g.kubernetesPeers(), Ports: g.kubernetesPorts()})
	}
	for range 1 + g.IntN(2) {
		s.Egress = append(s.Egress, KubernetesRule{To: g.kubernetesPeers(), Ports: g.kubernetesPorts()})
	}
	return &Policy{
		Key:      model.Key{Kind: model.KindKubernetesNetworkPolicy, Namespace: namespace, Name: name},
		Metadata: Metadata{Name: name, Namespace: namespace, UID: g.uid()}, Spec: s,
	}
}

func (g *generator) kubernetesPeers() []Peer {
	var out []Peer
	for range g.IntN(3) {
		var p Peer
		if g.chance(3) {
			p.IPBlock = &IPBlock{CIDR: g.net(g.bool())}
			if cidr := netip.MustParsePrefix(p.IPBlock.CIDR); !cidr.IsSingleIP() {
				p.IPBlock.Except = []string{netip.PrefixFrom(cidr.Addr(), cidr.Bits()+1).String()}
			}
			out = append(out, p)
			continue
		}
		which := 1 + g.IntN(3)
		if which&1 != 0 {
			s := g.labelSelector(endpointLabels[:3])
			p.PodSelector = &s
		}
		if which&2 != 0 {
			s := g.labelSelector(namespaceLabels[:2])
			p.NamespaceSelector = &s
		}
		out = append(out, p)
	}
	return out
}

func (g *generator) kubernetesPorts() []KubernetesPort {
	var out []KubernetesPort
	for range g.IntN(3) {
		p := KubernetesPort{Protocol: pick(g.Rand, []string{"", "TCP", "UDP", "SCTP"})}
		switch g.IntN(5) {
		case 0:
		case 1:
			p.Port = pick(g.Rand, portNames)
		case 2:
			p.Port = pick(g.Rand, portNumbers)
			p.EndPort = p.Port.(int) + g.IntN(12)
		default:
			p.Port = pick(g.Rand, portNumbers)
		}
		out = append(out, p)
	}
	return out
}

func (g *generator) labelSelector(labels []label) LabelSelector {
	var s LabelSelector
	l := pick(g.Rand, labels)
	switch g.IntN(4) {
	case 0:
	case 1:
		s.MatchLabels = map[string]string{l.key: pick(g.Rand, l.values)}
	default:
		r := Requirement{Key: l.key, Operator: pick(g.Rand, []string{"In", "NotIn", "Exists", "DoesNotExist"})}
		if r.Operator == "In" || r.Operator == "NotIn" {
			r.Values = l.values[g.IntN(len(l.values)):]
		}
		s.MatchExpressions = []Requirement{r}
	}
	return s
}

// uid is an identity for an object, or none, as objects from old stores have.
func (g *generator) uid() string {
	if g.chance(5) {
		return ""
	}
	return fmt.Sprintf("%08x", g.Uint32())
}
