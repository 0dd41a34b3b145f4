package localize

import (
	"net/netip"

	"github.com/tortie-net/tortie/internal/model"
)

// Binding says that CNI joined a workload to an interface and addresses.
type Binding struct {
	Workload    model.WorkloadID
	ContainerID string
	Interface   string // host side
	MAC         string // of the workload's side
	Addresses   []netip.Addr
}

// Link is an interface of this node that is not a workload's.
type Link struct {
	Name      string
	Addresses []netip.Prefix
}

// Learned is a route that BGP learned; no next hops: withdrawn.
type Learned struct {
	Prefix    netip.Prefix
	NextHops  []netip.Addr
	LocalPref uint32
}
