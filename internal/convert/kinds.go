package convert

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	v3 "github.com/tortie-net/tortie/api/v3"
	"github.com/tortie-net/tortie/internal/model"
)

// The API groups of the kinds.
const (
	apiVersionCalico     = "projectcalico.org/v3"
	apiVersionCore       = "v1"
	apiVersionDiscovery  = "discovery.k8s.io/v1"
	apiVersionNetworking = "networking.k8s.io/v1"
)

// KindInfo is what is known of a kind.
type KindInfo struct {
	Kind       model.Kind
	APIVersion string
	Plural     string   // the lower-case plural, as in the store's keys
	Singular   string   // lower case
	Short      []string // other names that users of calicoctl and kubectl give it
	Namespaced bool
	Stored     bool       // has objects of its own in the store
	New        func() any // a pointer to an empty object
}

// kindOf makes a row of the table.
func kindOf[T any](kind model.Kind, apiVersion, plural string, namespaced bool, short ...string) KindInfo {
	return KindInfo{
		Kind: kind, APIVersion: apiVersion, Plural: plural, Singular: strings.ToLower(string(kind)), Short: short,
		Namespaced: namespaced, Stored: true, New: func() any { return new(T) },
	}
}

// Kinds is every kind of object, those of projectcalico.org/v3 first. The caller may change the slice.
func Kinds() []KindInfo {
	const calico = apiVersionCalico
	kinds := []KindInfo{
		kindOf[v3.Tier](model.KindTier, calico, "tiers", false),
		kindOf[v3.NetworkPolicy](model.KindNetworkPolicy, calico, "networkpolicies", true,
			"np", "policy", "policies", "cnp", "caliconetworkpolicy", "caliconetworkpolicies", "networkpolicies.projectcalico.org"),
		kindOf[v3.GlobalNetworkPolicy](model.KindGlobalNetworkPolicy, calico, "globalnetworkpolicies", false, "gnp", "cgnp"),
		kindOf[v3.StagedNetworkPolicy](model.KindStagedNetworkPolicy, calico, "stagednetworkpolicies", true, "snp", "scnp"),
		kindOf[v3.StagedGlobalNetworkPolicy](model.KindStagedGlobalNetworkPolicy, calico, "stagedglobalnetworkpolicies", false, "sgnp"),
		kindOf[v3.StagedKubernetesNetworkPolicy](model.KindStagedKubernetesNetworkPolicy, calico, "stagedkubernetesnetworkpolicies", true, "sknp"),
		kindOf[v3.NetworkSet](model.KindNetworkSet, calico, "networksets", true, "netset", "netsets"),
		kindOf[v3.GlobalNetworkSet](model.KindGlobalNetworkSet, calico, "globalnetworksets", false, "gns"),
		kindOf[v3.HostEndpoint](model.KindHostEndpoint, calico, "hostendpoints", false, "hep", "heps"),
		kindOf[v3.WorkloadEndpoint](model.KindWorkloadEndpoint, calico, "workloadendpoints", true, "wep", "weps"),
		kindOf[v3.Profile](model.KindProfile, calico, "profiles", false, "pro", "pros"),
		kindOf[v3.Node](model.KindNode, calico, "nodes", false, "no"),
		kindOf[v3.IPPool](model.KindIPPool, calico, "ippools", false, "ipp", "ipps", "pool", "pools"),
		kindOf[v3.IPReservation](model.KindIPReservation, calico, "ipreservations", false, "reservation", "reservations"),
		kindOf[v3.IPAMConfiguration](model.KindIPAMConfiguration, calico, "ipamconfigurations", false, "ipamconfig", "ipamconfigs"),
		kindOf[v3.BGPConfiguration](model.KindBGPConfiguration, calico, "bgpconfigurations", false, "bgpconfig", "bgpconfigs"),
		kindOf[v3.BGPPeer](model.KindBGPPeer, calico, "bgppeers", false, "bgpp", "bgpps"),
		kindOf[v3.BGPFilter](model.KindBGPFilter, calico, "bgpfilters", false),
		kindOf[v3.FelixConfiguration](model.KindFelixConfiguration, calico, "felixconfigurations", false, "felixconfig", "felixconfigs"),
		kindOf[v3.KubeControllersConfiguration](model.KindKubeControllersConfiguration, calico, "kubecontrollersconfigurations", false,
			"kcc", "kccs", "kubecontrollersconfig", "kubecontrollersconfigs"),
		kindOf[v3.ClusterInformation](model.KindClusterInformation, calico, "clusterinformations", false, "clusterinfo", "clusterinfos"),
		kindOf[v3.CalicoNodeStatus](model.KindCalicoNodeStatus, calico, "caliconodestatuses", false, "caliconodestats"),

		kindOf[corev1.Namespace](model.KindNamespace, apiVersionCore, "namespaces", false, "ns"),
		kindOf[corev1.ServiceAccount](model.KindServiceAccount, apiVersionCore, "serviceaccounts", true, "sa"),
		kindOf[corev1.Pod](model.KindPod, apiVersionCore, "pods", true, "po"),
		kindOf[corev1.Service](model.KindService, apiVersionCore, "services", true, "svc"),
		kindOf[discoveryv1.EndpointSlice](model.KindEndpointSlice, apiVersionDiscovery, "endpointslices", true),
		kindOf[networkingv1.NetworkPolicy](model.KindKubernetesNetworkPolicy, apiVersionNetworking, "kubernetesnetworkpolicies", true,
			"knp", "networkpolicies.networking.k8s.io", "networkpolicy.networking.k8s.io"),
	}
	return kinds
}

// registry is the table, indexed; it is never changed.
var registry = func() (r struct {
	byName map[string]KindInfo
	byKind map[model.Kind]KindInfo
	byGVK  map[[2]string]KindInfo
}) {
	r.byName, r.byKind, r.byGVK = map[string]KindInfo{}, map[model.Kind]KindInfo{}, map[[2]string]KindInfo{}
	for _, info := range Kinds() {
		r.byKind[info.Kind] = info
		r.byGVK[[2]string{info.APIVersion, info.wireKind()}] = info
		for _, name := range append([]string{info.Plural, info.Singular}, info.Short...) {
			r.byName[name] = info
		}
	}
	return r
}()

// wireKind is the kind as it stands in the object's JSON.
func (k KindInfo) wireKind() string {
	if k.Kind == model.KindKubernetesNetworkPolicy {
		return "NetworkPolicy"
	}
	return string(k.Kind)
}

// Lookup finds a kind by any of its names: kind, plural, singular, short name; case does not matter.
func Lookup(name string) (KindInfo, bool) {
	info, ok := registry.byName[strings.ToLower(name)]
	return info, ok
}

// ByGVK finds a kind by what stands in a manifest.
func ByGVK(apiVersion, kind string) (KindInfo, bool) {
	info, ok := registry.byGVK[[2]string{apiVersion, kind}]
	return info, ok
}
