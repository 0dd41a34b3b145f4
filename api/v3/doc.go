// Package v3 holds the types of API group projectcalico.org/v3, as Tortie serves, stores and reads them.
//
// The JSON forms are those that Calico's users know; types and words are Tortie's own. CRDs and deep copies are generated
// beside them (make gen).
//
// +kubebuilder:object:generate=true
// +groupName=projectcalico.org
package v3
