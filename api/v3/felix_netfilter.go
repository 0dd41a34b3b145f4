package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FelixNetfilterSpec holds settings of the nftables and iptables data planes and of XDP.
type FelixNetfilterSpec struct {
	// IPSetsRefreshInterval is the time between full reads of the IP sets; 0 switches them off. Default 90s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	IPSetsRefreshInterval *metav1.Duration `json:"ipsetsRefreshInterval,omitempty"`
	// IptablesBackend is the variant of the iptables tools. One of auto, legacy, nft. Default auto.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(auto|legacy|nft)?$`
	IptablesBackend string `json:"iptablesBackend,omitempty"`
	// IptablesFilterAllowAction is what becomes of allowed packets in table filter: accepted, or handed to later rules.
	// One of ACCEPT, RETURN. Default ACCEPT.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(ACCEPT|RETURN)?$`
	IptablesFilterAllowAction string `json:"iptablesFilterAllowAction,omitempty"`
	// IptablesFilterDenyAction is what becomes of denied packets. One of DROP, REJECT. Default DROP.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(DROP|REJECT)?$`
	IptablesFilterDenyAction string `json:"iptablesFilterDenyAction,omitempty"`
	// IptablesLockProbeInterval is the time between attempts to take the xtables lock. Default 50ms.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	IptablesLockProbeInterval *metav1.Duration `json:"iptablesLockProbeInterval,omitempty"`
	// IptablesMangleAllowAction is what becomes of allowed packets in table mangle: accepted, or handed to later rules.
	// One of ACCEPT, RETURN. Default ACCEPT.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(ACCEPT|RETURN)?$`
	IptablesMangleAllowAction string `json:"iptablesMangleAllowAction,omitempty"`
	// IptablesMarkMask holds the packet mark bits that the agent may use with iptables. Default 0xffff0000.
	// +optional
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	IptablesMarkMask *uint32 `json:"iptablesMarkMask,omitempty"`
	// IptablesNATOutgoingInterfaceFilter limits natOutgoing to one outgoing interface; "+" at its end stands for any
	// characters.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9:._+-]{1,15})?$`
	IptablesNATOutgoingInterfaceFilter string `json:"iptablesNATOutgoingInterfaceFilter,omitempty"`
	// IptablesPostWriteCheckInterval is the time after a write when the rules are read back once. Default 5s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	IptablesPostWriteCheckInterval *metav1.Duration `json:"iptablesPostWriteCheckInterval,omitempty"`
	// IptablesRefreshInterval is the time between full reads of the rules; 0 switches them off. Default 180s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	IptablesRefreshInterval *metav1.Duration `json:"iptablesRefreshInterval,omitempty"`
	// KubeNodePortRanges are the ports of node port services, by which their packets are known. Default 30000:32767.
	// +optional
	// +listType=atomic
	KubeNodePortRanges []Port `json:"kubeNodePortRanges,omitzero"`
	// MaxIPSetSize is the greatest number of members of an IP set. Default 1048576.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxIPSetSize *int `json:"maxIpsetSize,omitempty"`
	// NFTablesFilterAllowAction is what becomes of allowed packets in filter chains: accepted, or handed to later
	// chains. One of ACCEPT, RETURN. Default ACCEPT.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(ACCEPT|RETURN)?$`
	NFTablesFilterAllowAction string `json:"nftablesFilterAllowAction,omitempty"`
	// NFTablesFilterDenyAction is what becomes of denied packets. One of DROP, REJECT. Default DROP.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(DROP|REJECT)?$`
	NFTablesFilterDenyAction string `json:"nftablesFilterDenyAction,omitempty"`
	// NFTablesMangleAllowAction is what becomes of allowed packets in mangle chains: accepted, or handed to later
	// chains. One of ACCEPT, RETURN. Default ACCEPT.
	// +optional
	// +kubebuilder:validation:Pattern=`^(?i)(ACCEPT|RETURN)?$`
	NFTablesMangleAllowAction string `json:"nftablesMangleAllowAction,omitempty"`
	// NFTablesMarkMask holds the packet mark bits that the agent may use with nftables. Default 0xffff0000.
	// +optional
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	NFTablesMarkMask *uint32 `json:"nftablesMarkMask,omitempty"`
	// NFTablesRefreshInterval is the time between full reads of the ruleset; 0 switches them off. Default 180s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	NFTablesRefreshInterval *metav1.Duration `json:"nftablesRefreshInterval,omitempty"`
	// GenericXDPEnabled uses XDP in the kernel's slow, generic mode where a driver has no better one. Default false.
	// +optional
	GenericXDPEnabled *bool `json:"genericXDPEnabled,omitempty"`
	// XDPEnabled denies packets by XDP where an untracked policy allows it. Default true.
	// +optional
	XDPEnabled *bool `json:"xdpEnabled,omitempty"`
	// XDPRefreshInterval is the time between full reads of XDP state; 0 switches them off. Default 90s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	XDPRefreshInterval *metav1.Duration `json:"xdpRefreshInterval,omitempty"`
}
