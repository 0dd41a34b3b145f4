package convert

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// kubernetesOrder is the order of every Kubernetes NetworkPolicy in tier default (R40).
const kubernetesOrder = 1000

// kubernetesPolicyModel converts a Kubernetes NetworkPolicy (R40 to R46). All its rules allow, so a rule that cannot be
// converted is left out and reported while the others stand: the pods stay isolated (R46). Only a wrong podSelector or
// policyTypes, which leave open who is isolated, make the whole policy invalid.
func kubernetesPolicyModel(key model.Key, np *networkingv1.NetworkPolicy) (any, error) {
	p := &problems{key: key}
	policy := p.kubernetesPolicy(string(np.UID), &np.Spec)
	return policy, p.err()
}

// kubernetesPolicy converts the spec of a Kubernetes NetworkPolicy, enforced or staged.
func (p *problems) kubernetesPolicy(uid string, spec *networkingv1.NetworkPolicySpec) *model.Policy {
	policy := &model.Policy{Key: p.key, UID: uid, Tier: model.TierDefault, Order: kubernetesOrder}

	head := &problems{key: p.key, strict: p.strict}
	policy.AppliesIngress, policy.AppliesEgress = head.kubernetesTypes(spec.PolicyTypes)
	namespace := inNamespace(p.key.Namespace)
	workload := selector.Equals(model.LabelOrchestrator, orchestratorK8s) // R28
	if pods := head.kubernetesSelector("spec.podSelector", "", &spec.PodSelector); len(head.fields) == 0 {
		policy.Subject = and(workload, pods, namespace)
	} else {
		policy.Subject = and(workload, namespace)
	}
	if len(head.fields) > 0 {
		p.fields = append(p.fields, head.fields...)
		isolate(policy, head.err())
		return policy
	}

	if policy.AppliesIngress {
		for i, r := range spec.Ingress {
			p.kubernetesRule(&policy.Ingress, index("spec.ingress", i), "from", r.From, r.Ports, sourceSide)
		}
	}
	if policy.AppliesEgress {
		for i, r := range spec.Egress {
			p.kubernetesRule(&policy.Egress, index("spec.egress", i), "to", r.To, r.Ports, destinationSide)
		}
	}
	return policy
}

// kubernetesTypes are the directions that a policy isolates: ingress when none is named (R41).
func (p *problems) kubernetesTypes(types []networkingv1.PolicyType) (ingress, egress bool) {
	for i, t := range types {
		switch t {
		case networkingv1.PolicyTypeIngress:
			ingress = true
		case networkingv1.PolicyTypeEgress:
			egress = true
		default:
			p.add(index("spec.policyTypes", i), string(t), "%s", oneOf("Ingress", "Egress"))
			return true, true
		}
	}
	if len(types) == 0 {
		return true, false
	}
	return ingress, egress
}

// side picks the entity of a rule that the peers of a Kubernetes rule describe.
type side func(*model.Rule) *model.Entity

func sourceSide(r *model.Rule) *model.Entity      { return &r.Src }
func destinationSide(r *model.Rule) *model.Entity { return &r.Dst }

// kubernetesRule appends the rules that one Kubernetes rule stands for: one per protocol and peer (R42), or none when
// any part of it is wrong.
func (p *problems) kubernetesRule(out *[]model.Rule, path, peerField string, peers []networkingv1.NetworkPolicyPeer,
	ports []networkingv1.NetworkPolicyPort, peerSide side) {
	before := len(p.fields)
	byProtocol := p.kubernetesPorts(path+".ports", ports)
	entities := []model.Entity{{}} // no peers: anybody
	if len(peers) > 0 {
		entities = entities[:0]
		for i := range peers {
			entities = append(entities, p.kubernetesPeer(index(path+"."+peerField, i), &peers[i]))
		}
	}
	if len(p.fields) > before {
		return
	}
	for _, pp := range byProtocol {
		for _, e := range entities {
			rule := model.Rule{Action: model.Allow, Protocol: pp.protocol}
			*peerSide(&rule) = e
			rule.Dst.Ports = pp.ports
			*out = append(*out, rule)
		}
	}
}

// protocolPorts is the ports of one protocol; without ports all of them.
type protocolPorts struct {
	protocol uint8
	ports    []model.Port
}

// kubernetesPorts groups ports by protocol, in the order in which the protocols appear, and merges the numbers into the
// fewest ranges (R42).
func (p *problems) kubernetesPorts(path string, ports []networkingv1.NetworkPolicyPort) []protocolPorts {
	if len(ports) == 0 {
		return []protocolPorts{{}}
	}
	var groups []protocolPorts
	all := make(map[uint8]bool)
	for i := range ports {
		at := index(path, i)
		protocol, ok := p.kubernetesProtocol(at+".protocol", ports[i].Protocol)
		if !ok {
			continue
		}
		g := slices.IndexFunc(groups, func(g protocolPorts) bool { return g.protocol == protocol })
		if g < 0 {
			groups = append(groups, protocolPorts{protocol: protocol})
			g = len(groups) - 1
		}
		if ports[i].Port == nil {
			if ports[i].EndPort != nil {
				p.add(at+".endPort", *ports[i].EndPort, "needs port")
			}
			all[protocol] = true
			continue
		}
		if port, ok := p.kubernetesPort(at, &ports[i]); ok {
			groups[g].ports = append(groups[g].ports, port)
		}
	}
	for i := range groups {
		if all[groups[i].protocol] {
			groups[i].ports = nil
		} else {
			groups[i].ports = mergePorts(groups[i].ports)
		}
	}
	return groups
}

func (p *problems) kubernetesProtocol(path string, protocol *corev1.Protocol) (uint8, bool) {
	if protocol == nil {
		return model.ProtoTCP, true
	}
	switch *protocol {
	case corev1.ProtocolTCP:
		return model.ProtoTCP, true
	case corev1.ProtocolUDP:
		return model.ProtoUDP, true
	case corev1.ProtocolSCTP:
		return model.ProtoSCTP, true
	}
	p.add(path, string(*protocol), "%s", oneOf("TCP", "UDP", "SCTP"))
	return 0, false
}

func (p *problems) kubernetesPort(path string, port *networkingv1.NetworkPolicyPort) (model.Port, bool) {
	if name := port.Port.StrVal; port.Port.Type != 0 {
		if port.EndPort != nil {
			p.add(path+".endPort", *port.EndPort, "cannot be combined with a named port")
			return model.Port{}, false
		}
		return model.Port{Name: name}, p.portName(path+".port", name)
	}
	first, last := int64(port.Port.IntVal), int64(port.Port.IntVal)
	if port.EndPort != nil {
		last = int64(*port.EndPort)
	}
	if first < 1 || first > 65535 {
		p.add(path+".port", first, "must be 1 to 65535")
		return model.Port{}, false
	}
	if last < first || last > 65535 {
		p.add(path+".endPort", last, "must be %d (port) to 65535", first)
		return model.Port{}, false
	}
	return model.Port{Min: uint16(first), Max: uint16(last)}, true
}

// kubernetesPeer is whom a peer stands for (R43, R44).
func (p *problems) kubernetesPeer(path string, peer *networkingv1.NetworkPolicyPeer) model.Entity {
	if peer.IPBlock != nil {
		if peer.PodSelector != nil || peer.NamespaceSelector != nil {
			p.add(path, nil, "ipBlock cannot be combined with podSelector or namespaceSelector")
		}
		return p.ipBlock(path+".ipBlock", peer.IPBlock)
	}
	if peer.PodSelector == nil && peer.NamespaceSelector == nil {
		p.strictly(path, nil, "must have podSelector, namespaceSelector or ipBlock")
	}
	parts := []*selector.Selector{selector.Equals(model.LabelOrchestrator, orchestratorK8s)} // R48: no host endpoints
	if peer.PodSelector != nil {
		parts = append(parts, p.kubernetesSelector(path+".podSelector", "", peer.PodSelector))
	}
	if peer.NamespaceSelector != nil {
		s := p.kubernetesSelector(path+".namespaceSelector", namespacePrefix, peer.NamespaceSelector)
		parts = append(parts, s.ReplaceAll(selector.Has(model.LabelNamespace)))
	} else {
		parts = append(parts, inNamespace(p.key.Namespace))
	}
	return model.Entity{Selector: and(parts...)}
}

func (p *problems) ipBlock(path string, block *networkingv1.IPBlock) model.Entity {
	cidr, ok := p.parseCIDR(path+".cidr", block.CIDR)
	if !ok {
		return model.Entity{}
	}
	e := model.Entity{Nets: nets(cidr)}
	for i, text := range block.Except {
		at := index(path+".except", i)
		except, ok := p.parseCIDR(at, text)
		if !ok {
			continue
		}
		if except.Bits() < cidr.Bits() || !cidr.Contains(except.Addr()) {
			p.add(at, text, "must lie within cidr %s", cidr)
			continue
		}
		e.NotNets = append(e.NotNets, except)
	}
	return e
}

// isolate makes a policy close: one Deny in each direction that it applies to.
func isolate(policy *model.Policy, cause error) {
	if !policy.AppliesIngress && !policy.AppliesEgress {
		policy.AppliesIngress, policy.AppliesEgress = true, true
	}
	policy.Ingress, policy.Egress = nil, nil
	if policy.AppliesIngress {
		policy.Ingress = []model.Rule{{Action: model.Deny}}
	}
	if policy.AppliesEgress {
		policy.Egress = []model.Rule{{Action: model.Deny}}
	}
	policy.Invalid = cause.Error()
	if invalid, ok := cause.(*InvalidError); ok {
		policy.Invalid = invalid.Reason()
	}
}

// networkPolicyDefaults fills what an API server fills of a NetworkPolicy.
func networkPolicyDefaults(spec *networkingv1.NetworkPolicySpec) {
	if len(spec.PolicyTypes) == 0 {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(spec.Egress) > 0 {
			spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	for i := range spec.Ingress {
		defaultProtocol(spec.Ingress[i].Ports, corev1.ProtocolTCP)
	}
	for i := range spec.Egress {
		defaultProtocol(spec.Egress[i].Ports, corev1.ProtocolTCP)
	}
}

func defaultProtocol(ports []networkingv1.NetworkPolicyPort, protocol corev1.Protocol) {
	for i := range ports {
		if ports[i].Protocol == nil {
			ports[i].Protocol = &protocol
		}
	}
}

// unusedRules warns of rules in a direction that policyTypes leaves out: they have no effect (R41).
func unusedRules(key model.Key, spec *networkingv1.NetworkPolicySpec) []string {
	p := &problems{key: key}
	ingress, egress := p.kubernetesTypes(spec.PolicyTypes)
	var warnings []string
	if !ingress && len(spec.Ingress) > 0 {
		warnings = append(warnings, subject(key)+": spec.ingress: has no effect: policyTypes lacks Ingress")
	}
	if !egress && len(spec.Egress) > 0 {
		warnings = append(warnings, subject(key)+": spec.egress: has no effect: policyTypes lacks Egress")
	}
	return warnings
}
