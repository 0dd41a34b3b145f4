package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPReservation keeps addresses out of automatic assignment. Addresses already in use stay.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ipreservations
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type IPReservation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPReservationSpec `json:"spec"`
}

// IPReservationList is a list of IPReservation.
//
// +kubebuilder:object:root=true
type IPReservationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPReservation `json:"items"`
}

// IPReservationSpec holds the addresses.
type IPReservationSpec struct {
	// ReservedCIDRs are networks in CIDR form or plain addresses, of both families.
	// +optional
	// +listType=set
	ReservedCIDRs []string `json:"reservedCIDRs,omitempty"`
}

// IPAMConfiguration holds the cluster-wide settings of address assignment. The only object is "default". With etcd,
// assignment reads the key /calico/ipam/v2/config instead.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ipamconfigurations,shortName={ipamconfig,ipamconfigs}
// +kubebuilder:subresource:status
type IPAMConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAMConfigurationSpec `json:"spec"`
}

// IPAMConfigurationList is a list of IPAMConfiguration.
//
// +kubebuilder:object:root=true
type IPAMConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAMConfiguration `json:"items"`
}

// IPAMConfigurationSpec holds the settings.
type IPAMConfigurationSpec struct {
	// StrictAffinity keeps a node from taking addresses out of another node's blocks.
	// +optional
	// +kubebuilder:default=false
	StrictAffinity bool `json:"strictAffinity"`
	// MaxBlocksPerHost is the greatest number of blocks a node may hold, 0 to 1000000; 0 means no limit.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxBlocksPerHost *int32 `json:"maxBlocksPerHost,omitempty"`
	// AutoAllocateBlocks lets nodes take blocks by themselves.
	// +optional
	// +kubebuilder:default=true
	AutoAllocateBlocks *bool `json:"autoAllocateBlocks,omitempty"`
	// KubeVirtVMAddressPersistence keeps a virtual machine's addresses while it is stopped or moves.
	// +optional
	// +kubebuilder:validation:Enum=Enabled;Disabled
	KubeVirtVMAddressPersistence *string `json:"kubeVirtVMAddressPersistence,omitempty"`
	// IPCooldownSeconds is how long a released address rests before it is given out again, 0 to 1200 seconds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1200
	IPCooldownSeconds *int32 `json:"ipCooldownSeconds,omitempty"`
}

// IPAMBlock records the addresses of one block. Address assignment alone writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ipamblocks
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=".spec.cidr"
// +kubebuilder:printcolumn:name="Affinity",type=string,JSONPath=".spec.affinity"
type IPAMBlock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAMBlockSpec `json:"spec"`
}

// IPAMBlockList is a list of IPAMBlock.
//
// +kubebuilder:object:root=true
type IPAMBlockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAMBlock `json:"items"`
}

// IPAMBlockSpec is a block's whole state. Lists and maps that are present stay present when they run empty.
type IPAMBlockSpec struct {
	// CIDR of the block.
	// +kubebuilder:validation:Format=cidr
	CIDR string `json:"cidr"`
	// Affinity is the block's owner, "host:NODE" or "virtual:load-balancer". Absent: the owner gave it up while addresses
	// were in use.
	// +optional
	// +kubebuilder:validation:Pattern=`^(host|virtual):[a-zA-Z0-9\.\-_]+$`
	Affinity *string `json:"affinity,omitempty"`
	// AffinityClaimTime is when the owner took the block.
	// +optional
	AffinityClaimTime *metav1.Time `json:"affinityClaimTime,omitempty"`
	// Allocations has one entry for each address of the block: null if it is free, else an index into attributes.
	// +optional
	// +listType=atomic
	Allocations []*int `json:"allocations,omitzero"`
	// Unallocated holds the ordinals of free addresses in the order in which they are given out.
	// +optional
	// +listType=atomic
	Unallocated []int `json:"unallocated,omitzero"`
	// Attributes say who holds addresses.
	// +optional
	// +listType=atomic
	Attributes []AllocationAttribute `json:"attributes,omitzero"`
	// SequenceNumber grows by one with each write of the block; it starts at the time of its creation in nanoseconds.
	// +optional
	// +kubebuilder:default=0
	SequenceNumber int64 `json:"sequenceNumber"`
	// SequenceNumberForAllocation maps the ordinal of an address in use to the block's sequence number before the write
	// that assigned it.
	// +optional
	SequenceNumberForAllocation map[string]int64 `json:"sequenceNumberForAllocation,omitzero"`
	// Deleted marks a block whose deletion has begun; readers finish it and treat the block as absent.
	// +optional
	Deleted bool `json:"deleted"`
	// StrictAffinity has no meaning any more; it is kept as found.
	// +optional
	StrictAffinity bool `json:"strictAffinity"`
}

// AllocationAttribute says who holds an address, or that it rests after its release.
type AllocationAttribute struct {
	// HandleID names the handle. Absent while the address rests.
	// +optional
	HandleID *string `json:"handle_id,omitempty"`
	// Secondary names the holder: node, namespace, pod, timestamp and others.
	// +optional
	Secondary map[string]string `json:"secondary,omitempty"`
	// AlternateOwnerAttrs names the second holder while a virtual machine moves.
	// +optional
	AlternateOwnerAttrs map[string]string `json:"alternateOwnerAttrs,omitempty"`
	// ReleasedAt is when a resting address was released.
	// +optional
	ReleasedAt *metav1.Time `json:"releasedAt,omitempty"`
}

// IPAMHandle counts the addresses that one holder has in each block. Address assignment alone writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ipamhandles
// +kubebuilder:subresource:status
type IPAMHandle struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAMHandleSpec `json:"spec"`
}

// IPAMHandleList is a list of IPAMHandle.
//
// +kubebuilder:object:root=true
type IPAMHandleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAMHandle `json:"items"`
}

// IPAMHandleSpec is a handle's whole state.
type IPAMHandleSpec struct {
	// HandleID in the case in which it was given; the object's name is in lower case.
	HandleID string `json:"handleID"`
	// Block maps the CIDR of a block to the number of addresses held there.
	// +optional
	Block map[string]int `json:"block,omitzero"`
	// Deleted marks a handle whose deletion has begun.
	// +optional
	Deleted bool `json:"deleted"`
}

// BlockAffinity records that a node claims a block. Address assignment alone writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=blockaffinities,shortName={affinity,affinities}
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=".spec.cidr"
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=".spec.node"
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=".spec.state"
type BlockAffinity struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BlockAffinitySpec `json:"spec"`
}

// BlockAffinityList is a list of BlockAffinity.
//
// +kubebuilder:object:root=true
type BlockAffinityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BlockAffinity `json:"items"`
}

// BlockAffinityState is how far a claim has come. Empty means confirmed, as old writers left it.
//
// +kubebuilder:validation:Enum="";confirmed;pending;pendingDeletion
type BlockAffinityState string

// The states of a claim.
const (
	AffinityConfirmed       BlockAffinityState = "confirmed"
	AffinityPending         BlockAffinityState = "pending"
	AffinityPendingDeletion BlockAffinityState = "pendingDeletion"
)

// BlockAffinitySpec is a claim's whole state.
type BlockAffinitySpec struct {
	// State of the claim.
	// +optional
	State BlockAffinityState `json:"state"`
	// Node that claims the block.
	Node string `json:"node"`
	// Type of the claimant, "host" or "virtual". Absent: host.
	// +optional
	Type string `json:"type,omitempty"`
	// CIDR of the block.
	// +kubebuilder:validation:Format=cidr
	CIDR string `json:"cidr"`
	// Deleted marks a claim whose deletion has begun.
	// +optional
	// +kubebuilder:default=false
	Deleted bool `json:"deleted"`
}
