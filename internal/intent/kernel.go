package intent

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/model"
)

// Host is the node-wide part of what the planes must make: Config, and what local facts add. There is one, ID "".
type Host struct {
	Config
	NodeName string
}

// Ref implements Object.
func (o *Host) Ref() Ref { return Ref{KindHost, ""} }

// The sets that localize makes beside those of calc. Their members are prefixes of both families.
const (
	SetMasqueradePools SetID = "masq-pools" // pools with natOutgoing (R102)
	SetAllPools        SetID = "all-pools"  // every pool that is not for load balancers only, disabled ones too
	SetHosts           SetID = "all-hosts"  // the addresses of the cluster's nodes
)

// LocalEndpoint is a workload of this node that is joined to an interface: its dispatch entry, and its addresses for
// the checks of source addresses. ID is the WorkloadID's text.
type LocalEndpoint struct {
	ID             string
	Workload       model.WorkloadID
	Interface      string
	MAC            string
	Addresses      []netip.Addr
	Tiers          []Tier
	Profiles       []string
	SourcePrefixes []netip.Prefix
}

// Ref implements Object.
func (o *LocalEndpoint) Ref() Ref { return Ref{KindLocalEndpoint, o.ID} }

// RouteType is what a route does.
type RouteType uint8

// The types.
const (
	RouteUnicast RouteType = iota + 1
	RouteBlackhole
)

// RouteOwner says which of Tortie's reasons a route has; a plane may map it to a protocol number.
type RouteOwner uint8

// The reasons.
const (
	RouteWorkload RouteOwner = iota + 1 // to a local workload's interface
	RouteBlock                          // blackhole of an own block (R142)
	RouteCluster                        // another node's block or borrowed address, from the store
	RouteBGP                            // learned by BGP
)

// Route is one kernel route in the main table. ID is "prefix" or "prefix metric".
type Route struct {
	ID        string
	Prefix    netip.Prefix
	Type      RouteType
	Owner     RouteOwner
	Device    string       // unicast: the interface, or empty where the next hop tells it
	NextHops  []netip.Addr // none: link scope on Device; several: ECMP
	OnLink    bool
	Metric    int
	Neighbour string // MAC: with Device and one workload address, a permanent neighbour entry beside the route
	MTU       int
}

// Ref implements Object.
func (o *Route) Ref() Ref { return Ref{KindRoute, o.ID} }

// Sysctl is a kernel setting below /proc/sys. ID is its path, as "net/ipv4/ip_forward". Optional: the path need not
// exist (IPv6 off).
type Sysctl struct {
	Path     string
	Value    string
	Optional bool
}

// Ref implements Object.
func (o *Sysctl) Ref() Ref { return Ref{KindSysctl, o.Path} }

// KernelChange is a change of what the planes must make of this node. Object is nil when it must go, a *SetDelta for
// members of a set. The policy plane takes KindHost, KindSet, KindPolicy, KindProfile, KindLocalEndpoint,
// KindHostEndpoint; the route plane KindRoute; the sysctl plane KindSysctl.
type KernelChange struct {
	Ref    Ref
	Object Object
}
