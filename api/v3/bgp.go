package v3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BGPConfiguration holds the BGP settings of the cluster ("default") or of one node ("node.NAME").
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=bgpconfigurations,shortName={bgpconfig,bgpconfigs}
// +kubebuilder:printcolumn:name="AS",type=integer,JSONPath=".spec.asNumber"
// +kubebuilder:printcolumn:name="Mesh",type=boolean,JSONPath=".spec.nodeToNodeMeshEnabled"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type BGPConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BGPConfigurationSpec `json:"spec"`
}

// BGPConfigurationList is a list of BGPConfiguration.
//
// +kubebuilder:object:root=true
type BGPConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPConfiguration `json:"items"`
}

// BGPConfigurationSpec holds the settings. Those of the mesh, of communities and of services are read from "default".
//
// +kubebuilder:validation:XValidation:rule="!has(self.nodeMeshPassword) || !has(self.nodeToNodeMeshEnabled) || self.nodeToNodeMeshEnabled",message="nodeMeshPassword has no use while nodeToNodeMeshEnabled is false"
// +kubebuilder:validation:XValidation:rule="!has(self.nodeMeshMaxRestartTime) || !has(self.nodeToNodeMeshEnabled) || self.nodeToNodeMeshEnabled",message="nodeMeshMaxRestartTime has no use while nodeToNodeMeshEnabled is false"
// +kubebuilder:validation:XValidation:rule="!has(self.communities) || size(self.communities) == 0 || (has(self.prefixAdvertisements) && size(self.prefixAdvertisements) > 0)",message="communities are named but no prefixAdvertisements use them"
type BGPConfigurationSpec struct {
	// LogSeverityScreen is the least severity that the BGP speaker logs.
	// +optional
	// +kubebuilder:default=Info
	// +kubebuilder:validation:Pattern=`^(?i)(Trace|Debug|Info|Warning|Error|Fatal)?$`
	LogSeverityScreen string `json:"logSeverityScreen,omitempty"`
	// NodeToNodeMeshEnabled makes every node peer with every other. Default true.
	// +optional
	NodeToNodeMeshEnabled *bool `json:"nodeToNodeMeshEnabled,omitempty"`
	// ASNumber of nodes that have none of their own. Default 64512.
	// +optional
	ASNumber *ASNumber `json:"asNumber,omitempty"`
	// ServiceLoadBalancerIPs are ranges; load balancer addresses of services in them are advertised.
	// +optional
	// +listType=atomic
	ServiceLoadBalancerIPs []ServiceCIDR `json:"serviceLoadBalancerIPs,omitempty"`
	// ServiceExternalIPs are ranges; external addresses of services in them are advertised.
	// +optional
	// +listType=atomic
	ServiceExternalIPs []ServiceCIDR `json:"serviceExternalIPs,omitempty"`
	// ServiceClusterIPs are the ranges of cluster addresses; they are advertised whole, with single addresses of services
	// whose external traffic stays local.
	// +optional
	// +listType=atomic
	ServiceClusterIPs []ServiceCIDR `json:"serviceClusterIPs,omitempty"`
	// ServiceLoadBalancerAggregation advertises whole ranges of load balancer addresses (Enabled) or single addresses.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled
	// +kubebuilder:default=Enabled
	ServiceLoadBalancerAggregation *string `json:"serviceLoadBalancerAggregation,omitempty"`
	// Communities give names to community values.
	// +optional
	// +kubebuilder:validation:MaxItems=500
	// +listType=atomic
	Communities []Community `json:"communities,omitempty"`
	// PrefixAdvertisements put communities on advertised routes.
	// +optional
	// +kubebuilder:validation:MaxItems=500
	// +listType=atomic
	PrefixAdvertisements []PrefixAdvertisement `json:"prefixAdvertisements,omitempty"`
	// ListenPort is the TCP port of the speaker, 1 to 65535. Default 179.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ListenPort uint16 `json:"listenPort,omitempty"`
	// NodeMeshPassword authenticates the sessions of the mesh (TCP MD5, RFC 2385).
	// +optional
	NodeMeshPassword *BGPPassword `json:"nodeMeshPassword,omitempty"`
	// NodeMeshMaxRestartTime is the graceful restart time of the mesh's sessions (RFC 4724). Default 120s.
	// +optional
	NodeMeshMaxRestartTime *metav1.Duration `json:"nodeMeshMaxRestartTime,omitempty"`
	// BindMode lets the speaker listen on all addresses (None) or on the node's BGP address only (NodeIP). Default None.
	// +optional
	// +kubebuilder:validation:Enum=None;NodeIP
	BindMode *string `json:"bindMode,omitempty"`
	// IgnoredInterfaces are interfaces, or patterns with "*", whose routes are not advertised.
	// +optional
	// +listType=set
	IgnoredInterfaces []string `json:"ignoredInterfaces,omitempty"`
	// LocalWorkloadPeeringIPV4 is the virtual IPv4 address under which workloads peer with their node.
	// +optional
	LocalWorkloadPeeringIPV4 string `json:"localWorkloadPeeringIPV4,omitempty"`
	// LocalWorkloadPeeringIPV6 is the virtual IPv6 address under which workloads peer with their node.
	// +optional
	LocalWorkloadPeeringIPV6 string `json:"localWorkloadPeeringIPV6,omitempty"`
	// ProgramClusterRoutes says which routes to other nodes' blocks are installed out of BGP: all, none, or only those of
	// pools with or without IP in IP. FelixConfiguration's field of the same name must be its complement.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled;EnabledIPIPOnly;EnabledNoEncapOnly
	ProgramClusterRoutes *string `json:"programClusterRoutes,omitempty"`
	// IPv4NormalRoutePriority is the kernel metric of IPv4 workload routes, 1 to 2147483646. Default 1024.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	IPv4NormalRoutePriority *int `json:"ipv4NormalRoutePriority,omitempty"`
	// IPv6NormalRoutePriority is the kernel metric of IPv6 workload routes, 1 to 2147483646. Default 1024.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	IPv6NormalRoutePriority *int `json:"ipv6NormalRoutePriority,omitempty"`
}

// ServiceCIDR is a range of service addresses.
type ServiceCIDR struct {
	// CIDR of the range.
	// +optional
	// +kubebuilder:validation:Format=cidr
	CIDR string `json:"cidr,omitempty"`
}

// Community is a named BGP community.
type Community struct {
	// Name of the community within this object.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Value is "aa:nn" with 16-bit parts (RFC 1997) or "aa:nn:mm" with 32-bit parts (RFC 8092).
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^(\d+):(\d+)$|^(\d+):(\d+):(\d+)$`
	Value string `json:"value,omitempty"`
}

// PrefixAdvertisement puts communities on routes.
type PrefixAdvertisement struct {
	// CIDR that holds the routes.
	// +kubebuilder:validation:Format=cidr
	CIDR string `json:"cidr"`
	// Communities are names out of communities, or values.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	Communities []string `json:"communities,omitempty"`
}

// BGPPassword refers to a password.
type BGPPassword struct {
	// SecretKeyRef is a key of a Secret in the agent's own namespace.
	// +optional
	SecretKeyRef *corev1.SecretKeySelector `json:"secretKeyRef,omitempty"`
}

// BGPPeer describes sessions between nodes and routers, other nodes, or workloads.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=bgppeers
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="PeerIP",type=string,JSONPath=".spec.peerIP"
// +kubebuilder:printcolumn:name="AS",type=integer,JSONPath=".spec.asNumber"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BGPPeerSpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// BGPPeerList is a list of BGPPeer.
//
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPPeer `json:"items"`
}

// BGPPeerSpec says which nodes peer with whom, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.node) || size(self.node) == 0 || !has(self.nodeSelector) || size(self.nodeSelector) == 0",message="node and nodeSelector exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.peerIP) || size(self.peerIP) == 0 || !has(self.peerSelector) || size(self.peerSelector) == 0",message="peerIP and peerSelector exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.peerSelector) || size(self.peerSelector) == 0 || !has(self.asNumber) || self.asNumber == 0",message="peerSelector takes AS numbers from the nodes: asNumber must be absent"
// +kubebuilder:validation:XValidation:rule="!has(self.localWorkloadSelector) || size(self.localWorkloadSelector) == 0 || !has(self.peerIP) || size(self.peerIP) == 0",message="localWorkloadSelector and peerIP exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.localWorkloadSelector) || size(self.localWorkloadSelector) == 0 || !has(self.peerSelector) || size(self.peerSelector) == 0",message="localWorkloadSelector and peerSelector exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.localWorkloadSelector) || size(self.localWorkloadSelector) == 0 || (has(self.asNumber) && self.asNumber != 0)",message="localWorkloadSelector needs asNumber"
// +kubebuilder:validation:XValidation:rule="!has(self.reachableBy) || size(self.reachableBy) == 0 || (has(self.peerIP) && size(self.peerIP) > 0)",message="reachableBy needs peerIP"
// +kubebuilder:validation:XValidation:rule="!has(self.keepOriginalNextHop) || !self.keepOriginalNextHop || !has(self.nextHopMode)",message="keepOriginalNextHop and nextHopMode exclude each other; nextHopMode replaces it"
type BGPPeerSpec struct {
	// Node limits the peering to one node. Without node and nodeSelector it holds for all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// NodeSelector limits the peering to nodes with matching labels.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NodeSelector string `json:"nodeSelector,omitempty"`
	// PeerIP is the peer's address, with a port if not 179: "192.0.2.1", "192.0.2.1:1179", "[2001:db8::1]:1179".
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PeerIP string `json:"peerIP,omitempty"`
	// ASNumber of the peer.
	// +optional
	ASNumber ASNumber `json:"asNumber,omitempty"`
	// LocalASNumber is used towards this peer in place of the node's own.
	// +optional
	LocalASNumber *ASNumber `json:"localASNumber,omitempty"`
	// PeerSelector picks nodes of the cluster as peers, by label.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	PeerSelector string `json:"peerSelector,omitempty"`
	// KeepOriginalNextHop passes the next hop of external routes on unchanged. nextHopMode Keep replaces it.
	// +optional
	KeepOriginalNextHop bool `json:"keepOriginalNextHop,omitempty"`
	// NextHopMode is what becomes of next hops: Auto as BGP says, Self always the node's address, Keep unchanged.
	// +optional
	// +kubebuilder:validation:Enum=Auto;Self;Keep
	NextHopMode *string `json:"nextHopMode,omitempty"`
	// Password authenticates the session (TCP MD5, RFC 2385).
	// +optional
	Password *BGPPassword `json:"password,omitempty"`
	// SourceAddress of the session: the node's BGP address (UseNodeIP, the default) or what routing picks (None).
	// +optional
	// +kubebuilder:validation:Enum=UseNodeIP;None
	SourceAddress string `json:"sourceAddress,omitempty"`
	// MaxRestartTime is the graceful restart time (RFC 4724). Default 120s.
	// +optional
	MaxRestartTime *metav1.Duration `json:"maxRestartTime,omitempty"`
	// KeepaliveTime between keepalives, in whole seconds (RFC 4271 §4.4).
	// +optional
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`
	// NumAllowedLocalASNumbers is how often the node's own AS may stand in the path of a received route. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NumAllowedLocalASNumbers *int32 `json:"numAllowedLocalASNumbers,omitempty"`
	// TTLSecurity is the number of hops at which the peer may be at most (RFC 5082); 0 switches the check off.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	TTLSecurity *uint8 `json:"ttlSecurity,omitempty"`
	// ReachableBy is the gateway of a host route to the peer, so that no learned route carries the session itself.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ReachableBy string `json:"reachableBy,omitempty"`
	// Filters name BGPFilter objects, applied in this order.
	// +optional
	// +listType=atomic
	Filters []string `json:"filters,omitempty"`
	// LocalWorkloadSelector picks workloads of the node as peers, by label.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LocalWorkloadSelector string `json:"localWorkloadSelector,omitempty"`
	// ReversePeering makes nodes that peerSelector picks open the session too: Auto (the default) or Manual.
	// +optional
	// +kubebuilder:validation:Enum=Auto;Manual
	ReversePeering *string `json:"reversePeering,omitempty"`
}
