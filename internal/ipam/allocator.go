package ipam

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// Options of an Allocator. The zero value is good for a store that nobody else's IPAM shares.
type Options struct {
	// Handles keeps the handle objects that other IPAM implementations on the same store read.
	Handles bool
	// Clock is time.Now when nil. Its wall time is written into the store; differences between two of its values decide
	// cool-downs.
	Clock func() time.Time
	// Crash, when set, is called before and after every write with the name of the place: tests end the process there.
	Crash func(point string)
	// Log is slog.Default when nil.
	Log *slog.Logger
}

// Allocator gives addresses to one node's workloads. Safe for concurrent use. It owns no goroutine while it is idle,
// and so needs no Close.
type Allocator struct {
	store    store.Store
	node     string
	affinity string // "host:NODE"
	options  Options
	inputs   atomic.Pointer[Inputs]
	cooldown cooldowns

	suspects struct { // what the last GC saw left over on a store without transactions
		sync.Mutex
		seen map[model.Key]store.Revision
	}

	queue struct { // guards calls, running, and the state of every call
		sync.Mutex
		calls   []*call
		running bool
	}

	committing // belongs to the goroutine that runs the queue; at most one does
}

// committing is the memory of what this node holds.
type committing struct {
	loaded  bool
	own     []*held // blocks affine to this node, in the order in which they are filled
	handles map[string]handleAt
	away    map[netip.Prefix]struct{} // blocks of others in which this node holds addresses (a hint)
	taken   map[netip.Prefix]struct{} // blocks seen to exist that are not ours (a hint)
	listed  bool                      // taken began with a whole list
}

// held is a block as this node last wrote or read it. The block is never changed, only replaced.
type held struct {
	cidr     netip.Prefix
	block    *model.Block
	revision store.Revision
	stale    bool // read it again before use
}

// handleAt is a handle as last written or read. A nil handle: known not to exist.
type handleAt struct {
	handle   *model.Handle
	revision store.Revision
}

// New makes an allocator for a node. It does nothing until it is asked for something.
func New(s store.Store, node string, options Options) *Allocator {
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if options.Crash == nil {
		options.Crash = func(string) {}
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	a := &Allocator{
		store: s, node: node, affinity: "host:" + node, options: options,
		committing: committing{
			handles: map[string]handleAt{}, away: map[netip.Prefix]struct{}{}, taken: map[netip.Prefix]struct{}{},
		},
	}
	a.inputs.Store(&Inputs{})
	return a
}

// SetInputs replaces what the cluster's objects say. Requests that have not been planned yet follow the new ones.
func (a *Allocator) SetInputs(in Inputs) { a.inputs.Store(&in) }

// Request asks for the addresses of one workload: one per wanted family, or exactly Addresses.
type Request struct {
	Handle         string            // "<network>.<containerID>"; required
	Attributes     map[string]string // model.Attr…; node and timestamp are added where missing
	Want4, Want6   bool
	Pools4, Pools6 []string     // names or CIDRs, used in this order; nil: every pool that fits
	Explicit       bool         // Pools4 and Pools6 were asked for by name: selectors and assignmentMode do not matter
	Tunnel         bool         // for the node's own tunnel: from pools whose allowedUses has Tunnel
	Addresses      []netip.Addr // exactly these, reserved or not; Want4 and Want6 are then ignored

	// Extra gives operations to write in the same transaction, once the addresses are known. It may be called several
	// times, for other addresses each time, must not block, and must not name IPAM's own keys. An operation whose
	// condition fails fails this request only.
	Extra func(addrs []netip.Addr) []store.Op
}

// Assign gives all the addresses asked for, IPv4 before IPv6 (or in the order of Request.Addresses), or none. When it
// returns an error, nothing is held, but for one case: a store that did not answer in time may still have done the write
// (the error is then store.ErrUnavailable or a context's), so Release must follow, as CNI's DEL does.
// Errors: ErrNoAddress, ErrBlockLimit, ErrTaken, ErrBadRequest, those of store, the context's.
func (a *Allocator) Assign(ctx context.Context, r Request) ([]netip.Addr, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	c := &call{ctx: ctx, done: make(chan struct{}), assign: &r, owner: a.ownerOf(&r)}
	if err := a.wait(c); err != nil {
		return nil, err
	}
	return c.addrs, nil
}

// Release frees everything that a handle holds, on whichever block, and does the operations also in the same
// transaction. A handle that holds nothing is no error, neither is a Delete among also of what is gone; any other
// condition that fails keeps the addresses.
func (a *Allocator) Release(ctx context.Context, handle string, also ...store.Op) error {
	if handle == "" {
		return fmt.Errorf("release: %w: the handle is empty", ErrBadRequest)
	}
	return a.wait(&call{ctx: ctx, done: make(chan struct{}), release: &releaseRequest{handle: handle, also: also}})
}

func (r *Request) check() error {
	switch {
	case r.Handle == "":
		return fmt.Errorf("assign: %w: the handle is empty", ErrBadRequest)
	case len(r.Addresses) == 0 && !r.Want4 && !r.Want6:
		return fmt.Errorf("assign to %q: %w: neither IPv4 nor IPv6 is wanted", r.Handle, ErrBadRequest)
	}
	for i, addr := range r.Addresses {
		if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" {
			return fmt.Errorf("assign to %q: %w: address %q: must be a plain IPv4 or IPv6 address", r.Handle, ErrBadRequest, addr)
		}
		for _, other := range r.Addresses[:i] {
			if addr == other {
				return fmt.Errorf("assign to %q: %w: address %s is asked for twice", r.Handle, ErrBadRequest, addr)
			}
		}
	}
	return nil
}

// ownerOf is what the block will say of a request's addresses.
func (a *Allocator) ownerOf(r *Request) model.Allocation {
	attributes := make(map[string]string, len(r.Attributes)+2)
	attributes[model.AttrNode] = a.node
	// The form in which the time is kept in stored blocks: Go's time.Time text, in UTC, without monotonic part.
	attributes[model.AttrTimestamp] = a.options.Clock().UTC().Round(0).String()
	for k, v := range r.Attributes {
		attributes[k] = v
	}
	return model.Allocation{Handle: r.Handle, Attributes: attributes}
}
