package v3

// Action is what a rule does with the packets that it matches.
//
// +kubebuilder:validation:Enum=Allow;Deny;Log;Pass
type Action string

// The actions of a rule. Log continues with the next rule; Pass leaves the tier for the next one.
const (
	Allow Action = "Allow"
	Deny  Action = "Deny"
	Log   Action = "Log"
	Pass  Action = "Pass"
)

// PolicyType is a direction in which a policy isolates its endpoints.
//
// +kubebuilder:validation:Enum=Ingress;Egress
type PolicyType string

// The directions, as seen from the endpoint.
const (
	PolicyTypeIngress PolicyType = "Ingress"
	PolicyTypeEgress  PolicyType = "Egress"
)

// PolicyPerformanceHint tells the agent how to lay out a policy; it never changes a verdict.
//
// +kubebuilder:validation:Enum=AssumeNeededOnEveryNode
type PolicyPerformanceHint string

// AssumeNeededOnEveryNode asks agents to prepare the policy's sets before the first endpoint needs them.
const AssumeNeededOnEveryNode PolicyPerformanceHint = "AssumeNeededOnEveryNode"

// Rule matches packets and says what happens to them. All criteria that are given must match; a rule without criteria
// matches every packet.
//
// +kubebuilder:validation:XValidation:rule="!has(self.http) || !has(self.protocol) || self.protocol == 'TCP' || self.protocol == 'tcp' || self.protocol == 6",message="http matches TCP only: protocol must be TCP or absent"
// +kubebuilder:validation:XValidation:rule="!has(self.http) || self.action == 'Allow'",message="http can only be matched by a rule with action Allow"
// +kubebuilder:validation:XValidation:rule="!has(self.destination) || !has(self.destination.services) || (!has(self.destination.ports) && !has(self.destination.notPorts))",message="destination.services implies its own ports: ports and notPorts must be absent"
// +kubebuilder:validation:XValidation:rule="(!has(self.icmp) && !has(self.notICMP)) || (has(self.protocol) && (self.protocol == 'ICMP' || self.protocol == 'icmp' || self.protocol == 'ICMPv6' || self.protocol == 'icmpv6' || self.protocol == 'ICMPV6' || self.protocol == 1 || self.protocol == 58))",message="icmp and notICMP need protocol ICMP or ICMPv6"
// +kubebuilder:validation:XValidation:rule="!has(self.ipVersion) || !has(self.protocol) || (self.protocol != 'ICMP' && self.protocol != 'icmp' && self.protocol != 1) || self.ipVersion == 4",message="protocol ICMP exists in IPv4 only: ipVersion must be 4 or absent"
// +kubebuilder:validation:XValidation:rule="!has(self.ipVersion) || !has(self.protocol) || (self.protocol != 'ICMPv6' && self.protocol != 'icmpv6' && self.protocol != 'ICMPV6' && self.protocol != 58) || self.ipVersion == 6",message="protocol ICMPv6 exists in IPv6 only: ipVersion must be 6 or absent"
type Rule struct {
	// Action is the verdict on matching packets.
	Action Action `json:"action"`
	// IPVersion limits the rule to IPv4 (4) or IPv6 (6). Absent: both.
	// +optional
	// +kubebuilder:validation:Enum=4;6
	IPVersion *int `json:"ipVersion,omitempty"`
	// Protocol limits the rule to one IP protocol, by name or number. Needed where ports are matched.
	// +optional
	Protocol *Protocol `json:"protocol,omitempty"`
	// ICMP limits the rule to one ICMP type, and code if given.
	// +optional
	ICMP *ICMPFields `json:"icmp,omitempty"`
	// NotProtocol excludes one IP protocol.
	// +optional
	NotProtocol *Protocol `json:"notProtocol,omitempty"`
	// NotICMP excludes one ICMP type, and code if given.
	// +optional
	NotICMP *ICMPFields `json:"notICMP,omitempty"`
	// Source is matched against the packet's sender.
	// +optional
	Source EntityRule `json:"source,omitzero"`
	// Destination is matched against the packet's receiver, after service address translation.
	// +optional
	Destination EntityRule `json:"destination,omitzero"`
	// HTTP is matched against requests by the application layer; the packet layer cannot enforce it.
	// +optional
	HTTP *HTTPMatch `json:"http,omitempty"`
	// Metadata is for the rule's readers; it matches nothing.
	// +optional
	Metadata *RuleMetadata `json:"metadata,omitempty"`
}

// EntityRule matches one side of a packet. All criteria that are given must match.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.selector) || !self.selector.contains('global(')) && (!has(self.notSelector) || !self.notSelector.contains('global('))",message="global() is understood in namespaceSelector only"
// +kubebuilder:validation:XValidation:rule="!has(self.services) || !has(self.namespaceSelector) || size(self.namespaceSelector) == 0",message="services and namespaceSelector exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.services) || !has(self.serviceAccounts)",message="services and serviceAccounts exclude each other"
// +kubebuilder:validation:XValidation:rule="!has(self.services) || (has(self.services.name) && size(self.services.name) > 0)",message="services.name must name a service"
// +kubebuilder:validation:XValidation:rule="!has(self.services) || ((!has(self.selector) || size(self.selector) == 0) && (!has(self.notSelector) || size(self.notSelector) == 0))",message="services excludes selector and notSelector"
// +kubebuilder:validation:XValidation:rule="!has(self.services) || ((!has(self.nets) || size(self.nets) == 0) && (!has(self.notNets) || size(self.notNets) == 0))",message="services excludes nets and notNets"
type EntityRule struct {
	// Nets are networks in CIDR form or plain addresses; the address must be in one of them.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=43
	// +listType=set
	Nets []string `json:"nets,omitempty"`
	// Selector picks endpoints and network sets by label. A namespaced policy looks in its own namespace unless
	// namespaceSelector is given.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`
	// NamespaceSelector picks namespaces by label: selector, or all workloads if it is absent, then applies within them.
	// "global()" picks objects without a namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NamespaceSelector string `json:"namespaceSelector,omitempty"`
	// Services matches the current endpoints of one Kubernetes service; as a destination, on the service's ports.
	// +optional
	Services *ServiceMatch `json:"services,omitempty"`
	// Ports are numbers, ranges "first:last" or port names, of which one must match.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	Ports []Port `json:"ports,omitempty"`
	// NotNets are networks in which the address must not be.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=43
	// +listType=set
	NotNets []string `json:"notNets,omitempty"`
	// NotSelector picks endpoints and network sets that the packet's side must not be.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NotSelector string `json:"notSelector,omitempty"`
	// NotPorts are numbers, ranges or names of which none may match.
	// +optional
	// +kubebuilder:validation:MaxItems=50
	NotPorts []Port `json:"notPorts,omitempty"`
	// ServiceAccounts limits the side to pods that run under certain service accounts.
	// +optional
	ServiceAccounts *ServiceAccountMatch `json:"serviceAccounts,omitempty"`
}

// ServiceMatch names a Kubernetes service.
type ServiceMatch struct {
	// Name of the service.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// Namespace of the service. Absent: the policy's own; required in a policy without one.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Namespace string `json:"namespace,omitempty"`
}

// ServiceAccountMatch picks pods by the service account they run under. Both criteria must hold if both are given.
type ServiceAccountMatch struct {
	// Names of service accounts, of which one must be the pod's.
	// +optional
	// +listType=set
	Names []string `json:"names,omitempty"`
	// Selector over the labels of the service account.
	// +optional
	Selector string `json:"selector,omitempty"`
}

// ICMPFields match the header of an ICMP or ICMPv6 packet.
//
// +kubebuilder:validation:XValidation:rule="!has(self.code) || has(self.type)",message="an ICMP code means nothing without its type"
type ICMPFields struct {
	// Type is the ICMP type, 0 to 254 (8 is an IPv4 echo request).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=254
	Type *int `json:"type,omitempty"`
	// Code is the code within the type, 0 to 255. Absent: every code.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	Code *int `json:"code,omitempty"`
}

// HTTPMatch matches a request. Each list that is given must have a match.
type HTTPMatch struct {
	// Methods are HTTP methods in upper case, such as GET.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=set
	Methods []string `json:"methods,omitempty"`
	// Paths are request paths, without query.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	Paths []HTTPPath `json:"paths,omitempty"`
}

// HTTPPath is one of its two forms.
type HTTPPath struct {
	// Exact is the whole path.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Exact string `json:"exact,omitempty"`
	// Prefix is the beginning of the path.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Prefix string `json:"prefix,omitempty"`
}

// RuleMetadata is carried along with a rule.
type RuleMetadata struct {
	// Annotations are free key-value pairs.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}
