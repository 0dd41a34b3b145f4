package model

import (
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/selector"
)

// EncapMode says when packets to a pool's addresses are encapsulated.
type EncapMode uint8

// The modes.
const (
	EncapNever EncapMode = iota
	EncapAlways
	EncapCrossSubnet
)

// IPPool is a range of addresses and how they are used.
type IPPool struct {
	Name              string
	CIDR              netip.Prefix
	BlockSize         int // prefix length of its blocks
	IPIP, VXLAN       EncapMode
	NATOutgoing       bool
	Disabled          bool
	DisableBGPExport  bool
	Manual            bool // assignmentMode Manual
	Workload, Tunnel  bool // allowedUses
	LoadBalancer      bool
	NodeSelector      *selector.Selector
	NamespaceSelector *selector.Selector // nil: every namespace
}

// IPReservation keeps addresses from automatic assignment.
type IPReservation struct {
	Name  string
	CIDRs []netip.Prefix
}

// IPAMConfig is the cluster's IPAM settings (spec/store-layout.md §1.6).
type IPAMConfig struct {
	StrictAffinity     bool
	AutoAllocateBlocks bool
	MaxBlocksPerHost   int // 0: 20
	CooldownSeconds    int
	VMPersistence      string // kubeVirtVMAddressPersistence, kept as found
}

// Block is a range of addresses that one host (or nobody) hands out: the unit of compare-and-swap
// (spec/store-layout.md §1.6). A Block that came from a store must not be changed; Clone it.
type Block struct {
	CIDR              netip.Prefix
	Affinity          string    // "host:NODE", "virtual:load-balancer", empty for an orphan
	AffinityClaimTime time.Time // zero when unknown
	Allocations       []int     // per ordinal: index into Attributes, or -1 when free
	Unallocated       []int     // free ordinals, first in first out
	Attributes        []Allocation
	SequenceNumber    uint64
	SequenceNumbers   map[int]uint64 // per allocated ordinal, the block's sequence number when it was allocated
	Deleted           bool           // tombstone of the Kubernetes driver
}

// Allocation is what is known of an allocated address. Several ordinals may share one.
type Allocation struct {
	Handle     string
	Attributes map[string]string // "secondary": node, namespace, pod, uid, timestamp, type, …
	Alternate  map[string]string // second owner during a live migration
	ReleasedAt time.Time         // set: released, cooling down; Handle and Attributes are then empty
}

// The attribute keys of an allocation.
const (
	AttrNode      = "node"
	AttrNamespace = "namespace"
	AttrPod       = "pod"
	AttrUID       = "uid" // Tortie's own (R145)
	AttrTimestamp = "timestamp"
	AttrType      = "type"
)

// Node is the node that the block is affine to, or "".
func (b *Block) Node() string {
	if len(b.Affinity) > 5 && b.Affinity[:5] == "host:" {
		return b.Affinity[5:]
	}
	return ""
}

// Addr is the address with the given ordinal.
func (b *Block) Addr(ordinal int) netip.Addr {
	raw := b.CIDR.Addr().As16()
	carry := ordinal
	for i := 15; i >= 0 && carry > 0; i-- {
		carry += int(raw[i])
		raw[i] = byte(carry)
		carry >>= 8
	}
	addr := netip.AddrFrom16(raw)
	if b.CIDR.Addr().Is4() {
		return addr.Unmap()
	}
	return addr
}

// Ordinal is the place of an address in the block, or -1.
func (b *Block) Ordinal(addr netip.Addr) int {
	if !b.CIDR.Contains(addr) {
		return -1
	}
	a, base := addr.As16(), b.CIDR.Addr().As16()
	n := 0
	for i := 12; i < 16; i++ {
		n = n<<8 | int(a[i]-base[i])
	}
	return n
}

// Clone is a deep copy.
func (b *Block) Clone() *Block {
	c := *b
	c.Allocations = append([]int(nil), b.Allocations...)
	c.Unallocated = append([]int(nil), b.Unallocated...)
	c.Attributes = append([]Allocation(nil), b.Attributes...)
	c.SequenceNumbers = make(map[int]uint64, len(b.SequenceNumbers))
	for k, v := range b.SequenceNumbers {
		c.SequenceNumbers[k] = v
	}
	return &c
}

// AffinityState is the phase of a claim.
type AffinityState string

// The phases; empty in old stores means confirmed.
const (
	AffinityPending         AffinityState = "pending"
	AffinityConfirmed       AffinityState = "confirmed"
	AffinityPendingDeletion AffinityState = "pendingDeletion"
)

// Affinity ties a block to its owner, in two phases. Only confirmed ones are routed (R141).
type Affinity struct {
	Owner   string // "host:NODE" or "virtual:load-balancer"
	CIDR    netip.Prefix
	State   AffinityState
	Deleted bool
}

// Handle counts what one owner holds, by block.
type Handle struct {
	ID      string
	Blocks  map[netip.Prefix]int
	Deleted bool
}
