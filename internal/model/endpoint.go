package model

import "net/netip"

// WorkloadID names an endpoint of a workload, on its node and in the cluster.
type WorkloadID struct {
	Orchestrator string // "k8s", "cni", …
	Namespace    string
	Workload     string // pod name; container ID for orchestrator cni
	Endpoint     string // "eth0"
}

// String is "k8s/namespace/pod/eth0".
func (id WorkloadID) String() string {
	return id.Orchestrator + "/" + id.Namespace + "/" + id.Workload + "/" + id.Endpoint
}

// WorkloadEndpoint is the interface of one workload: a WorkloadEndpoint object, or a Pod that is bound to a node,
// not host-networked (R9).
type WorkloadEndpoint struct {
	ID          WorkloadID
	UID         string // of the pod; empty when it has none
	Node        string
	ContainerID string
	Interface   string // host side; empty when not yet known
	MAC         string

	// Addresses are those that the object itself states. Where there are none and AddressesFromIPAM is set, the
	// allocations that name the workload tell them (R145).
	Addresses         []netip.Addr
	AddressesFromIPAM bool

	Labels      map[string]string // with the computed ones (R52), without the inherited ones
	Profiles    []string          // in order (R52)
	Ports       []NamedPort
	Annotations map[string]string // those that the node acts on: cni.projectcalico.org/…, qos.projectcalico.org/…

	SourcePrefixes []netip.Prefix // allowedSourcePrefixes (R7)
}

// NamedPort is a port of an endpoint that rules may refer to by name (R81).
type NamedPort struct {
	Name     string
	Protocol uint8
	Port     uint16
}

// HostEndpoint is an interface of a host (R110 to R121).
type HostEndpoint struct {
	Name        string
	Node        string
	Interface   string // a name, "*", or empty (then ExpectedIPs tell)
	ExpectedIPs []netip.Addr
	Labels      map[string]string
	Profiles    []string
	Ports       []NamedPort
}

// NetworkSet is labelled prefixes (R66, R73). Labels holds the computed ones too.
type NetworkSet struct {
	Key      Key
	Labels   map[string]string
	Profiles []string // kns.<namespace> for a namespaced set
	Nets     []netip.Prefix
}

// Service is the part of a Kubernetes Service that rules refer to.
type Service struct {
	Namespace, Name string
	Ports           []ServicePort
	ClusterIPs      []netip.Addr
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string
	Protocol uint8
	Port     uint16
}

// EndpointSlice lists endpoints of a Service.
type EndpointSlice struct {
	Namespace, Name, Service string
	Ready                    []netip.Addr
	Ports                    []NamedPort // Port 0: all ports
}
