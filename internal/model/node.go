package model

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/selector"
)

// Node is a host of the cluster.
type Node struct {
	Name   string
	UID    string
	Labels map[string]string

	IPv4, IPv6     netip.Prefix // address and subnet (spec.bgp); zero: none
	ASNumber       uint32       // 0: the global one
	RRClusterID    string       // set: a route reflector, out of the mesh
	NoBGP          bool         // spec.bgp absent
	IPIPTunnel     netip.Addr
	VXLANTunnel4   netip.Addr
	VXLANTunnel6   netip.Addr
	VXLANMAC4      string
	VXLANMAC6      string
	WireguardKey4  string
	WireguardKey6  string
	WireguardAddr4 netip.Addr
	WireguardAddr6 netip.Addr
	PodCIDRs       []netip.Prefix
	Addresses      []netip.Addr // every address of the node that the object states
}

// ClusterRoutes says which cluster routes one owner programs (programClusterRoutes).
type ClusterRoutes uint8

// The values; ClusterRoutesUnset takes the owner's default (spec/features.md §1.5).
const (
	ClusterRoutesUnset ClusterRoutes = iota
	ClusterRoutesDisabled
	ClusterRoutesEnabled
	ClusterRoutesIPIPOnly
	ClusterRoutesNoEncapOnly
)

// BGPConfiguration is "default" or "node.<name>". Pointers are nil where the object leaves a field out.
type BGPConfiguration struct {
	Name                 string
	ASNumber             uint32 // 0: unset
	NodeToNodeMesh       *bool  // unset: true
	ListenPort           uint16 // 0: 179
	BindNodeIP           bool
	ClusterRoutes        ClusterRoutes
	NormalRoutePriority4 int // 0: 1024
	NormalRoutePriority6 int
	MeshMaxRestartTime   string // Go duration text as found; empty: 120s
	MeshPassword         SecretRef
	ServiceClusterIPs    []netip.Prefix
	ServiceExternalIPs   []netip.Prefix
	ServiceLBIPs         []netip.Prefix
	Communities          map[string]string
	PrefixCommunities    map[netip.Prefix][]string
	IgnoredInterfaces    []string
}

// SecretRef names a key of a Secret; the value itself never leaves the agent.
type SecretRef struct{ Name, Key string }

// BGPPeer is a peering of some nodes with an address or with other nodes.
type BGPPeer struct {
	Name         string
	Node         string
	NodeSelector *selector.Selector
	PeerIP       netip.Addr
	PeerPort     uint16
	PeerAS       uint32
	PeerSelector *selector.Selector
	Password     SecretRef
	Filters      []string
	KeepNextHop  bool
	LocalAS      uint32
	MaxRestart   string // Go duration text as found
}

// BGPFilter is kept by name until filters are enforced.
type BGPFilter struct{ Name string }

// FelixConfiguration is the settings of one source: "default" or "node.<name>". Values maps the parameter's
// YAML name (spec/felix-parameters.md) to its text.
type FelixConfiguration struct {
	Name   string
	Values map[string]string
}

// ClusterInformation identifies the cluster.
type ClusterInformation struct {
	GUID  string
	Ready bool // datastoreReady
}
