package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FelixOverlaySpec holds settings of the tunnels between nodes.
type FelixOverlaySpec struct {
	// VXLANEnabled makes the IPv4 VXLAN device, or not. Absent: as the pools need.
	// +optional
	VXLANEnabled *bool `json:"vxlanEnabled,omitempty"`
	// VXLANMTU is the MTU of the IPv4 VXLAN device; 0 derives it from the host's. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	VXLANMTU *int `json:"vxlanMTU,omitempty"`
	// VXLANMTUV6 is the MTU of the IPv6 VXLAN device; 0 derives it from the host's. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	VXLANMTUV6 *int `json:"vxlanMTUV6,omitempty"`
	// VXLANPort is the UDP port of VXLAN. Default 4789.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	VXLANPort *int `json:"vxlanPort,omitempty"`
	// VXLANVNI is the network identifier of VXLAN. Default 4096.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16777215
	VXLANVNI *int `json:"vxlanVNI,omitempty"`
	// IPIPEnabled makes the IP in IP device, or not. Absent: as the pools need.
	// +optional
	IPIPEnabled *bool `json:"ipipEnabled,omitempty"`
	// IPIPMTU is the MTU of the IP in IP device; 0 derives it from the host's. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	IPIPMTU *int `json:"ipipMTU,omitempty"`
	// WireguardEnabled encrypts IPv4 between nodes. Default false.
	// +optional
	WireguardEnabled *bool `json:"wireguardEnabled,omitempty"`
	// WireguardEnabledV6 encrypts IPv6 between nodes. Default false.
	// +optional
	WireguardEnabledV6 *bool `json:"wireguardEnabledV6,omitempty"`
	// WireguardHostEncryptionEnabled encrypts the hosts' own traffic to each other too. Default false.
	// +optional
	WireguardHostEncryptionEnabled *bool `json:"wireguardHostEncryptionEnabled,omitempty"`
	// WireguardInterfaceName is the device that carries IPv4. Default wireguard.cali.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9:._+-]{1,15})?$`
	WireguardInterfaceName string `json:"wireguardInterfaceName,omitempty"`
	// WireguardInterfaceNameV6 is the device that carries IPv6. Default wg-v6.cali.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9:._+-]{1,15})?$`
	WireguardInterfaceNameV6 string `json:"wireguardInterfaceNameV6,omitempty"`
	// WireguardListeningPort is the UDP port of the device that carries IPv4. Default 51820.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	WireguardListeningPort *int `json:"wireguardListeningPort,omitempty"`
	// WireguardListeningPortV6 is the UDP port of the device that carries IPv6. Default 51821.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	WireguardListeningPortV6 *int `json:"wireguardListeningPortV6,omitempty"`
	// WireguardMTU is the MTU of the device that carries IPv4; 0 derives it from the host's. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	WireguardMTU *int `json:"wireguardMTU,omitempty"`
	// WireguardMTUV6 is the MTU of the device that carries IPv6; 0 derives it from the host's. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	WireguardMTUV6 *int `json:"wireguardMTUV6,omitempty"`
	// WireguardKeepAlive is the time between keepalives to each peer; 0 switches them off. Default 0s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$`
	WireguardKeepAlive *metav1.Duration `json:"wireguardKeepAlive,omitempty"`
	// WireguardRoutingRulePriority is the priority of the routing rule that leads into the devices. Default 99.
	// +optional
	WireguardRoutingRulePriority *int `json:"wireguardRoutingRulePriority,omitempty"`
	// WireguardThreadingEnabled lets the devices use threaded NAPI. Default false.
	// +optional
	WireguardThreadingEnabled *bool `json:"wireguardThreadingEnabled,omitempty"`
}
