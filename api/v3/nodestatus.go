package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CalicoNodeStatus asks a node to report on itself, and holds the report.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=caliconodestatuses
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=".spec.node"
// +kubebuilder:printcolumn:name="Updated",type=date,JSONPath=".status.lastUpdated"
type CalicoNodeStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CalicoNodeStatusSpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status CalicoNodeStatusStatus `json:"status"`
}

// CalicoNodeStatusList is a list of CalicoNodeStatus.
//
// +kubebuilder:object:root=true
type CalicoNodeStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CalicoNodeStatus `json:"items"`
}

// NodeStatusClass is a part of the report.
//
// +kubebuilder:validation:Enum=Agent;BGP;Routes
type NodeStatusClass string

// The parts of the report.
const (
	NodeStatusAgent  NodeStatusClass = "Agent"
	NodeStatusBGP    NodeStatusClass = "BGP"
	NodeStatusRoutes NodeStatusClass = "Routes"
)

// CalicoNodeStatusSpec says who reports what, and how often.
type CalicoNodeStatusSpec struct {
	// Node that reports.
	// +optional
	Node string `json:"node,omitempty"`
	// Classes are the parts wanted.
	// +optional
	// +listType=set
	Classes []NodeStatusClass `json:"classes,omitempty"`
	// UpdatePeriodSeconds between reports, 0 to 86400; 0 stops them.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	UpdatePeriodSeconds *int32 `json:"updatePeriodSeconds,omitempty"`
}

// CalicoNodeStatusStatus is the report. Every part is present, empty if it was not asked for.
type CalicoNodeStatusStatus struct {
	// LastUpdated is when the report was written; null before the first.
	// +optional
	// +nullable
	LastUpdated *metav1.Time `json:"lastUpdated"`
	// Agent is the state of the BGP speaker.
	// +optional
	Agent CalicoNodeAgentStatus `json:"agent"`
	// BGP is the state of the sessions.
	// +optional
	BGP CalicoNodeBGPStatus `json:"bgp"`
	// Routes are those that the speaker knows.
	// +optional
	Routes CalicoNodeBGPRouteStatus `json:"routes"`
}

// CalicoNodeAgentStatus is the state of the BGP speaker for each family.
type CalicoNodeAgentStatus struct {
	// BIRDV4 is the speaker's IPv4 side.
	// +optional
	BIRDV4 BGPDaemonStatus `json:"birdV4"`
	// BIRDV6 is the speaker's IPv6 side.
	// +optional
	BIRDV6 BGPDaemonStatus `json:"birdV6"`
}

// BGPDaemonStatus is the state of a BGP speaker.
type BGPDaemonStatus struct {
	// State is Ready or NotReady.
	// +optional
	State string `json:"state,omitempty"`
	// Version of the speaker.
	// +optional
	Version string `json:"version,omitempty"`
	// RouterID in IPv4 form.
	// +optional
	RouterID string `json:"routerID,omitempty"`
	// LastBootTime is when the speaker started.
	// +optional
	LastBootTime string `json:"lastBootTime,omitempty"`
	// LastReconfigurationTime is when its configuration last changed.
	// +optional
	LastReconfigurationTime string `json:"lastReconfigurationTime,omitempty"`
}

// CalicoNodeBGPStatus is the state of a node's BGP sessions.
type CalicoNodeBGPStatus struct {
	// NumberEstablishedV4 counts IPv4 sessions in state Established.
	NumberEstablishedV4 int `json:"numberEstablishedV4"`
	// NumberNotEstablishedV4 counts IPv4 sessions in other states.
	NumberNotEstablishedV4 int `json:"numberNotEstablishedV4"`
	// NumberEstablishedV6 counts IPv6 sessions in state Established.
	NumberEstablishedV6 int `json:"numberEstablishedV6"`
	// NumberNotEstablishedV6 counts IPv6 sessions in other states.
	NumberNotEstablishedV6 int `json:"numberNotEstablishedV6"`
	// PeersV4 are the IPv4 sessions.
	// +optional
	// +listType=atomic
	PeersV4 []CalicoNodePeer `json:"peersV4,omitempty"`
	// PeersV6 are the IPv6 sessions.
	// +optional
	// +listType=atomic
	PeersV6 []CalicoNodePeer `json:"peersV6,omitempty"`
}

// CalicoNodePeer is one session.
type CalicoNodePeer struct {
	// PeerIP is the peer's address.
	// +optional
	PeerIP string `json:"peerIP,omitempty"`
	// Type is NodeMesh, NodePeer or GlobalPeer.
	// +optional
	Type string `json:"type,omitempty"`
	// State of the session (RFC 4271 §8.2.2), or Close.
	// +optional
	State string `json:"state,omitempty"`
	// Since is when the state was entered.
	// +optional
	Since string `json:"since,omitempty"`
}

// CalicoNodeBGPRouteStatus are a node's routes.
type CalicoNodeBGPRouteStatus struct {
	// RoutesV4 are the IPv4 routes.
	// +optional
	// +listType=atomic
	RoutesV4 []CalicoNodeRoute `json:"routesV4,omitempty"`
	// RoutesV6 are the IPv6 routes.
	// +optional
	// +listType=atomic
	RoutesV6 []CalicoNodeRoute `json:"routesV6,omitempty"`
}

// CalicoNodeRoute is one route.
type CalicoNodeRoute struct {
	// Type is FIB if the kernel forwards by the route, else RIB.
	// +optional
	Type string `json:"type,omitempty"`
	// Destination prefix.
	// +optional
	Destination string `json:"destination,omitempty"`
	// Gateway towards the destination.
	// +optional
	Gateway string `json:"gateway,omitempty"`
	// Interface towards the destination.
	// +optional
	Interface string `json:"interface,omitempty"`
	// LearnedFrom is where the route comes from.
	// +optional
	LearnedFrom CalicoNodeRouteLearnedFrom `json:"learnedFrom"`
}

// CalicoNodeRouteLearnedFrom is where a route comes from.
type CalicoNodeRouteLearnedFrom struct {
	// SourceType is Kernel, Static, Direct, NodeMesh or BGPPeer.
	// +optional
	SourceType string `json:"sourceType,omitempty"`
	// PeerIP is the peer that sent the route.
	// +optional
	PeerIP string `json:"peerIP,omitempty"`
}
