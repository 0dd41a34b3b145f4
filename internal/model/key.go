package model

import "strings"

// Kind names a kind of stored object.
type Kind string

// The kinds of group projectcalico.org/v3.
const (
	KindTier                          Kind = "Tier"
	KindNetworkPolicy                 Kind = "NetworkPolicy"
	KindGlobalNetworkPolicy           Kind = "GlobalNetworkPolicy"
	KindStagedNetworkPolicy           Kind = "StagedNetworkPolicy"
	KindStagedGlobalNetworkPolicy     Kind = "StagedGlobalNetworkPolicy"
	KindStagedKubernetesNetworkPolicy Kind = "StagedKubernetesNetworkPolicy"
	KindNetworkSet                    Kind = "NetworkSet"
	KindGlobalNetworkSet              Kind = "GlobalNetworkSet"
	KindHostEndpoint                  Kind = "HostEndpoint"
	KindWorkloadEndpoint              Kind = "WorkloadEndpoint"
	KindProfile                       Kind = "Profile"
	KindNode                          Kind = "Node"
	KindIPPool                        Kind = "IPPool"
	KindIPReservation                 Kind = "IPReservation"
	KindIPAMConfiguration             Kind = "IPAMConfiguration" // the resource; etcd IPAM reads KindIPAMConfig
	KindBGPConfiguration              Kind = "BGPConfiguration"
	KindBGPPeer                       Kind = "BGPPeer"
	KindBGPFilter                     Kind = "BGPFilter"
	KindFelixConfiguration            Kind = "FelixConfiguration"
	KindKubeControllersConfiguration  Kind = "KubeControllersConfiguration"
	KindClusterInformation            Kind = "ClusterInformation"
	KindCalicoNodeStatus              Kind = "CalicoNodeStatus"
)

// The kinds that IPAM writes (spec/store-layout.md §1.6). Their names: of a block and of an affinity the CIDR
// ("10.65.1.0/26"; for an affinity Namespace holds its owner, "host:NODE"), of a handle its ID, of the
// configuration "default".
const (
	KindBlock      Kind = "IPAMBlock"
	KindAffinity   Kind = "BlockAffinity"
	KindHandle     Kind = "IPAMHandle"
	KindIPAMConfig Kind = "IPAMConfig"
)

// The core Kubernetes kinds that Tortie reads.
const (
	KindNamespace               Kind = "Namespace"
	KindServiceAccount          Kind = "ServiceAccount"
	KindPod                     Kind = "Pod"
	KindService                 Kind = "Service"
	KindEndpointSlice           Kind = "EndpointSlice"
	KindKubernetesNetworkPolicy Kind = "KubernetesNetworkPolicy"
	KindClusterNetworkPolicy    Kind = "ClusterNetworkPolicy"
)

// Key names one stored object. Namespace is empty for kinds of cluster scope.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// String is "Kind/namespace/name" or "Kind/name".
func (k Key) String() string {
	if k.Namespace == "" {
		return string(k.Kind) + "/" + k.Name
	}
	return string(k.Kind) + "/" + k.Namespace + "/" + k.Name
}

// Compare orders keys by kind, namespace, name.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(string(k.Kind), string(o.Kind)); c != 0 {
		return c
	}
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Update says what an object is now: a value of one of this package's types (a pointer), or nil when it does not
// exist. Updates are state, not events: they may be repeated, coalesced and, between keys, reordered.
//
// Value by kind: Tier *Tier; all policy kinds *Policy; NetworkSet, GlobalNetworkSet *NetworkSet; HostEndpoint
// *HostEndpoint; WorkloadEndpoint, Pod *WorkloadEndpoint; Profile, ServiceAccount *Profile; Namespace *Namespace;
// Node *Node; IPPool *IPPool; IPReservation *IPReservation; IPAMConfig, IPAMConfiguration *IPAMConfig; IPAMBlock
// *Block; BlockAffinity *Affinity; BGPConfiguration *BGPConfiguration; BGPPeer *BGPPeer; BGPFilter *BGPFilter;
// FelixConfiguration *FelixConfiguration; ClusterInformation *ClusterInformation; Service *Service; EndpointSlice
// *EndpointSlice.
type Update struct {
	Key   Key
	Value any
}
