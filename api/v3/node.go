package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Node is a host that runs an agent. Stored by etcd clusters; with Kubernetes its fields are annotations of the core
// Node (prefix projectcalico.org/).
//
// +kubebuilder:object:root=true
type Node struct {
	metav1.TypeMeta `json:",inline"`
	ObjectMeta      `json:"metadata,omitempty"`

	Spec   NodeSpec   `json:"spec"`
	Status NodeStatus `json:"status"`
}

// NodeList is a list of Node.
//
// +kubebuilder:object:root=true
type NodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Node `json:"items"`
}

// NodeSpec holds the node's addresses.
type NodeSpec struct {
	// BGP holds the address by which other nodes reach this one, and its BGP identity.
	BGP *NodeBGPSpec `json:"bgp,omitempty"`
	// IPv4VXLANTunnelAddr is the address of the IPv4 VXLAN device.
	IPv4VXLANTunnelAddr string `json:"ipv4VXLANTunnelAddr,omitempty"`
	// VXLANTunnelMACAddr is the MAC of the IPv4 VXLAN device; absent: derived from the node's name.
	VXLANTunnelMACAddr string `json:"vxlanTunnelMACAddr,omitempty"`
	// IPv6VXLANTunnelAddr is the address of the IPv6 VXLAN device.
	IPv6VXLANTunnelAddr string `json:"ipv6VXLANTunnelAddr,omitempty"`
	// VXLANTunnelMACAddrV6 is the MAC of the IPv6 VXLAN device; absent: derived from the node's name.
	VXLANTunnelMACAddrV6 string `json:"vxlanTunnelMACAddrV6,omitempty"`
	// OrchRefs name the node in other systems.
	OrchRefs []OrchRef `json:"orchRefs,omitempty"`
	// Wireguard holds the addresses of the WireGuard devices.
	Wireguard *NodeWireguardSpec `json:"wireguard,omitempty"`
	// Addresses are those that the node is known by.
	Addresses []NodeAddress `json:"addresses,omitempty"`
	// Interfaces are the node's links and their addresses, for automatic host endpoints.
	Interfaces []NodeInterface `json:"interfaces,omitempty"`
}

// NodeBGPSpec is a node's BGP identity.
type NodeBGPSpec struct {
	// ASNumber of the node; absent: that of BGPConfiguration.
	ASNumber *ASNumber `json:"asNumber,omitempty"`
	// IPv4Address with the prefix length of its subnet.
	IPv4Address string `json:"ipv4Address,omitempty"`
	// IPv6Address with the prefix length of its subnet.
	IPv6Address string `json:"ipv6Address,omitempty"`
	// IPv4IPIPTunnelAddr is the address of the IP in IP device.
	IPv4IPIPTunnelAddr string `json:"ipv4IPIPTunnelAddr,omitempty"`
	// RouteReflectorClusterID makes the node a route reflector of that cluster, in IPv4 form (RFC 4456 §7).
	RouteReflectorClusterID string `json:"routeReflectorClusterID,omitempty"`
}

// NodeWireguardSpec holds the addresses of the WireGuard devices.
type NodeWireguardSpec struct {
	// InterfaceIPv4Address is the address of the device that carries IPv4.
	InterfaceIPv4Address string `json:"interfaceIPv4Address,omitempty"`
	// InterfaceIPv6Address is the address of the device that carries IPv6.
	InterfaceIPv6Address string `json:"interfaceIPv6Address,omitempty"`
}

// OrchRef names a node in another system.
type OrchRef struct {
	// NodeName is the node's name there.
	NodeName string `json:"nodeName,omitempty"`
	// Orchestrator is the system, "k8s" for Kubernetes.
	Orchestrator string `json:"orchestrator"`
}

// NodeAddressType says where a node address comes from.
type NodeAddressType string

// The types of node addresses.
const (
	NodeAddressCalico   NodeAddressType = "CalicoNodeIP"
	NodeAddressInternal NodeAddressType = "InternalIP"
	NodeAddressExternal NodeAddressType = "ExternalIP"
)

// NodeAddress is an address that the node is known by.
type NodeAddress struct {
	// Address, with a prefix length if it came with one.
	Address string `json:"address"`
	// Type says where the address comes from.
	Type NodeAddressType `json:"type,omitempty"`
}

// NodeInterface is a link of the node.
type NodeInterface struct {
	// Name of the link.
	Name string `json:"name,omitempty"`
	// Addresses of the link.
	Addresses []string `json:"addresses,omitempty"`
}

// NodeStatus is what the node reports of itself.
type NodeStatus struct {
	// WireguardPublicKey is the key of the device that carries IPv4, in base64.
	WireguardPublicKey string `json:"wireguardPublicKey,omitempty"`
	// WireguardPublicKeyV6 is the key of the device that carries IPv6, in base64.
	WireguardPublicKeyV6 string `json:"wireguardPublicKeyV6,omitempty"`
	// PodCIDRs are the ranges that Kubernetes gave the node.
	PodCIDRs []string `json:"podCIDRs,omitempty"`
}
