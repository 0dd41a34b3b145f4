package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Tier is one stage of policy. Packets go through the tiers by order until one allows or denies them.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=tiers
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=".spec.order"
// +kubebuilder:printcolumn:name="DefaultAction",type=string,JSONPath=".spec.defaultAction"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'kube-admin' || (has(self.spec.defaultAction) && self.spec.defaultAction == 'Pass')",message="defaultAction of tier kube-admin must be Pass"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'kube-baseline' || (has(self.spec.defaultAction) && self.spec.defaultAction == 'Pass')",message="defaultAction of tier kube-baseline must be Pass"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'default' || !has(self.spec.defaultAction) || self.spec.defaultAction == 'Deny'",message="defaultAction of tier default must be Deny"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'default' || (has(self.spec.order) && self.spec.order == 1000000.0)",message="order of tier default must be 1000000"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'kube-admin' || (has(self.spec.order) && self.spec.order == 1000.0)",message="order of tier kube-admin must be 1000"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'kube-baseline' || (has(self.spec.order) && self.spec.order == 10000000.0)",message="order of tier kube-baseline must be 10000000"
type Tier struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TierSpec `json:"spec"`
	// Status is what programs report; users leave it alone.
	// +optional
	Status Conditions `json:"status"`
}

// TierList is a list of Tier.
//
// +kubebuilder:object:root=true
type TierList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Tier `json:"items"`
}

// TierSpec places the tier and says how it ends.
//
// +kubebuilder:validation:XValidation:rule="!has(self.defaultAction) || self.defaultAction == 'Deny' || self.defaultAction == 'Pass'",message="defaultAction must be Deny or Pass"
type TierSpec struct {
	// Order sorts the tiers, lowest first; equal ones by name. Absent: after all that have one.
	// +optional
	Order *float64 `json:"order,omitempty"`
	// DefaultAction judges packets of endpoints that a policy of the tier selects, if none of its rules matched: Deny, or
	// Pass to the next tier.
	// +optional
	// +kubebuilder:default=Deny
	DefaultAction *Action `json:"defaultAction,omitempty"`
}
