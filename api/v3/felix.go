package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FelixConfiguration holds the settings of agents: of all ("default") or of one node ("node.NAME").
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=felixconfigurations,shortName={felixconfig,felixconfigs}
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type FelixConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec FelixConfigurationSpec `json:"spec"`
}

// FelixConfigurationList is a list of FelixConfiguration.
//
// +kubebuilder:object:root=true
type FelixConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FelixConfiguration `json:"items"`
}

// FelixConfigurationSpec holds the settings. Every one is optional: an absent one is taken from the next broader source,
// in the end from the default that its comment names. Choices of words are read without regard to case. Lists and
// maps that are present and empty differ from absent ones: they replace the default by nothing.
type FelixConfigurationSpec struct {
	FelixProcessSpec   `json:",inline"`
	FelixDataplaneSpec `json:",inline"`
	FelixNetfilterSpec `json:",inline"`
	FelixBPFSpec       `json:",inline"`
	FelixOverlaySpec   `json:",inline"`
}

// ProtoPort is a port that stays open whatever policy says.
type ProtoPort struct {
	// Net limits the exception to remote addresses in a network. Absent: all.
	// +optional
	Net string `json:"net,omitempty"`
	// Protocol is TCP or UDP.
	// +optional
	Protocol string `json:"protocol,omitempty"`
	// Port number.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Port uint16 `json:"port"`
}

// RouteTableRange is a range of kernel routing tables, both ends included.
type RouteTableRange struct {
	// Min is the first table.
	Min int `json:"min"`
	// Max is the last table.
	Max int `json:"max"`
}

// HealthTimeoutOverride replaces the watchdog timeout of one part of the agent.
type HealthTimeoutOverride struct {
	// Name of the part.
	Name string `json:"name"`
	// Timeout after which the part counts as stuck.
	Timeout metav1.Duration `json:"timeout"`
}

// BPFConntrackTimeout is a duration such as "30s", or "Auto" for the kernel's own timeout.
//
// +kubebuilder:validation:Pattern=`^(([0-9]*(\.[0-9]*)?(ms|s|h|m|us)+)+|Auto)$`
type BPFConntrackTimeout string

// BPFConntrackTimeouts are the times after which idle connections are forgotten.
type BPFConntrackTimeouts struct {
	// CreationGracePeriod protects new entries. Default 10s.
	// +optional
	CreationGracePeriod *BPFConntrackTimeout `json:"creationGracePeriod,omitempty"`
	// TCPSynSent holds until the handshake ends. Default 20s.
	// +optional
	TCPSynSent *BPFConntrackTimeout `json:"tcpSynSent,omitempty"`
	// TCPEstablished holds after the handshake. Default 1h.
	// +optional
	TCPEstablished *BPFConntrackTimeout `json:"tcpEstablished,omitempty"`
	// TCPFinsSeen holds once both sides have sent FIN. Default Auto.
	// +optional
	TCPFinsSeen *BPFConntrackTimeout `json:"tcpFinsSeen,omitempty"`
	// TCPResetSeen holds after a reset. Default 40s.
	// +optional
	TCPResetSeen *BPFConntrackTimeout `json:"tcpResetSeen,omitempty"`
	// UDPTimeout holds for UDP. Default 60s.
	// +optional
	UDPTimeout *BPFConntrackTimeout `json:"udpTimeout,omitempty"`
	// GenericTimeout holds for other protocols. Default 10m.
	// +optional
	GenericTimeout *BPFConntrackTimeout `json:"genericTimeout,omitempty"`
	// ICMPTimeout holds for ICMP. Default 5s.
	// +optional
	ICMPTimeout *BPFConntrackTimeout `json:"icmpTimeout,omitempty"`
}
