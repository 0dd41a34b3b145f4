package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPFilter is an ordered list of rules over routes, for the peers that name it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=bgpfilters
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type BGPFilter struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BGPFilterSpec `json:"spec"`
}

// BGPFilterList is a list of BGPFilter.
//
// +kubebuilder:object:root=true
type BGPFilterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPFilter `json:"items"`
}

// BGPFilterSpec holds rules by direction and family. The first rule that matches a route decides.
type BGPFilterSpec struct {
	// ExportV4 judges IPv4 routes on their way to the peer.
	// +optional
	// +listType=atomic
	ExportV4 []BGPFilterRuleV4 `json:"exportV4,omitempty"`
	// ImportV4 judges IPv4 routes from the peer.
	// +optional
	// +listType=atomic
	ImportV4 []BGPFilterRuleV4 `json:"importV4,omitempty"`
	// ExportV6 judges IPv6 routes on their way to the peer.
	// +optional
	// +listType=atomic
	ExportV6 []BGPFilterRuleV6 `json:"exportV6,omitempty"`
	// ImportV6 judges IPv6 routes from the peer.
	// +optional
	// +listType=atomic
	ImportV6 []BGPFilterRuleV6 `json:"importV6,omitempty"`
}

// BGPFilterRuleV4 matches IPv4 routes. All criteria that are given must match.
//
// +kubebuilder:validation:XValidation:rule="has(self.cidr) == has(self.matchOperator)",message="cidr and matchOperator need each other"
// +kubebuilder:validation:XValidation:rule="!has(self.prefixLength) || has(self.cidr)",message="prefixLength needs cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.operations) || self.action == 'Accept'",message="operations change routes that are accepted: action must be Accept"
type BGPFilterRuleV4 struct {
	// CIDR that matchOperator compares the route with.
	// +optional
	// +kubebuilder:validation:Format=cidr
	// +kubebuilder:validation:MaxLength=18
	CIDR string `json:"cidr,omitempty"`
	// PrefixLength bounds the length of the route's prefix, 0 to 32.
	// +optional
	PrefixLength *BGPFilterPrefixLengthV4 `json:"prefixLength,omitempty"`

	BGPFilterMatch `json:",inline"`
}

// BGPFilterRuleV6 matches IPv6 routes. All criteria that are given must match.
//
// +kubebuilder:validation:XValidation:rule="has(self.cidr) == has(self.matchOperator)",message="cidr and matchOperator need each other"
// +kubebuilder:validation:XValidation:rule="!has(self.prefixLength) || has(self.cidr)",message="prefixLength needs cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.operations) || self.action == 'Accept'",message="operations change routes that are accepted: action must be Accept"
type BGPFilterRuleV6 struct {
	// CIDR that matchOperator compares the route with.
	// +optional
	// +kubebuilder:validation:Format=cidr
	// +kubebuilder:validation:MaxLength=43
	CIDR string `json:"cidr,omitempty"`
	// PrefixLength bounds the length of the route's prefix, 0 to 128.
	// +optional
	PrefixLength *BGPFilterPrefixLengthV6 `json:"prefixLength,omitempty"`

	BGPFilterMatch `json:",inline"`
}

// BGPFilterMatch is what the rules of both families share.
type BGPFilterMatch struct {
	// Source RemotePeers limits the rule to routes that were learned over BGP.
	// +optional
	// +kubebuilder:validation:Enum=RemotePeers
	Source string `json:"source,omitempty"`
	// Interface limits the rule to routes that leave by one interface; "*" stands for any characters.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface,omitempty"`
	// MatchOperator compares the route with cidr: Equal and NotEqual the same prefix, In and NotIn a part of it.
	// +optional
	// +kubebuilder:validation:Enum=Equal;NotEqual;In;NotIn
	MatchOperator string `json:"matchOperator,omitempty"`
	// PeerType limits the rule to peers of another AS (eBGP) or of the node's own (iBGP).
	// +optional
	// +kubebuilder:validation:Enum=eBGP;iBGP
	PeerType string `json:"peerType,omitempty"`
	// Communities limits the rule to routes that carry a community.
	// +optional
	Communities *BGPFilterCommunities `json:"communities,omitempty"`
	// ASPathPrefix limits the rule to routes whose AS path begins with these numbers.
	// +optional
	// +listType=atomic
	ASPathPrefix []ASNumber `json:"asPathPrefix,omitempty"`
	// Priority limits the rule to routes of one kernel metric, 1 to 2147483646.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	Priority *int `json:"priority,omitempty"`
	// Operations change a route that the rule accepts, in this order.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Operations []BGPFilterOperation `json:"operations,omitempty"`
	// Action is what becomes of a matching route.
	// +kubebuilder:validation:Enum=Accept;Reject
	Action string `json:"action"`
}

// BGPFilterPrefixLengthV4 bounds a prefix length; a bound that is absent is the family's own.
type BGPFilterPrefixLengthV4 struct {
	// Min is the shortest length.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32
	Min *int32 `json:"min,omitempty"`
	// Max is the longest length.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32
	Max *int32 `json:"max,omitempty"`
}

// BGPFilterPrefixLengthV6 bounds a prefix length; a bound that is absent is the family's own.
type BGPFilterPrefixLengthV6 struct {
	// Min is the shortest length.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=128
	Min *int32 `json:"min,omitempty"`
	// Max is the longest length.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=128
	Max *int32 `json:"max,omitempty"`
}

// BGPFilterCommunities names communities.
type BGPFilterCommunities struct {
	// Values holds one community, "aa:nn" or "aa:nn:mm".
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:Pattern=`^\d+:\d+(:\d+)?$`
	// +listType=atomic
	Values []string `json:"values"`
}

// BGPFilterOperation is exactly one change.
//
// +kubebuilder:validation:XValidation:rule="(has(self.addCommunity) ? 1 : 0) + (has(self.prependASPath) ? 1 : 0) + (has(self.setPriority) ? 1 : 0) == 1",message="an operation is one of addCommunity, prependASPath, setPriority"
type BGPFilterOperation struct {
	// AddCommunity adds a community.
	// +optional
	AddCommunity *BGPFilterAddCommunity `json:"addCommunity,omitempty"`
	// PrependASPath puts AS numbers in front of the path.
	// +optional
	PrependASPath *BGPFilterPrependASPath `json:"prependASPath,omitempty"`
	// SetPriority sets the kernel metric.
	// +optional
	SetPriority *BGPFilterSetPriority `json:"setPriority,omitempty"`
}

// BGPFilterAddCommunity adds a community.
type BGPFilterAddCommunity struct {
	// Value is "aa:nn" (RFC 1997) or "aa:nn:mm" (RFC 8092).
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^\d+:\d+(:\d+)?$`
	Value string `json:"value"`
}

// BGPFilterPrependASPath puts AS numbers in front of the path.
type BGPFilterPrependASPath struct {
	// Prefix is what the path begins with afterwards.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Prefix []ASNumber `json:"prefix"`
}

// BGPFilterSetPriority sets the kernel metric.
type BGPFilterSetPriority struct {
	// Value of the metric, 1 to 2147483646; LOCAL_PREF is 2147483647 less it.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483646
	Value int `json:"value"`
}
