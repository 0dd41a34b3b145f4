package intent

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// Kind names a kind of intent object.
type Kind uint8

// The kinds, in the order in which a consumer may apply them: what is referred to comes before what refers to it.
const (
	KindConfig Kind = iota + 1
	KindSet
	KindPolicy
	KindProfile
	KindEndpoint
	KindHostEndpoint
	KindNode
	KindPool
	KindBlockRoute
	KindBGP
	KindIPAM

	// Kinds of kernel.go.
	KindHost
	KindLocalEndpoint
	KindRoute
	KindSysctl
)

var kindNames = map[Kind]string{
	KindConfig: "config", KindSet: "set", KindPolicy: "policy", KindProfile: "profile", KindEndpoint: "endpoint",
	KindHostEndpoint: "hostendpoint", KindNode: "node", KindPool: "pool", KindBlockRoute: "blockroute", KindBGP: "bgp",
	KindIPAM: "ipam", KindHost: "host", KindLocalEndpoint: "localendpoint", KindRoute: "route", KindSysctl: "sysctl",
}

func (k Kind) String() string { return kindNames[k] }

// Ref identifies an object. ID is unique within its kind.
type Ref struct {
	Kind Kind
	ID   string
}

func (r Ref) String() string { return fmt.Sprintf("%v %s", r.Kind, r.ID) }

// Object is a pointer to one of this package's structs.
type Object interface{ Ref() Ref }

// Change says what an object is now for some nodes. Object is nil when these nodes no longer have it, a *SetDelta to
// change the members of a Set that they have, else the whole object. Nodes are those the change is for; nil means every
// node of the span. A node that gains an object gets the whole of it, also when others get a delta.
type Change struct {
	Ref    Ref
	Object Object
	Nodes  []string
}

// SetID names a set: readable as far as possible, at most 24 characters, stable across restarts and nodes.
type SetID string

// SetType tells the shape of a set's members.
type SetType uint8

// The shapes. SetAddrs: Member.Prefix only. SetAddrPorts: Member.Prefix is one address, with Proto and Port.
const (
	SetAddrs SetType = iota + 1
	SetAddrPorts
)

// Member is an element of a Set.
type Member struct {
	Prefix netip.Prefix // masked
	Proto  uint8
	Port   uint16
}

// Set is addresses, of both families, that rules refer to. Selector is what it stands for, for people.
type Set struct {
	ID       SetID
	Type     SetType
	Selector string
	Members  []Member // no duplicates
}

// SetDelta changes a set's members. Adding what is there or removing what is not is no error.
type SetDelta struct {
	ID          SetID
	Add, Remove []Member
}

// RuleID identifies a rule for good: FNV-1a 64 of policy UID (or key, where the object has none), direction, index.
type RuleID uint64

func (id RuleID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// PortRange is inclusive.
type PortRange struct{ Min, Max uint16 }

// Entity is one side of a rule. Everything that is set must match.
type Entity struct {
	Nets    []netip.Prefix // any; both families possible only in rules that name no family
	NotNets []netip.Prefix // none of them
	Sets    []SetID        // SetAddrs: in every one of them
	NotSets []SetID        // SetAddrs: in none of them

	// Ports and PortSets are alternatives: the port is in one of the ranges, or address, protocol and port are in one
	// of the sets. NotPorts and NotPortSets: none of them.
	Ports       []PortRange
	PortSets    []SetID // SetAddrPorts
	NotPorts    []PortRange
	NotPortSets []SetID
}

// Rule is a rule whose selectors have become sets.
type Rule struct {
	ID          RuleID
	Action      model.Action
	IPVersion   uint8 // 4, 6, 0 both
	Protocol    uint8 // 0 any
	NotProtocol uint8
	ICMP        model.ICMP
	NotICMP     model.ICMP
	Src, Dst    Entity
	Index       int               // in the policy's list, for people
	Annotations map[string]string // metadata.annotations
}

// Policy is a policy that selects an endpoint of the audience. ID is Key.String().
type Policy struct {
	ID              string
	Key             model.Key
	UID             string
	Tier            string
	Order           float64
	Staged          model.StagedAction
	Ingress, Egress []Rule
	Invalid         string // why it isolates its subjects instead
}

// Profile is a profile that an endpoint of the audience names. ID is its name. Missing: nobody has defined it, its
// rules are one Deny each way (R54).
type Profile struct {
	ID              string
	Missing         bool
	Ingress, Egress []Rule
}

// Tier is the policies of one tier that select an endpoint, in order. A direction without enforced policies is skipped
// (R22, R24); DefaultAction ends a direction that has some.
type Tier struct {
	Name            string
	DefaultAction   model.Action // Deny or Pass
	Ingress, Egress []string     // Policy IDs, staged ones too
}

// Membership says that an endpoint's addresses are members of a set; Ports is set for SetAddrPorts.
type Membership struct {
	Set   SetID
	Ports []model.NamedPort
}

// Endpoint is a workload of one node. ID is WorkloadID.String(). It is emitted as soon as the workload is bound to the
// node, without an address unless the stored object states one: the node joins address and interface (design §1).
type Endpoint struct {
	ID          string
	Workload    model.WorkloadID
	UID         string
	Node        string
	ContainerID string // as the stored object states, else empty
	Interface   string
	MAC         string
	Addresses   []netip.Addr // as the stored object states

	Tiers       []Tier // in order
	Profiles    []string
	Memberships []Membership
	Ports       []model.NamedPort
	Annotations map[string]string

	SourcePrefixes []netip.Prefix
	Pools4, Pools6 []string // names of the pools that automatic assignment may use, in order
}

// HostEndpoint is an interface of one node under policy.
type HostEndpoint struct {
	ID          string
	Name        string
	Node        string
	Interface   string
	ExpectedIPs []netip.Addr
	Tiers       []Tier // normal policies
	Profiles    []string
}

// NodeFacts is what other nodes must know of a node. ID is its name.
type NodeFacts struct {
	ID         string
	IPv4, IPv6 netip.Prefix // node address with its subnet; zero: none
}

// Pool is an IP pool as the data path sees it. ID is its name.
type Pool struct {
	ID               string
	CIDR             netip.Prefix
	IPIP, VXLAN      model.EncapMode
	NATOutgoing      bool
	Disabled         bool
	LoadBalancerOnly bool
	DisableBGPExport bool
}

// BlockRoute says that a prefix lives at a node: a block with confirmed affinity (R141), or one borrowed address
// (R142). ID is the prefix.
type BlockRoute struct {
	ID       string
	Prefix   netip.Prefix
	Node     string
	Borrowed bool
	IPIP     model.EncapMode
	VXLAN    model.EncapMode
}

// Config is one node's settings, resolved; what a zero value means is the default (spec/felix-parameters.md). ID is
// the node's name.
type Config struct {
	ID                     string
	InterfacePrefixes      []string // "cali"
	EndpointToHost         EndpointToHost
	DenyReject             bool
	IPv6                   bool
	IPForwarding           bool
	DisableInvalidCheck    bool
	AllowVXLANFromPods     bool
	AllowIPIPFromPods      bool
	VXLANPort              uint16
	LogPrefix              string
	LogRate                string // "" or "10/minute"
	LogBurst               int
	MarkMask               uint32
	RoutePriority4         int // metric of workload routes
	RoutePriority6         int
	DeviceRouteProtocol    int
	ProgramNoEncapRoutes   bool // cluster routes from the store's blocks
	BGPClusterRoutes       bool // cluster routes learned by BGP go to the kernel
	NATExcludeHosts        bool // natOutgoingExclusions IPPoolsAndHostIPs
	NATOutgoingAddress     netip.Addr
	NATPortRange           PortRange
	MetricsEnabled         bool
	MetricsHost            string
	MetricsPort            uint16
	HealthEnabled          bool
	HealthHost             string
	HealthPort             uint16
	LogSeverity            string
	RouteRefresh           time.Duration
	DatastoreReady         bool
	ClusterGUID            string
	MTU                    int
	Problems               []string // settings that contradict each other or cannot be used, for status
	RemoveExternalRoutes   bool
	WorkloadSourceSpoofAny bool
}

// EndpointToHost is defaultEndpointToHostAction (R6).
type EndpointToHost uint8

// The actions.
const (
	EndpointToHostDrop EndpointToHost = iota
	EndpointToHostAccept
	EndpointToHostReturn
)

// BGP is one node's speaker: whole desired state. ID is the node's name. Enabled false: no speaker.
type BGP struct {
	ID         string
	Enabled    bool
	AS         uint32
	RouterID   netip.Addr
	ListenPort uint16
	BindNodeIP bool
	IPv4, IPv6 netip.Addr // the node's addresses, source of the sessions
	Peerings   []Peering  // sorted by Name
	LocalPref4 uint32     // of own routes: 2147483647 − priority (store-layout §4.4)
	LocalPref6 uint32
}

// Peering is one session to keep.
type Peering struct {
	Name        string // "Mesh_10_0_0_2" …, unique on the node
	Address     netip.Addr
	Port        uint16
	AS          uint32
	LocalAS     uint32 // 0: the node's
	Passive     bool
	RRClient    bool
	ClusterID   string
	Restart     time.Duration // graceful restart time
	Password    model.SecretRef
	KeepNextHop bool
}

// IPAM is what a node's allocator must know. ID is the node's name.
type IPAM struct {
	ID           string
	Pools        []*model.IPPool // every pool, sorted by name
	Selected     []string        // names of the pools whose nodeSelector matches this node
	Reservations []netip.Prefix
	Config       model.IPAMConfig
}

// Ref implements Object.
func (o *Set) Ref() Ref { return Ref{KindSet, string(o.ID)} }

// Ref implements Object.
func (o *SetDelta) Ref() Ref { return Ref{KindSet, string(o.ID)} }

// Ref implements Object.
func (o *Policy) Ref() Ref { return Ref{KindPolicy, o.ID} }

// Ref implements Object.
func (o *Profile) Ref() Ref { return Ref{KindProfile, o.ID} }

// Ref implements Object.
func (o *Endpoint) Ref() Ref { return Ref{KindEndpoint, o.ID} }

// Ref implements Object.
func (o *HostEndpoint) Ref() Ref { return Ref{KindHostEndpoint, o.ID} }

// Ref implements Object.
func (o *NodeFacts) Ref() Ref { return Ref{KindNode, o.ID} }

// Ref implements Object.
func (o *Pool) Ref() Ref { return Ref{KindPool, o.ID} }

// Ref implements Object.
func (o *BlockRoute) Ref() Ref { return Ref{KindBlockRoute, o.ID} }

// Ref implements Object.
func (o *Config) Ref() Ref { return Ref{KindConfig, o.ID} }

// Ref implements Object.
func (o *BGP) Ref() Ref { return Ref{KindBGP, o.ID} }

// Ref implements Object.
func (o *IPAM) Ref() Ref { return Ref{KindIPAM, o.ID} }
