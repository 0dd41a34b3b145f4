package convert

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/tortie-net/tortie/internal/model"
)

func (p *problems) kubernetesService(v *corev1.Service) *model.Service {
	out := &model.Service{Namespace: p.key.Namespace, Name: p.key.Name}
	for i := range v.Spec.Ports {
		port, at := &v.Spec.Ports[i], index("spec.ports", i)
		protocol := port.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		proto, ok := p.kubernetesProtocol(at+".protocol", &protocol)
		number, ok2 := p.portNumber(at+".port", int64(port.Port))
		if ok && ok2 {
			out.Ports = append(out.Ports, model.ServicePort{Name: port.Name, Protocol: proto, Port: number})
		}
	}
	ips, path := v.Spec.ClusterIPs, "spec.clusterIPs"
	if len(ips) == 0 && v.Spec.ClusterIP != "" {
		ips, path = []string{v.Spec.ClusterIP}, "spec.clusterIP"
	}
	for _, ip := range ips {
		if ip == "" || ip == corev1.ClusterIPNone {
			continue
		}
		if addr, ok := p.parseAddr(path, ip); ok {
			out.ClusterIPs = append(out.ClusterIPs, addr)
		}
	}
	return out
}

// endpointSlice converts a slice; only ready endpoints count (R70), and one that does not say is ready.
func (p *problems) endpointSlice(v *discoveryv1.EndpointSlice) *model.EndpointSlice {
	out := &model.EndpointSlice{Namespace: p.key.Namespace, Name: p.key.Name, Service: v.Labels[discoveryv1.LabelServiceName]}
	for i := range v.Ports {
		port, at := &v.Ports[i], index("ports", i)
		proto, ok := p.kubernetesProtocol(at+".protocol", port.Protocol)
		if !ok {
			continue
		}
		named := model.NamedPort{Protocol: proto}
		if port.Name != nil {
			named.Name = *port.Name
		}
		if port.Port != nil {
			if named.Port, ok = p.portNumber(at+".port", int64(*port.Port)); !ok {
				continue
			}
		}
		out.Ports = append(out.Ports, named)
	}
	if v.AddressType == discoveryv1.AddressTypeFQDN {
		return out
	}
	for i := range v.Endpoints {
		if ready := v.Endpoints[i].Conditions.Ready; ready != nil && !*ready {
			continue
		}
		for j, text := range v.Endpoints[i].Addresses {
			if addr, ok := p.parseAddr(index(index("endpoints", i)+".addresses", j), text); ok {
				out.Ready = append(out.Ready, addr)
			}
		}
	}
	return out
}
