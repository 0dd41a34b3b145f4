package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkSet gives labels to networks, so that selectors of its namespace find them.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=networksets
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type NetworkSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec NetworkSetSpec `json:"spec"`
}

// NetworkSetList is a list of NetworkSet.
//
// +kubebuilder:object:root=true
type NetworkSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NetworkSet `json:"items"`
}

// NetworkSetSpec holds the networks.
type NetworkSetSpec struct {
	// Nets are networks in CIDR form or plain addresses, of both families.
	// +optional
	// +listType=set
	Nets []string `json:"nets,omitempty"`
}

// GlobalNetworkSet gives labels to networks, so that selectors of global policies find them, and those of namespaced
// policies with namespaceSelector global().
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=globalnetworksets,shortName={gns}
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type GlobalNetworkSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GlobalNetworkSetSpec `json:"spec"`
}

// GlobalNetworkSetList is a list of GlobalNetworkSet.
//
// +kubebuilder:object:root=true
type GlobalNetworkSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GlobalNetworkSet `json:"items"`
}

// GlobalNetworkSetSpec holds the networks.
type GlobalNetworkSetSpec struct {
	// Nets are networks in CIDR form or plain addresses, of both families.
	// +optional
	// +listType=set
	Nets []string `json:"nets,omitempty"`
}
