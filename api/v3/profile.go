package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Profile holds rules and labels for the endpoints that name it. Its rules are reached when no policy selects the
// endpoint. Stored by etcd clusters; with Kubernetes profiles come from namespaces and service accounts.
//
// +kubebuilder:object:root=true
type Profile struct {
	metav1.TypeMeta `json:",inline"`
	ObjectMeta      `json:"metadata,omitempty"`

	Spec ProfileSpec `json:"spec"`
}

// ProfileList is a list of Profile.
//
// +kubebuilder:object:root=true
type ProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Profile `json:"items"`
}

// ProfileSpec is what an endpoint gets from a profile.
type ProfileSpec struct {
	// Ingress rules judge packets to the endpoint, the first match decides.
	Ingress []Rule `json:"ingress,omitempty"`
	// Egress rules judge packets from the endpoint, the first match decides.
	Egress []Rule `json:"egress,omitempty"`
	// LabelsToApply are added to the endpoint's labels where it has no label of the same key.
	LabelsToApply map[string]string `json:"labelsToApply,omitempty"`
}
