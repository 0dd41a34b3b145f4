package v3

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StagedAction is what enforcing a staged policy would do.
//
// +kubebuilder:validation:Enum=Set;Delete;Learn;Ignore
type StagedAction string

// Set would create or replace the enforced policy of the same name, Delete would remove it; Learn and Ignore belong to
// tools that propose policies and have no effect.
const (
	StagedSet    StagedAction = "Set"
	StagedDelete StagedAction = "Delete"
	StagedLearn  StagedAction = "Learn"
	StagedIgnore StagedAction = "Ignore"
)

// StagedNetworkPolicy is a NetworkPolicy that is judged and reported, and enforces nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=stagednetworkpolicies,shortName={scnp,snp}
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=".spec.order"
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=".spec.stagedAction"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type StagedNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedNetworkPolicySpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// StagedNetworkPolicyList is a list of StagedNetworkPolicy.
//
// +kubebuilder:object:root=true
type StagedNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StagedNetworkPolicy `json:"items"`
}

// StagedNetworkPolicySpec is the spec of the policy that would be enforced, and what would be done with it.
type StagedNetworkPolicySpec struct {
	// StagedAction is what enforcing would do.
	// +optional
	// +kubebuilder:default=Set
	StagedAction StagedAction `json:"stagedAction,omitempty"`

	NetworkPolicySpec `json:",inline"`
}

// StagedGlobalNetworkPolicy is a GlobalNetworkPolicy that is judged and reported, and enforces nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=stagedglobalnetworkpolicies,shortName={sgnp}
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=".spec.order"
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=".spec.stagedAction"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type StagedGlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedGlobalNetworkPolicySpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// StagedGlobalNetworkPolicyList is a list of StagedGlobalNetworkPolicy.
//
// +kubebuilder:object:root=true
type StagedGlobalNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StagedGlobalNetworkPolicy `json:"items"`
}

// StagedGlobalNetworkPolicySpec is the spec of the policy that would be enforced, and what would be done with it.
type StagedGlobalNetworkPolicySpec struct {
	// StagedAction is what enforcing would do.
	// +optional
	// +kubebuilder:default=Set
	StagedAction StagedAction `json:"stagedAction,omitempty"`

	GlobalNetworkPolicySpec `json:",inline"`
}

// StagedKubernetesNetworkPolicy is a Kubernetes NetworkPolicy that is judged and reported, and enforces nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=stagedkubernetesnetworkpolicies,shortName={sknp}
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=".spec.stagedAction"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type StagedKubernetesNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedKubernetesNetworkPolicySpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// StagedKubernetesNetworkPolicyList is a list of StagedKubernetesNetworkPolicy.
//
// +kubebuilder:object:root=true
type StagedKubernetesNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StagedKubernetesNetworkPolicy `json:"items"`
}

// StagedKubernetesNetworkPolicySpec is the spec of the Kubernetes policy that would be enforced.
type StagedKubernetesNetworkPolicySpec struct {
	// StagedAction is what enforcing would do.
	// +optional
	// +kubebuilder:default=Set
	StagedAction StagedAction `json:"stagedAction,omitempty"`
	// PodSelector picks the pods of the namespace. Empty: all of them.
	// +optional
	PodSelector metav1.LabelSelector `json:"podSelector,omitzero"`
	// Ingress rules of which one must match for a packet to reach the pods.
	// +optional
	// +listType=atomic
	Ingress []networkingv1.NetworkPolicyIngressRule `json:"ingress,omitempty"`
	// Egress rules of which one must match for a packet to leave the pods.
	// +optional
	// +listType=atomic
	Egress []networkingv1.NetworkPolicyEgressRule `json:"egress,omitempty"`
	// PolicyTypes are the directions that the policy isolates. Absent: Ingress, and Egress if there are egress rules.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=atomic
	PolicyTypes []networkingv1.PolicyType `json:"policyTypes,omitempty"`
}
