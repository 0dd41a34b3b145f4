package v3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:crdVersions=v1,allowDangerousTypes=true paths=. output:crd:dir=crds
//go:generate go run ../../internal/gen/nullable crds/projectcalico.org_ipamblocks.yaml allocations

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "projectcalico.org", Version: "v3"}

// AddToScheme registers every kind and its list with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	for _, k := range kinds() {
		s.AddKnownTypes(GroupVersion, k.Object, k.List)
	}
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Registration names one kind of the group. Object and List are fresh, empty and carry no TypeMeta.
//
// +kubebuilder:object:generate=false
type Registration struct {
	Kind       string
	Plural     string // the resource name, as in /calico/resources/v3/projectcalico.org/<Plural>/
	Namespaced bool
	CRD        bool // false: stored by etcd clusters only, computed from core objects with Kubernetes
	Object     runtime.Object
	List       runtime.Object
}

// Kinds returns every kind of the group, ordered by name, with new empty objects on each call.
func Kinds() []Registration { return kinds() }

func kinds() []Registration {
	const (
		cluster, namespaced = false, true
		noCRD, crd          = false, true
	)
	return []Registration{
		{"BGPConfiguration", "bgpconfigurations", cluster, crd, &BGPConfiguration{}, &BGPConfigurationList{}},
		{"BGPFilter", "bgpfilters", cluster, crd, &BGPFilter{}, &BGPFilterList{}},
		{"BGPPeer", "bgppeers", cluster, crd, &BGPPeer{}, &BGPPeerList{}},
		{"BlockAffinity", "blockaffinities", cluster, crd, &BlockAffinity{}, &BlockAffinityList{}},
		{"CalicoNodeStatus", "caliconodestatuses", cluster, crd, &CalicoNodeStatus{}, &CalicoNodeStatusList{}},
		{"ClusterInformation", "clusterinformations", cluster, crd, &ClusterInformation{}, &ClusterInformationList{}},
		{"FelixConfiguration", "felixconfigurations", cluster, crd, &FelixConfiguration{}, &FelixConfigurationList{}},
		{"GlobalNetworkPolicy", "globalnetworkpolicies", cluster, crd, &GlobalNetworkPolicy{}, &GlobalNetworkPolicyList{}},
		{"GlobalNetworkSet", "globalnetworksets", cluster, crd, &GlobalNetworkSet{}, &GlobalNetworkSetList{}},
		{"HostEndpoint", "hostendpoints", cluster, crd, &HostEndpoint{}, &HostEndpointList{}},
		{"IPAMBlock", "ipamblocks", cluster, crd, &IPAMBlock{}, &IPAMBlockList{}},
		{"IPAMConfiguration", "ipamconfigurations", cluster, crd, &IPAMConfiguration{}, &IPAMConfigurationList{}},
		{"IPAMHandle", "ipamhandles", cluster, crd, &IPAMHandle{}, &IPAMHandleList{}},
		{"IPPool", "ippools", cluster, crd, &IPPool{}, &IPPoolList{}},
		{"IPReservation", "ipreservations", cluster, crd, &IPReservation{}, &IPReservationList{}},
		{"KubeControllersConfiguration", "kubecontrollersconfigurations", cluster, crd, &KubeControllersConfiguration{}, &KubeControllersConfigurationList{}},
		{"NetworkPolicy", "networkpolicies", namespaced, crd, &NetworkPolicy{}, &NetworkPolicyList{}},
		{"NetworkSet", "networksets", namespaced, crd, &NetworkSet{}, &NetworkSetList{}},
		{"Node", "nodes", cluster, noCRD, &Node{}, &NodeList{}},
		{"Profile", "profiles", cluster, noCRD, &Profile{}, &ProfileList{}},
		{"StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", cluster, crd, &StagedGlobalNetworkPolicy{}, &StagedGlobalNetworkPolicyList{}},
		{"StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", namespaced, crd, &StagedKubernetesNetworkPolicy{}, &StagedKubernetesNetworkPolicyList{}},
		{"StagedNetworkPolicy", "stagednetworkpolicies", namespaced, crd, &StagedNetworkPolicy{}, &StagedNetworkPolicyList{}},
		{"Tier", "tiers", cluster, crd, &Tier{}, &TierList{}},
		{"WorkloadEndpoint", "workloadendpoints", namespaced, noCRD, &WorkloadEndpoint{}, &WorkloadEndpointList{}},
	}
}
