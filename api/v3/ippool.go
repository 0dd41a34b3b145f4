package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPPool is a range of addresses for workloads, tunnels or load balancers, and how packets between them travel.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ippools
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=".spec.cidr"
// +kubebuilder:printcolumn:name="VXLAN",type=string,JSONPath=".spec.vxlanMode"
// +kubebuilder:printcolumn:name="IPIP",type=string,JSONPath=".spec.ipipMode"
// +kubebuilder:printcolumn:name="NAT",type=boolean,JSONPath=".spec.natOutgoing"
// +kubebuilder:printcolumn:name="Disabled",type=boolean,JSONPath=".spec.disabled"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type IPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPPoolSpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// IPPoolList is a list of IPPool.
//
// +kubebuilder:object:root=true
type IPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPPool `json:"items"`
}

// EncapsulationMode says between which nodes packets of a pool are encapsulated.
//
// +kubebuilder:validation:Enum=Never;Always;CrossSubnet
type EncapsulationMode string

// CrossSubnet encapsulates only if the nodes are not in one subnet.
const (
	EncapsulationNever       EncapsulationMode = "Never"
	EncapsulationAlways      EncapsulationMode = "Always"
	EncapsulationCrossSubnet EncapsulationMode = "CrossSubnet"
)

// IPPoolAllowedUse is what addresses of a pool are taken for.
//
// +kubebuilder:validation:Enum=Workload;Tunnel;LoadBalancer
type IPPoolAllowedUse string

// LoadBalancer pools hold addresses of services; such a pool has no other use.
const (
	IPPoolUseWorkload     IPPoolAllowedUse = "Workload"
	IPPoolUseTunnel       IPPoolAllowedUse = "Tunnel"
	IPPoolUseLoadBalancer IPPoolAllowedUse = "LoadBalancer"
)

// AssignmentMode says whether addresses of a pool are handed out unasked.
//
// +kubebuilder:validation:Enum=Automatic;Manual
type AssignmentMode string

// Manual pools serve only requests that name the pool or an address in it.
const (
	AssignmentAutomatic AssignmentMode = "Automatic"
	AssignmentManual    AssignmentMode = "Manual"
)

// IPPoolSpec describes the range.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ipipMode) || !has(self.vxlanMode) || self.ipipMode == 'Never' || self.vxlanMode == 'Never'",message="a pool has one encapsulation: ipipMode or vxlanMode must be Never"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || ((!has(self.ipipMode) || self.ipipMode == 'Never') && (!has(self.vxlanMode) || self.vxlanMode == 'Never'))",message="load balancer addresses are not encapsulated: ipipMode and vxlanMode must be Never"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || !('Workload' in self.allowedUses || 'Tunnel' in self.allowedUses)",message="allowedUses LoadBalancer excludes Workload and Tunnel"
// +kubebuilder:validation:XValidation:rule="!has(self.ipipMode) || self.ipipMode == 'Never' || !self.cidr.contains(':')",message="IP in IP carries IPv4 only: ipipMode of an IPv6 pool must be Never"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || !has(self.disableBGPExport) || !self.disableBGPExport",message="load balancer addresses must be exported: disableBGPExport must not be true"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || !has(self.nodeSelector) || size(self.nodeSelector) == 0 || self.nodeSelector == 'all()'",message="load balancer addresses belong to no node: nodeSelector must be all()"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedUses) || !('Tunnel' in self.allowedUses) || !has(self.namespaceSelector) || size(self.namespaceSelector) == 0",message="tunnel addresses belong to no namespace: namespaceSelector must be absent"
// +kubebuilder:validation:XValidation:rule="!has(self.nodeSelector) || !self.nodeSelector.contains('global(')",message="nodeSelector does not understand global()"
// +kubebuilder:validation:XValidation:rule="!has(self.namespaceSelector) || !self.namespaceSelector.contains('global(')",message="namespaceSelector does not understand global()"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || cidr(self.cidr) == cidr(self.cidr).masked()",message="cidr must have no bits set beyond its prefix"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || cidr(self.cidr).ip().family() == 6 || !(cidr('169.254.0.0/16').containsCIDR(cidr(self.cidr)) || cidr(self.cidr).containsCIDR(cidr('169.254.0.0/16')))",message="cidr must not overlap the IPv4 link-local range 169.254.0.0/16"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || cidr(self.cidr).ip().family() == 4 || !(cidr('fe80::/10').containsCIDR(cidr(self.cidr)) || cidr(self.cidr).containsCIDR(cidr('fe80::/10')))",message="cidr must not overlap the IPv6 link-local range fe80::/10"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || !has(self.blockSize) || (cidr(self.cidr).ip().family() == 4 ? (self.blockSize >= 20 && self.blockSize <= 32) : (self.blockSize >= 116 && self.blockSize <= 128))",message="blockSize must be 20 to 32 in IPv4 and 116 to 128 in IPv6"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.cidr) || cidr(self.cidr).prefixLength() <= (has(self.blockSize) ? self.blockSize : (cidr(self.cidr).ip().family() == 4 ? 26 : 122))",message="the pool is smaller than one block: its prefix must not be longer than blockSize"
type IPPoolSpec struct {
	// CIDR is the range, in canonical form. It never changes.
	// +kubebuilder:validation:Format=cidr
	// +kubebuilder:validation:MaxLength=48
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cidr cannot change: addresses of the old range are in use; make a new pool and disable this one"
	CIDR string `json:"cidr"`
	// VXLANMode says when packets to the pool travel in VXLAN. Default Never.
	// +optional
	VXLANMode EncapsulationMode `json:"vxlanMode,omitempty"`
	// IPIPMode says when packets to the pool travel in IP in IP (IPv4 only). Default Never.
	// +optional
	IPIPMode EncapsulationMode `json:"ipipMode,omitempty"`
	// NATOutgoing translates packets that workloads of the pool send out of all pools to their node's address.
	// +optional
	NATOutgoing bool `json:"natOutgoing,omitempty"`
	// Disabled stops new assignments. Addresses in use stay, and stay routed.
	// +optional
	Disabled bool `json:"disabled,omitempty"`
	// DisableBGPExport keeps the pool's routes from BGP peers.
	// +optional
	DisableBGPExport bool `json:"disableBGPExport,omitempty"`
	// BlockSize is the prefix length of the blocks that nodes take: 20 to 32, default 26; in IPv6 116 to 128, default
	// 122. It never changes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=128
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="blockSize cannot change: blocks of the old size are in use; make a new pool and disable this one"
	BlockSize int `json:"blockSize,omitempty"`
	// NodeSelector picks the nodes that may take blocks, by label.
	// +optional
	// +kubebuilder:default="all()"
	// +kubebuilder:validation:MaxLength=1024
	NodeSelector string `json:"nodeSelector,omitempty"`
	// NamespaceSelector picks the namespaces whose pods may have addresses, by label. Absent: all.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NamespaceSelector string `json:"namespaceSelector,omitempty"`
	// AllowedUses is what addresses are taken for. Default Workload and Tunnel.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=set
	AllowedUses []IPPoolAllowedUse `json:"allowedUses,omitempty"`
	// AssignmentMode says whether addresses are handed out unasked.
	// +optional
	// +kubebuilder:default=Automatic
	AssignmentMode *AssignmentMode `json:"assignmentMode,omitempty"`
}
