package v3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// HostEndpoint puts an interface of a node, or all of them, under policy.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=hostendpoints,shortName={hep,heps}
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=".spec.node"
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=".spec.interfaceName"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type HostEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec HostEndpointSpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// HostEndpointList is a list of HostEndpoint.
//
// +kubebuilder:object:root=true
type HostEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HostEndpoint `json:"items"`
}

// HostEndpointSpec says where the endpoint is.
//
// +kubebuilder:validation:XValidation:rule="(has(self.interfaceName) && size(self.interfaceName) > 0) || (has(self.expectedIPs) && size(self.expectedIPs) > 0)",message="interfaceName or expectedIPs is needed to find the interface"
// +kubebuilder:validation:XValidation:rule="has(self.node) && size(self.node) > 0",message="node is needed"
type HostEndpointSpec struct {
	// Node on which the interface is.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// InterfaceName is the Linux interface, or "*" for all of the node's, those of workloads included. Absent: found by
	// expectedIPs.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	InterfaceName string `json:"interfaceName,omitempty"`
	// ExpectedIPs are the interface's addresses, of both families. They find the interface if it is not named, and are
	// what selectors resolve to.
	// +optional
	// +listType=set
	ExpectedIPs []string `json:"expectedIPs,omitempty"`
	// Profiles name Profile objects, applied in this order.
	// +optional
	// +listType=atomic
	Profiles []string `json:"profiles,omitempty"`
	// Ports give names to ports, for use in rules.
	// +optional
	// +listType=atomic
	Ports []EndpointPort `json:"ports,omitempty"`
}

// EndpointPort is a named port of a host endpoint.
type EndpointPort struct {
	// Name of the port, as rules use it.
	Name string `json:"name"`
	// Protocol is one with ports, such as TCP, UDP or SCTP.
	Protocol intstr.IntOrString `json:"protocol"`
	// Port number.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port uint16 `json:"port"`
}

// WorkloadEndpoint is the attachment of a pod, container or virtual machine to the network. The CNI plugin or another
// orchestrator's driver writes it to etcd; with Kubernetes it is read off the pod.
//
// +kubebuilder:object:root=true
type WorkloadEndpoint struct {
	metav1.TypeMeta `json:",inline"`
	ObjectMeta      `json:"metadata,omitempty"`

	Spec WorkloadEndpointSpec `json:"spec"`
}

// WorkloadEndpointList is a list of WorkloadEndpoint.
//
// +kubebuilder:object:root=true
type WorkloadEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WorkloadEndpoint `json:"items"`
}

// WorkloadEndpointSpec identifies the workload and holds the state of its interface. The object's name is made of
// orchestrator, node and the fields that identify the workload there.
type WorkloadEndpointSpec struct {
	// Orchestrator that made the workload: "k8s", "cni", "libnetwork" or another's name.
	Orchestrator string `json:"orchestrator,omitempty"`
	// Workload names it for orchestrators other than k8s, cni and libnetwork.
	Workload string `json:"workload,omitempty"`
	// Node on which the workload runs.
	Node string `json:"node,omitempty"`
	// ContainerID is the CNI container ID, of the sandbox.
	ContainerID string `json:"containerID,omitempty"`
	// Pod is the pod's name, if orchestrator is k8s.
	Pod string `json:"pod,omitempty"`
	// Endpoint is the interface within the workload, such as eth0.
	Endpoint string `json:"endpoint,omitempty"`
	// ServiceAccountName is the pod's service account.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// IPNetworks are the workload's addresses, each as /32 or /128.
	IPNetworks []string `json:"ipNetworks,omitempty"`
	// IPNATs map outer addresses one to one to the workload's.
	IPNATs []IPNAT `json:"ipNATs,omitempty"`
	// IPv4Gateway is the workload's IPv4 gateway, if it was given one.
	IPv4Gateway string `json:"ipv4Gateway,omitempty"`
	// IPv6Gateway is the workload's IPv6 gateway, if it was given one.
	IPv6Gateway string `json:"ipv6Gateway,omitempty"`
	// Profiles name Profile objects, applied in this order.
	Profiles []string `json:"profiles,omitempty"`
	// InterfaceName is the interface on the host's side.
	InterfaceName string `json:"interfaceName,omitempty"`
	// MAC is the hardware address on the workload's side.
	MAC string `json:"mac,omitempty"`
	// Ports give names to ports, and record host ports.
	Ports []WorkloadEndpointPort `json:"ports,omitempty"`
	// AllowSpoofedSourcePrefixes are networks from which the workload may send besides its own addresses.
	AllowSpoofedSourcePrefixes []string `json:"allowSpoofedSourcePrefixes,omitempty"`
	// QoSControls limit the workload's traffic.
	QoSControls *QoSControls `json:"qosControls,omitempty"`
}

// WorkloadEndpointPort is a named port of a workload, or one mapped from its host.
type WorkloadEndpointPort struct {
	// Name of the port, as rules use it; empty if the port is only mapped.
	Name string `json:"name"`
	// Protocol is one with ports, such as TCP, UDP or SCTP.
	Protocol intstr.IntOrString `json:"protocol"`
	// Port number in the workload.
	Port uint16 `json:"port"`
	// HostPort is the port of the host, 0 if none is mapped.
	HostPort uint16 `json:"hostPort"`
	// HostIP is the host's address to which the mapping is limited; empty for all.
	HostIP string `json:"hostIP"`
}

// IPNAT is a floating address of a workload.
type IPNAT struct {
	// InternalIP is one of the workload's own addresses.
	InternalIP string `json:"internalIP"`
	// ExternalIP is the address by which others reach it.
	ExternalIP string `json:"externalIP"`
}

// QoSControls are limits on a workload's traffic; ingress is towards the workload. 0 means no limit, or for bursts the
// default.
type QoSControls struct {
	// IngressBandwidth in bits per second, 1000 to 10^15.
	IngressBandwidth int64 `json:"ingressBandwidth,omitempty"`
	// IngressBurst in bits, 1000 to 34359738360; default 4294967296.
	IngressBurst int64 `json:"ingressBurst,omitempty"`
	// IngressPeakrate in bits per second at which a burst drains, 1010 to 1.01*10^15; default line rate.
	IngressPeakrate int64 `json:"ingressPeakrate,omitempty"`
	// IngressMinburst in bytes, 1000 to 10^8; default the interface's MTU.
	IngressMinburst int64 `json:"ingressMinburst,omitempty"`
	// EgressBandwidth in bits per second, 1000 to 10^15.
	EgressBandwidth int64 `json:"egressBandwidth,omitempty"`
	// EgressBurst in bits, 1000 to 34359738360; default 4294967296.
	EgressBurst int64 `json:"egressBurst,omitempty"`
	// EgressPeakrate in bits per second at which a burst drains, 1010 to 1.01*10^15; default line rate.
	EgressPeakrate int64 `json:"egressPeakrate,omitempty"`
	// EgressMinburst in bytes, 1000 to 10^8; default the interface's MTU.
	EgressMinburst int64 `json:"egressMinburst,omitempty"`
	// IngressPacketRate in packets per second, 1 to 10000.
	IngressPacketRate int64 `json:"ingressPacketRate,omitempty"`
	// IngressPacketBurst in packets, 1 to 10000; default 5.
	IngressPacketBurst int64 `json:"ingressPacketBurst,omitempty"`
	// EgressPacketRate in packets per second, 1 to 10000.
	EgressPacketRate int64 `json:"egressPacketRate,omitempty"`
	// EgressPacketBurst in packets, 1 to 10000; default 5.
	EgressPacketBurst int64 `json:"egressPacketBurst,omitempty"`
	// IngressMaxConnections is the greatest number of concurrent connections to the workload, 1 to 4294967295.
	IngressMaxConnections int64 `json:"ingressMaxConnections,omitempty"`
	// EgressMaxConnections is the greatest number of concurrent connections from the workload, 1 to 4294967295.
	EgressMaxConnections int64 `json:"egressMaxConnections,omitempty"`
	// DSCP is set on packets that the workload sends out of the cluster.
	DSCP *DSCP `json:"dscp,omitempty"`
}
