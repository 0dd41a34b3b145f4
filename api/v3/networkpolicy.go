package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkPolicy holds rules for the workloads of its namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=networkpolicies,shortName={cnp,caliconetworkpolicy}
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=".spec.order"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type NetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec NetworkPolicySpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// NetworkPolicyList is a list of NetworkPolicy.
//
// +kubebuilder:object:root=true
type NetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NetworkPolicy `json:"items"`
}

// NetworkPolicySpec says which workloads of the namespace are isolated, and what may still pass.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.selector) || !self.selector.contains('global(')) && (!has(self.serviceAccountSelector) || !self.serviceAccountSelector.contains('global('))",message="global() is understood in the namespaceSelector of a rule only"
type NetworkPolicySpec struct {
	// Tier holds the policy. The tier must exist.
	// +optional
	// +kubebuilder:default=default
	Tier string `json:"tier,omitempty"`
	// Order sorts the policies of a tier, lowest first; equal ones by name. Absent: after all that have one.
	// +optional
	Order *float64 `json:"order,omitempty"`
	// Ingress rules judge packets to the workload, the first match decides.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +listType=atomic
	Ingress []Rule `json:"ingress,omitempty"`
	// Egress rules judge packets from the workload, the first match decides.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +listType=atomic
	Egress []Rule `json:"egress,omitempty"`
	// Selector picks the workloads by label. Absent: all of the namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`
	// Types are the directions that the policy isolates. Absent: Ingress, unless there are egress rules only; Egress
	// too if there are egress rules.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	Types []PolicyType `json:"types,omitempty"`
	// ServiceAccountSelector narrows the workloads to pods whose service account has matching labels.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ServiceAccountSelector string `json:"serviceAccountSelector,omitempty"`
	// PerformanceHints change how the policy is laid out, never what it decides.
	// +optional
	// +listType=set
	PerformanceHints []PolicyPerformanceHint `json:"performanceHints,omitempty"`
}

// GlobalNetworkPolicy holds rules for workloads of all namespaces and for host endpoints.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=globalnetworkpolicies,shortName={gnp,cgnp}
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=".spec.tier"
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=".spec.order"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type GlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GlobalNetworkPolicySpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status *Conditions `json:"status,omitempty"`
}

// GlobalNetworkPolicyList is a list of GlobalNetworkPolicy.
//
// +kubebuilder:object:root=true
type GlobalNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GlobalNetworkPolicy `json:"items"`
}

// GlobalNetworkPolicySpec says which endpoints are isolated, and what may still pass.
//
// +kubebuilder:validation:XValidation:rule="!((has(self.doNotTrack) && self.doNotTrack) && (has(self.preDNAT) && self.preDNAT))",message="doNotTrack and preDNAT exclude each other"
// +kubebuilder:validation:XValidation:rule="!(has(self.preDNAT) && self.preDNAT) || !has(self.egress) || size(self.egress) == 0",message="a preDNAT policy judges arriving packets: egress must be empty"
// +kubebuilder:validation:XValidation:rule="!(has(self.preDNAT) && self.preDNAT) || !has(self.types) || !('Egress' in self.types)",message="a preDNAT policy judges arriving packets: types must not hold Egress"
// +kubebuilder:validation:XValidation:rule="!((has(self.preDNAT) && self.preDNAT) || (has(self.doNotTrack) && self.doNotTrack)) || (has(self.applyOnForward) && self.applyOnForward)",message="preDNAT and doNotTrack see forwarded packets too: applyOnForward must be true"
// +kubebuilder:validation:XValidation:rule="(!has(self.selector) || !self.selector.contains('global(')) && (!has(self.namespaceSelector) || !self.namespaceSelector.contains('global(')) && (!has(self.serviceAccountSelector) || !self.serviceAccountSelector.contains('global('))",message="global() is understood in the namespaceSelector of a rule only"
type GlobalNetworkPolicySpec struct {
	// Tier holds the policy. The tier must exist.
	// +optional
	// +kubebuilder:default=default
	Tier string `json:"tier,omitempty"`
	// Order sorts the policies of a tier, lowest first; equal ones by name. Absent: after all that have one.
	// +optional
	Order *float64 `json:"order,omitempty"`
	// Ingress rules judge packets to the endpoint, the first match decides.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +listType=atomic
	Ingress []Rule `json:"ingress,omitempty"`
	// Egress rules judge packets from the endpoint, the first match decides.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +listType=atomic
	Egress []Rule `json:"egress,omitempty"`
	// Selector picks the endpoints by label. Absent: all.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`
	// Types are the directions that the policy isolates. Absent: Ingress, unless there are egress rules only; Egress
	// too if there are egress rules.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	Types []PolicyType `json:"types,omitempty"`
	// DoNotTrack makes the policy judge packets of host endpoints before connection tracking; what it allows stays
	// untracked, so answers need rules of their own.
	// +optional
	DoNotTrack bool `json:"doNotTrack,omitempty"`
	// PreDNAT makes the policy judge packets that arrive at host endpoints before destination translation.
	// +optional
	PreDNAT bool `json:"preDNAT,omitempty"`
	// ApplyOnForward makes the policy judge packets that a host endpoint only forwards.
	// +optional
	ApplyOnForward bool `json:"applyOnForward,omitempty"`
	// ServiceAccountSelector narrows the endpoints to pods whose service account has matching labels.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ServiceAccountSelector string `json:"serviceAccountSelector,omitempty"`
	// NamespaceSelector narrows the endpoints to workloads whose namespace has matching labels.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NamespaceSelector string `json:"namespaceSelector,omitempty"`
	// PerformanceHints change how the policy is laid out, never what it decides.
	// +optional
	// +listType=set
	PerformanceHints []PolicyPerformanceHint `json:"performanceHints,omitempty"`
}
