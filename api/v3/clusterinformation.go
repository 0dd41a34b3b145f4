package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterInformation describes the cluster. The only object is "default"; programs write it, users read it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=clusterinformations,shortName={clusterinfo,clusterinfos}
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="GUID",type=string,JSONPath=".spec.clusterGUID"
// +kubebuilder:printcolumn:name="Ready",type=boolean,JSONPath=".spec.datastoreReady"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type ClusterInformation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ClusterInformationSpec `json:"spec"`
}

// ClusterInformationList is a list of ClusterInformation.
//
// +kubebuilder:object:root=true
type ClusterInformationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterInformation `json:"items"`
}

// ClusterInformationSpec holds facts that every node must agree on.
type ClusterInformationSpec struct {
	// ClusterGUID names the cluster among all: 32 hexadecimal digits, made once by the first writer.
	// +optional
	ClusterGUID string `json:"clusterGUID,omitempty"`
	// ClusterType is a comma-separated list of what the cluster is made of, such as "k8s,bgp,kdd"; writers add to it.
	// +optional
	ClusterType string `json:"clusterType,omitempty"`
	// CalicoVersion is the version that the cluster's tools are compared with.
	// +optional
	CalicoVersion string `json:"calicoVersion,omitempty"`
	// DatastoreReady is false while a migration wants agents to keep what they have and CNI calls to fail. It must be
	// present for CNI plugins to work.
	// +optional
	DatastoreReady *bool `json:"datastoreReady,omitempty"`
	// Variant is the edition of the software that runs.
	// +optional
	Variant string `json:"variant,omitempty"`
}
