package cni

import (
	"context"
	"net/netip"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Request for addresses of one workload.
type AddressRequest struct {
	Handle         string            // "<network>.<containerID>"
	Attributes     map[string]string // model.Attr…
	Want4, Want6   bool
	Pools4, Pools6 []string     // names or CIDRs, in order; nil: every usable pool
	Explicit       bool         // Pools4/6 were asked for by name: selectors and assignmentMode do not matter
	Addresses      []netip.Addr // exactly these (annotation ipAddrs)
	Endpoint       *NewEndpoint // store this WorkloadEndpoint in the same transaction (no Pod object stands for it)
}

// NewEndpoint is a workload that only CNI knows of (orchestrator cni): the agent stores a WorkloadEndpoint for it.
type NewEndpoint struct {
	Workload    model.WorkloadID
	ContainerID string
	Interface   string
	MAC         string
	Profiles    []string
}

// Allocator gives and takes addresses. Assign is whole or not at all.
type Allocator interface {
	Assign(ctx context.Context, r AddressRequest) ([]netip.Addr, error)
	// Release frees what a handle holds; a handle that holds nothing is no error. When the workload has a
	// WorkloadEndpoint that Assign stored for this container, it goes too.
	Release(ctx context.Context, handle string, workload model.WorkloadID, containerID string) error
}

// Binding joins a workload to an interface and addresses on this node.
type Binding struct {
	Workload    model.WorkloadID
	UID         string
	ContainerID string
	Network     string
	IfName      string // in the workload
	Interface   string // on the host
	MAC         string // of the workload's side
	Addresses   []netip.Addr
}

// Waiter is the agent's data path as CNI sees it.
type Waiter interface {
	// Workload waits until the workload is in this node's intent (with this UID, where the UID is not empty) and returns
	// it.
	Workload(ctx context.Context, id model.WorkloadID, uid string) (*intent.Endpoint, error)
	// Bind makes the binding a fact and waits until every plane has it in the kernel.
	Bind(ctx context.Context, b Binding) error
	// Unbind takes it back, if it is still this container's, and waits until no plane has it. No binding: no error.
	Unbind(ctx context.Context, id model.WorkloadID, containerID string) error
	// Ready says whether ADD can be served: nil, or why not.
	Ready() error
	// Config is the node's settings.
	Config() *intent.Config
}
