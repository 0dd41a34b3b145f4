package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FelixBPFSpec holds settings of the eBPF data plane.
type FelixBPFSpec struct {
	// BPFAttachType is how programs are attached to interfaces; an older way is taken where the kernel lacks the one
	// asked for. One of Netkit, TCX, TC. Default Netkit.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Netkit|TCX|TC)?$`
	BPFAttachType string `json:"bpfAttachType,omitempty"`
	// BPFCTLBLogFilter says whether connect-time load balancing logs at level debug. One of all.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(all)?$`
	BPFCTLBLogFilter string `json:"bpfCTLBLogFilter,omitempty"`
	// BPFConnectTimeLoadBalancing picks a service's backend when a program calls connect, for TCP only or all
	// protocols. One of Disabled, Enabled, TCP. Default TCP.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled|TCP)?$`
	BPFConnectTimeLoadBalancing string `json:"bpfConnectTimeLoadBalancing,omitempty"`
	// BPFConnectTimeLoadBalancingEnabled is the older form of bpfConnectTimeLoadBalancing.
	// +optional
	BPFConnectTimeLoadBalancingEnabled *bool `json:"bpfConnectTimeLoadBalancingEnabled,omitempty"`
	// BPFConntrackMode says who removes old entries of the connection table. One of Auto, BPFProgram, Userspace.
	// Default Auto.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Auto|BPFProgram|Userspace)?$`
	BPFConntrackMode string `json:"bpfConntrackMode,omitempty"`
	// BPFConntrackLogLevel is the level at which that removal logs. One of debug, off. Default off.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(debug|off)?$`
	BPFConntrackLogLevel string `json:"bpfConntrackLogLevel,omitempty"`
	// BPFConntrackTimeouts are the times after which idle connections are forgotten.
	// +optional
	BPFConntrackTimeouts *BPFConntrackTimeouts `json:"bpfConntrackTimeouts,omitempty"`
	// BPFDSROptoutCIDRs are clients that get their answers through the tunnel even with external service mode DSR.
	// +optional
	// +listType=atomic
	BPFDSROptoutCIDRs []string `json:"bpfDSROptoutCIDRs,omitzero"`
	// BPFDataIfacePattern is a regular expression over the host's links on which programs run. Default
	// ^((en|wl|ww|sl|ib)[Popsx].*|(eth|wlan|wwan|bond).*).
	// +optional
	BPFDataIfacePattern string `json:"bpfDataIfacePattern,omitempty"`
	// BPFDisableGROForIfaces is a regular expression over links whose receive offload is switched off.
	// +optional
	BPFDisableGROForIfaces string `json:"bpfDisableGROForIfaces,omitempty"`
	// BPFDisableUnprivileged sets kernel.unprivileged_bpf_disabled. Default true.
	// +optional
	BPFDisableUnprivileged *bool `json:"bpfDisableUnprivileged,omitempty"`
	// BPFEnabled enforces policy and serves services with eBPF. Default false.
	// +optional
	BPFEnabled *bool `json:"bpfEnabled,omitempty"`
	// BPFEnforceRPF drops packets whose source could not be reached by the interface they came from (Strict), or not at
	// all (Loose). One of Disabled, Loose, Strict. Default Loose.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Loose|Strict)?$`
	BPFEnforceRPF string `json:"bpfEnforceRPF,omitempty"`
	// BPFExcludeCIDRsFromNAT are service addresses that are left to the host, such as that of a node's DNS cache.
	// +optional
	// +listType=atomic
	BPFExcludeCIDRsFromNAT []string `json:"bpfExcludeCIDRsFromNAT,omitzero"`
	// BPFExportBufferSizeMB is the size in MiB of the buffer through which programs report events. Default 1.
	// +optional
	BPFExportBufferSizeMB *int `json:"bpfExportBufferSizeMB,omitempty"`
	// BPFExtToServiceConnmark is the connection mark on connections from outside to a local backend. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	BPFExtToServiceConnmark *int `json:"bpfExtToServiceConnmark,omitempty"`
	// BPFExternalServiceMode is how answers to outside clients leave: back through the first node, or directly. One of
	// dsr, tunnel. Default tunnel.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(dsr|tunnel)?$`
	BPFExternalServiceMode string `json:"bpfExternalServiceMode,omitempty"`
	// BPFForceTrackPacketsFromIfaces are interfaces, "+" at the end standing for any characters, whose packets the
	// kernel must track. Default docker+.
	// +optional
	// +listType=atomic
	BPFForceTrackPacketsFromIfaces []string `json:"bpfForceTrackPacketsFromIfaces,omitzero"`
	// BPFHostConntrackBypass keeps workload packets out of the kernel's connection tracking. Default false.
	// +optional
	BPFHostConntrackBypass *bool `json:"bpfHostConntrackBypass,omitempty"`
	// BPFHostNetworkedNATWithoutCTLB translates service addresses for the host's own programs when connect-time load
	// balancing does not. One of Disabled, Enabled. Default Enabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	BPFHostNetworkedNATWithoutCTLB string `json:"bpfHostNetworkedNATWithoutCTLB,omitempty"`
	// BPFIPFragTimeout is how long fragments wait for the rest of their packet. Default 0s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	BPFIPFragTimeout *metav1.Duration `json:"bpfIPFragTimeout,omitempty"`
	// BPFIPFragmentReassemblyEnabled puts fragments that arrive in disorder together. Default true.
	// +optional
	BPFIPFragmentReassemblyEnabled *bool `json:"bpfIPFragmentReassemblyEnabled,omitempty"`
	// BPFJITHardening lets the kernel's JIT hardening be relaxed where it is costly (Auto), or keeps it (Strict). One
	// of Auto, Strict. Default Auto.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Auto|Strict)?$`
	BPFJITHardening string `json:"bpfJITHardening,omitempty"`
	// BPFKubeProxyHealthzPort is the TCP port on which service health is served; 0 switches it off. Default 10256.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	BPFKubeProxyHealthzPort *int `json:"bpfKubeProxyHealthzPort,omitempty"`
	// BPFKubeProxyIptablesCleanupEnabled removes rules that kube-proxy left. Default true.
	// +optional
	BPFKubeProxyIptablesCleanupEnabled *bool `json:"bpfKubeProxyIptablesCleanupEnabled,omitempty"`
	// BPFKubeProxyMinSyncPeriod is the least time between two updates of services. Default 1s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	BPFKubeProxyMinSyncPeriod *metav1.Duration `json:"bpfKubeProxyMinSyncPeriod,omitempty"`
	// BPFL3IfacePattern is a regular expression over further links without Ethernet headers on which programs run.
	// +optional
	BPFL3IfacePattern string `json:"bpfL3IfacePattern,omitempty"`
	// BPFLogFilters limit debug logs: the key is an interface, "all", "weps" or "heps", the value a pcap expression.
	// +optional
	// +mapType=atomic
	BPFLogFilters map[string]string `json:"bpfLogFilters,omitzero"`
	// BPFLogLevel is the level at which programs log to the trace pipe. It is always written, even if empty. One of
	// debug, info, off. Default off.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(debug|info|off)?$`
	BPFLogLevel string `json:"bpfLogLevel"`
	// BPFMaglevMaxEndpointsPerService is the number of backends for which a Maglev service's table is sized. Default
	// 100.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3000
	BPFMaglevMaxEndpointsPerService *int `json:"bpfMaglevMaxEndpointsPerService,omitempty"`
	// BPFMaglevMaxServices is the number of Maglev services for which memory is set aside. Default 100.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3000
	BPFMaglevMaxServices *int `json:"bpfMaglevMaxServices,omitempty"`
	// BPFMapSizeConntrack is the size of the connection table in entries. Default 512000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeConntrack *int `json:"bpfMapSizeConntrack,omitempty"`
	// BPFMapSizeConntrackCleanupQueue is the size in entries of the queue of translated connections to remove. Default
	// 100000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	BPFMapSizeConntrackCleanupQueue *int `json:"bpfMapSizeConntrackCleanupQueue,omitempty"`
	// BPFMapSizeConntrackScaling says whether a full connection table grows. One of Disabled, DoubleIfFull. Default
	// DoubleIfFull.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|DoubleIfFull)?$`
	BPFMapSizeConntrackScaling string `json:"bpfMapSizeConntrackScaling,omitempty"`
	// BPFMapSizeIPSets is the size in entries of the table of set members. Default 1048576.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeIPSets *int `json:"bpfMapSizeIPSets,omitempty"`
	// BPFMapSizeIfState is the size in entries of the table of interfaces. Default 1000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeIfState *int `json:"bpfMapSizeIfState,omitempty"`
	// BPFMapSizeNATAffinity is the size in entries of the table of session affinity. Default 65536.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeNATAffinity *int `json:"bpfMapSizeNATAffinity,omitempty"`
	// BPFMapSizeNATBackend is the size in entries of the table of service backends. Default 262144.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeNATBackend *int `json:"bpfMapSizeNATBackend,omitempty"`
	// BPFMapSizeNATFrontend is the size in entries of the table of service addresses. Default 65536.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeNATFrontend *int `json:"bpfMapSizeNATFrontend,omitempty"`
	// BPFMapSizePerCPUConntrack sizes the connection table in entries for each CPU; 0 leaves it to bpfMapSizeConntrack.
	// Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizePerCPUConntrack *int `json:"bpfMapSizePerCpuConntrack,omitempty"`
	// BPFMapSizeRoute is the size in entries of the table of routes. Default 262144.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BPFMapSizeRoute *int `json:"bpfMapSizeRoute,omitempty"`
	// BPFOverlayHostSourceIP is the source of the host's own packets into a tunnel. One of HostAddress, TunnelAddress.
	// Default TunnelAddress.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(HostAddress|TunnelAddress)?$`
	BPFOverlayHostSourceIP string `json:"bpfOverlayHostSourceIP,omitempty"`
	// BPFPSNATPorts is the range of source ports for connections whose port is taken, "first:last". Default
	// 20000:29999.
	// +optional
	BPFPSNATPorts *Port `json:"bpfPSNATPorts,omitempty"`
	// BPFPolicyDebugEnabled keeps a readable form of each policy program. Default true.
	// +optional
	BPFPolicyDebugEnabled *bool `json:"bpfPolicyDebugEnabled,omitempty"`
	// BPFProfiling measures the run time of programs. One of Disabled, Enabled. Default Disabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled)?$`
	BPFProfiling string `json:"bpfProfiling,omitempty"`
	// BPFRedirectToPeer hands packets to the workload's side of its link at once, from all links or from Ethernet links
	// only. One of Disabled, Enabled, L2Only. Default Enabled.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(Disabled|Enabled|L2Only)?$`
	BPFRedirectToPeer string `json:"bpfRedirectToPeer,omitempty"`
}
