package convert

import (
	"net/netip"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// The prefixes of the annotations that a node acts on (spec/api.md appendix D).
const (
	prefixCNI = "cni.projectcalico.org/"
	prefixQoS = "qos.projectcalico.org/"
)

// maxServiceAccountLabel is the longest name of a service account that becomes a label (R52): a label's value holds
// less than 64 bytes.
const maxServiceAccountLabel = 63

// workloadID names the workload of a WorkloadEndpoint.
func workloadID(namespace string, spec *v3.WorkloadEndpointSpec) model.WorkloadID {
	id := model.WorkloadID{Orchestrator: spec.Orchestrator, Namespace: namespace, Endpoint: spec.Endpoint}
	switch spec.Orchestrator {
	case orchestratorK8s:
		id.Workload = spec.Pod
	case "cni":
		id.Workload = spec.ContainerID
	default:
		id.Workload = spec.Workload
	}
	return id
}

func (p *problems) workloadEndpoint(v *v3.WorkloadEndpoint) *model.WorkloadEndpoint {
	spec := &v.Spec
	out := &model.WorkloadEndpoint{
		ID:          workloadID(p.key.Namespace, spec),
		Node:        spec.Node,
		ContainerID: spec.ContainerID,
		Interface:   spec.InterfaceName,
		MAC:         spec.MAC,
		Labels:      workloadLabels(v.Labels, p.key.Namespace, spec.Orchestrator, spec.ServiceAccountName),
		Profiles:    spec.Profiles,
		Annotations: annotationsWith(v.Annotations, prefixCNI, prefixQoS),
	}
	if spec.MAC != "" {
		p.parseMAC("spec.mac", spec.MAC)
	}
	for i, text := range spec.IPNetworks {
		if addr, ok := p.hostPrefix(index("spec.ipNetworks", i), text); ok {
			out.Addresses = append(out.Addresses, addr)
		}
	}
	for i := range spec.Ports {
		port := &spec.Ports[i]
		if named, ok := p.endpointPort(index("spec.ports", i), port.Name, port.Protocol, port.Port); ok {
			out.Ports = append(out.Ports, named)
		}
	}
	out.SourcePrefixes = p.parsePrefixes("spec.allowSpoofedSourcePrefixes", spec.AllowSpoofedSourcePrefixes)
	return out
}

// workloadLabels are the labels of an endpoint with the computed ones (R52).
func workloadLabels(labels map[string]string, namespace, orchestrator, serviceAccount string) map[string]string {
	out := with(labels, model.LabelNamespace, namespace, model.LabelOrchestrator, orchestrator)
	delete(out, model.LabelServiceAccount)
	if serviceAccount != "" && len(serviceAccount) < maxServiceAccountLabel {
		out[model.LabelServiceAccount] = serviceAccount
	}
	return out
}

// hostPrefix reads an address, written alone or as its /32 or /128.
func (p *problems) hostPrefix(path, text string) (netip.Addr, bool) {
	prefix, ok := readPrefix(text)
	if !ok || !prefix.IsSingleIP() {
		p.add(path, text, "must be one address, as 10.65.0.9/32 or fd65::9/128")
		return netip.Addr{}, false
	}
	return prefix.Addr(), true
}

// endpointPort converts a port that rules may name; ports without a name are passed over (R81).
func (p *problems) endpointPort(path, name string, protocol v3.Protocol, port uint16) (model.NamedPort, bool) {
	before := len(p.fields)
	out := model.NamedPort{Name: name, Protocol: p.parseProtocol(path+".protocol", protocol.String())}
	if out.Protocol != 0 && !hasPorts(out.Protocol) {
		p.add(path+".protocol", protocol.String(), "%s", oneOf("TCP", "UDP", "SCTP"))
	}
	out.Port, _ = p.portNumber(path+".port", int64(port))
	if name != "" {
		p.portName(path+".name", name)
	}
	return out, name != "" && len(p.fields) == before
}

func (p *problems) hostEndpoint(v *v3.HostEndpoint) *model.HostEndpoint {
	out := &model.HostEndpoint{
		Name: p.key.Name, Node: v.Spec.Node, Interface: v.Spec.InterfaceName,
		Labels: v.Labels, Profiles: v.Spec.Profiles,
	}
	if v.Spec.Node == "" {
		p.add("spec.node", nil, "is missing")
	}
	if v.Spec.InterfaceName == "" && len(v.Spec.ExpectedIPs) == 0 {
		p.add("spec.interfaceName", nil, "is missing: must be an interface or \"*\", unless expectedIPs is set")
	}
	if len(v.Spec.InterfaceName) > 15 {
		p.add("spec.interfaceName", v.Spec.InterfaceName, "must be at most 15 bytes")
	}
	for i, text := range v.Spec.ExpectedIPs {
		if addr, ok := p.parseAddr(index("spec.expectedIPs", i), text); ok {
			out.ExpectedIPs = append(out.ExpectedIPs, addr)
		}
	}
	for i := range v.Spec.Ports {
		port := &v.Spec.Ports[i]
		at := index("spec.ports", i)
		if port.Name == "" {
			p.add(at+".name", nil, "is missing")
			continue
		}
		if named, ok := p.endpointPort(at, port.Name, port.Protocol, port.Port); ok {
			out.Ports = append(out.Ports, named)
		}
	}
	return out
}
