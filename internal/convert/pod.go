package convert

import (
	"encoding/json"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tortie-net/tortie/internal/model"
)

// The annotations of a pod that say what its network was given (spec/store-layout.md §2.5).
const (
	annotationPodIP          = prefixCNI + "podIP"
	annotationPodIPs         = prefixCNI + "podIPs"
	annotationContainerID    = prefixCNI + "containerID"
	annotationSourcePrefixes = prefixCNI + "allowedSourcePrefixes"
	annotationAWSPodIPs      = "vpc.amazonaws.com/pod-ips"

	annotationIngressBandwidth = "kubernetes.io/ingress-bandwidth"
	annotationEgressBandwidth  = "kubernetes.io/egress-bandwidth"
)

// isEndpoint says whether a pod has an interface of its own on a node (R9).
func isEndpoint(pod *leanPod) bool { return !pod.Spec.HostNetwork && pod.Spec.NodeName != "" }

// finished says whether a pod owns no address any more (R8).
func finished(pod *leanPod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	released, ok := pod.Metadata.Annotations[annotationPodIP]
	return pod.Metadata.DeletionTimestamp != nil && ok && released == ""
}

func (p *problems) pod(v *leanPod) *model.WorkloadEndpoint {
	namespace, account := p.key.Namespace, v.Spec.ServiceAccountName
	out := &model.WorkloadEndpoint{
		ID:          model.WorkloadID{Orchestrator: orchestratorK8s, Namespace: namespace, Workload: p.key.Name, Endpoint: "eth0"},
		UID:         v.Metadata.UID,
		Node:        v.Spec.NodeName,
		ContainerID: v.Metadata.Annotations[annotationContainerID],
		Labels:      workloadLabels(v.Metadata.Labels, namespace, orchestratorK8s, account),
		Profiles:    []string{"kns." + namespace},
		Ports:       p.containerPorts(v),
		Annotations: podAnnotations(v.Metadata.Annotations),
	}
	if account != "" {
		out.Profiles = append(out.Profiles, "ksa."+namespace+"."+account)
	}
	if !finished(v) {
		out.Addresses = p.podAddresses(v)
		out.AddressesFromIPAM = len(out.Addresses) == 0
	}
	out.SourcePrefixes = p.sourcePrefixes(v.Metadata.Annotations[annotationSourcePrefixes])
	return out
}

// podAnnotations are those that ADD and the planes act on. What was written back after ADD is none of them: an endpoint
// would seem to change each time it got its address.
func podAnnotations(annotations map[string]string) map[string]string {
	out := annotationsWith(annotations, prefixCNI, prefixQoS, annotationIngressBandwidth, annotationEgressBandwidth)
	for _, written := range []string{annotationPodIP, annotationPodIPs, annotationContainerID} {
		delete(out, written)
	}
	return out
}

// podAddresses are the addresses that the pod states, from the first place that has any (R10).
func (p *problems) podAddresses(v *leanPod) []netip.Addr {
	var texts []string
	for _, ip := range v.Status.PodIPs {
		texts = append(texts, ip.IP)
	}
	for _, place := range []struct {
		path  string
		texts []string
	}{
		{"status.podIPs", texts},
		{"status.podIP", nonEmpty(v.Status.PodIP)},
		{"metadata.annotations[" + annotationPodIPs + "]", nonEmpty(v.Metadata.Annotations[annotationPodIPs])},
		{"metadata.annotations[" + annotationPodIP + "]", nonEmpty(v.Metadata.Annotations[annotationPodIP])},
		{"metadata.annotations[" + annotationAWSPodIPs + "]", nonEmpty(v.Metadata.Annotations[annotationAWSPodIPs])},
	} {
		var addrs []netip.Addr
		for _, text := range place.texts {
			if addr, ok := p.hostPrefix(place.path, text); ok {
				addrs = append(addrs, addr)
			}
		}
		if len(addrs) > 0 {
			return addrs
		}
	}
	return nil
}

// nonEmpty splits a list at commas, without empty parts.
func nonEmpty(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// containerPorts are the named ports of the containers and init containers (R81).
func (p *problems) containerPorts(v *leanPod) []model.NamedPort {
	var out []model.NamedPort
	for _, list := range []struct {
		path       string
		containers []leanContainer
	}{{"spec.containers", v.Spec.Containers}, {"spec.initContainers", v.Spec.InitContainers}} {
		for i := range list.containers {
			for j, port := range list.containers[i].Ports {
				if port.Name == "" {
					continue
				}
				at := index(index(list.path, i)+".ports", j)
				protocol := port.Protocol
				if protocol == "" {
					protocol = corev1.ProtocolTCP
				}
				number, ok := p.portNumber(at+".containerPort", int64(port.ContainerPort))
				proto, ok2 := p.kubernetesProtocol(at+".protocol", &protocol)
				if ok && ok2 && p.portName(at+".name", port.Name) {
					out = append(out, model.NamedPort{Name: port.Name, Protocol: proto, Port: number})
				}
			}
		}
	}
	return out
}

// sourcePrefixes reads the annotation with the prefixes that a pod may send from beside its own addresses (R7): a JSON
// list of CIDRs.
func (p *problems) sourcePrefixes(text string) []netip.Prefix {
	if text == "" {
		return nil
	}
	path := "metadata.annotations[" + annotationSourcePrefixes + "]"
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		p.add(path, text, `must be a JSON list of CIDRs, as ["192.0.2.0/24"]`)
		return nil
	}
	return p.parsePrefixes(path, list)
}
