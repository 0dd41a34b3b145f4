package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FelixDataplaneSpec holds settings of the data plane that hold for every way of enforcing policy.
type FelixDataplaneSpec struct {
	// AllowIPIPPacketsFromWorkloads lets workloads send IP in IP themselves; otherwise it is dropped, because it could
	// reach other nodes' tunnels. Default false.
	// +optional
	AllowIPIPPacketsFromWorkloads *bool `json:"allowIPIPPacketsFromWorkloads,omitempty"`
	// AllowVXLANPacketsFromWorkloads lets workloads send VXLAN themselves; otherwise it is dropped, because it could
	// reach other nodes' tunnels. Default false.
	// +optional
	AllowVXLANPacketsFromWorkloads *bool `json:"allowVXLANPacketsFromWorkloads,omitempty"`
	// CgroupV2Path is where the cgroup v2 hierarchy is mounted. Absent: found.
	// +optional
	CgroupV2Path string `json:"cgroupV2Path,omitempty"`
	// ChainInsertMode puts the jump to our iptables chains first or last in the kernel's. One of append, insert.
	// Default insert.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(append|insert)?$`
	ChainInsertMode string `json:"chainInsertMode,omitempty"`
	// DataplaneDriver is the path of a foreign data plane program, run if useInternalDataplaneDriver is false. Default
	// calico-iptables-plugin.
	// +optional
	DataplaneDriver string `json:"dataplaneDriver,omitempty"`
	// DataplaneWatchdogTimeout is how long the data plane may be busy before health reports it stuck.
	// healthTimeoutOverrides replaces it. Default 90s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	DataplaneWatchdogTimeout *metav1.Duration `json:"dataplaneWatchdogTimeout,omitempty"`
	// DefaultEndpointToHostAction judges packets from a workload to its own node, after the workload's egress policy.
	// One of ACCEPT, DROP, RETURN. Default DROP.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(ACCEPT|DROP|RETURN)?$`
	DefaultEndpointToHostAction string `json:"defaultEndpointToHostAction,omitempty"`
	// DeviceRouteProtocol is the protocol number on workload routes (rtnetlink RTPROT, 0 to 255). Default 3.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	DeviceRouteProtocol *int `json:"deviceRouteProtocol,omitempty"`
	// DeviceRouteSourceAddress is the preferred source of IPv4 workload routes. Absent: the kernel's choice.
	// +optional
	DeviceRouteSourceAddress string `json:"deviceRouteSourceAddress,omitempty"`
	// DeviceRouteSourceAddressIPv6 is the preferred source of IPv6 workload routes. Absent: the kernel's choice.
	// +optional
	DeviceRouteSourceAddressIPv6 string `json:"deviceRouteSourceAddressIPv6,omitempty"`
	// DisableConntrackInvalidCheck lets packets through that connection tracking calls invalid. Default false.
	// +optional
	DisableConntrackInvalidCheck *bool `json:"disableConntrackInvalidCheck,omitempty"`
	// EndpointStatusPathPrefix is the folder in which readiness of endpoints is written for CNI; empty writes none.
	// Default /var/run/calico.
	// +optional
	EndpointStatusPathPrefix string `json:"endpointStatusPathPrefix,omitempty"`
	// ExternalNodesList are networks from which tunneled packets are accepted although no node has the address.
	// +optional
	// +listType=atomic
	ExternalNodesList []string `json:"externalNodesList,omitzero"`
	// FailsafeInboundHostPorts are ports of a host endpoint that stay open to the world whatever policy says. An empty
	// list opens none. Default: TCP 22, 179, 2379, 2380, 5473, 6443, 6666, 6667, UDP 68.
	// +optional
	// +listType=atomic
	FailsafeInboundHostPorts []ProtoPort `json:"failsafeInboundHostPorts,omitzero"`
	// FailsafeOutboundHostPorts are ports that a host endpoint can always reach whatever policy says. An empty list
	// opens none. Default: TCP 179, 2379, 2380, 5473, 6443, 6666, 6667, UDP 53, 67.
	// +optional
	// +listType=atomic
	FailsafeOutboundHostPorts []ProtoPort `json:"failsafeOutboundHostPorts,omitzero"`
	// FloatingIPs translates floating addresses of workloads. One of Disabled, Enabled. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	FloatingIPs string `json:"floatingIPs,omitempty"`
	// IPForwarding sets the kernel's forwarding switches; Disabled leaves them alone. One of Disabled, Enabled. Default
	// Enabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	IPForwarding string `json:"ipForwarding,omitempty"`
	// IPv4ElevatedRoutePriority is the kernel metric of IPv4 routes to workloads that just moved here. Default 512.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	IPv4ElevatedRoutePriority *int `json:"ipv4ElevatedRoutePriority,omitempty"`
	// IPv4NormalRoutePriority is the kernel metric of IPv4 workload routes. Default 1024.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	IPv4NormalRoutePriority *int `json:"ipv4NormalRoutePriority,omitempty"`
	// IPv6ElevatedRoutePriority is the kernel metric of IPv6 routes to workloads that just moved here. Default 512.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	IPv6ElevatedRoutePriority *int `json:"ipv6ElevatedRoutePriority,omitempty"`
	// IPv6NormalRoutePriority is the kernel metric of IPv6 workload routes. Default 1024.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	IPv6NormalRoutePriority *int `json:"ipv6NormalRoutePriority,omitempty"`
	// InterfaceExclude lists interfaces, by name or "/regular expression/", that no host endpoint finds. Default kube-
	// ipvs0.
	// +optional
	InterfaceExclude string `json:"interfaceExclude,omitempty"`
	// InterfacePrefix lists the prefixes of workload interfaces' names. Default cali.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9_-]{1,15}(,[a-zA-Z0-9_-]{1,15})*)?$`
	InterfacePrefix string `json:"interfacePrefix,omitempty"`
	// InterfaceRefreshInterval is the time between full reads of the links; 0 switches them off. Default 90s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	InterfaceRefreshInterval *metav1.Duration `json:"interfaceRefreshInterval,omitempty"`
	// IPv6Support enforces and routes IPv6 as well as IPv4. Default true.
	// +optional
	IPv6Support *bool `json:"ipv6Support,omitempty"`
	// IstioAmbientMode leaves the traffic of an Istio ambient mesh its way through the node's proxy. One of Disabled,
	// Enabled. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	IstioAmbientMode string `json:"istioAmbientMode,omitempty"`
	// IstioDSCPMark is the code point on packets to the mesh's proxy, 0 to 63 or a name. Default 23.
	// +optional
	IstioDSCPMark *DSCP `json:"istioDSCPMark,omitempty"`
	// LiveMigrationRouteConvergenceTime is how long routes to a moved virtual machine keep the elevated metric. Default
	// 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	LiveMigrationRouteConvergenceTime *metav1.Duration `json:"liveMigrationRouteConvergenceTime,omitempty"`
	// LocalSubnetL2Reachability answers ARP and neighbour solicitations on the host's links for workloads and service
	// addresses of the link's subnet. One of Disabled, PodsAndLoadBalancers. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|PodsAndLoadBalancers)?$`
	LocalSubnetL2Reachability string `json:"localSubnetL2Reachability,omitempty"`
	// LocalSubnetL2ReachabilityRefreshInterval is the time between repeated announcements of those addresses. Default
	// 120s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	LocalSubnetL2ReachabilityRefreshInterval *metav1.Duration `json:"localSubnetL2ReachabilityRefreshInterval,omitempty"`
	// MTUIfacePattern is a regular expression; the least MTU of the links that match is the host's. Default
	// ^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*).
	// +optional
	MTUIfacePattern string `json:"mtuIfacePattern,omitempty"`
	// NATOutgoingAddress is the IPv4 address to which natOutgoing translates. Absent: that of the outgoing interface.
	// +optional
	NATOutgoingAddress string `json:"natOutgoingAddress,omitempty"`
	// NATOutgoingExclusions says which destinations natOutgoing leaves alone: pools, or pools and nodes. One of
	// IPPoolsAndHostIPs, IPPoolsOnly. Default IPPoolsOnly.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(IPPoolsAndHostIPs|IPPoolsOnly)?$`
	NATOutgoingExclusions string `json:"natOutgoingExclusions,omitempty"`
	// NATPortRange is the range of source ports that natOutgoing uses, "first:last". Absent: the kernel's choice.
	// +optional
	NATPortRange *Port `json:"natPortRange,omitempty"`
	// NFTablesFlowTableDataIfacePattern is a regular expression over host links that take part in flow table offload.
	// +optional
	NFTablesFlowTableDataIfacePattern string `json:"nftablesFlowTableDataIfacePattern,omitempty"`
	// NFTablesFlowTableOffload lets established flows bypass the ruleset by way of an nftables flow table. One of All,
	// Disabled. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(All|Disabled)?$`
	NFTablesFlowTableOffload string `json:"nftablesFlowTableOffload,omitempty"`
	// NFTablesMode enforces policy with nftables, or with iptables; Auto takes what the node has. One of Auto,
	// Disabled, Enabled. Default Auto.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Auto|Disabled|Enabled)?$`
	NFTablesMode string `json:"nftablesMode,omitempty"`
	// NetlinkTimeout is how long one exchange with the kernel may take. Default 10s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	NetlinkTimeout *metav1.Duration `json:"netlinkTimeout,omitempty"`
	// PolicySyncPathPrefix is the folder of sockets that hand policy to application-layer proxies. Absent: none.
	// +optional
	PolicySyncPathPrefix string `json:"policySyncPathPrefix,omitempty"`
	// ProgramClusterRoutes says which routes to other nodes' blocks are made without BGP: all, none, or only those of
	// pools with or without IP in IP. One of Disabled, EnabledIPIPOnly, EnabledNoEncapOnly, Enabled. Default
	// EnabledIPIPOnly.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|EnabledIPIPOnly|EnabledNoEncapOnly|Enabled)?$`
	ProgramClusterRoutes string `json:"programClusterRoutes,omitempty"`
	// RemoveExternalRoutes removes routes to workload interfaces that others made. Default true.
	// +optional
	RemoveExternalRoutes *bool `json:"removeExternalRoutes,omitempty"`
	// RequireMTUFile waits for the MTU file before starting. Default false.
	// +optional
	RequireMTUFile *bool `json:"requireMTUFile,omitempty"`
	// RouteRefreshInterval is the time between full reads of the routes; 0 switches them off. Default 90s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	RouteRefreshInterval *metav1.Duration `json:"routeRefreshInterval,omitempty"`
	// RouteSource is where routes to remote workloads come from: address assignment, or the workloads themselves. One
	// of CalicoIPAM, WorkloadIPs. Default CalicoIPAM.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(CalicoIPAM|WorkloadIPs)?$`
	RouteSource string `json:"routeSource,omitempty"`
	// RouteSyncDisabled leaves routes to someone else altogether. Default false.
	// +optional
	RouteSyncDisabled *bool `json:"routeSyncDisabled,omitempty"`
	// RouteTableRange is the older form of routeTableRanges, with a single range.
	// +optional
	RouteTableRange *RouteTableRange `json:"routeTableRange,omitempty"`
	// RouteTableRanges are the kernel routing tables that the agent may take.
	// +optional
	// +listType=atomic
	RouteTableRanges []RouteTableRange `json:"routeTableRanges,omitzero"`
	// ServiceLoopPrevention stops packets to advertised service addresses that no service uses from looping to the
	// upstream router. One of Disabled, Drop, Reject. Default Drop.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Drop|Reject)?$`
	ServiceLoopPrevention string `json:"serviceLoopPrevention,omitempty"`
	// SidecarAccelerationEnabled shortens the way between a pod's proxy and its application. Default false.
	// +optional
	SidecarAccelerationEnabled *bool `json:"sidecarAccelerationEnabled,omitempty"`
	// UseInternalDataplaneDriver is false if dataplaneDriver does the work. Default true.
	// +optional
	UseInternalDataplaneDriver *bool `json:"useInternalDataplaneDriver,omitempty"`
	// WorkloadSourceSpoofing lets pods send from the networks in their annotation
	// cni.projectcalico.org/allowedSourcePrefixes. One of Any, Disabled. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Any|Disabled)?$`
	WorkloadSourceSpoofing string `json:"workloadSourceSpoofing,omitempty"`
}
