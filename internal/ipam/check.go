package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tortie-net/tortie/internal/model"
)

// ProblemKind is what Check found wrong.
type ProblemKind string

// The kinds of problems.
const (
	ProblemLeak         ProblemKind = "AllocatedWithoutOwner" // in a block, but nothing uses it
	ProblemNotAllocated ProblemKind = "OwnerWithoutAllocation"
	ProblemDouble       ProblemKind = "TwoOwners"
	ProblemOutside      ProblemKind = "OutsidePools"   // a block or an owner's address that no pool contains
	ProblemHandle       ProblemKind = "LeakedHandle"   // a handle that counts what no block holds
	ProblemHandleCount  ProblemKind = "HandleCount"    // a handle that counts other than the blocks
	ProblemNoHandle     ProblemKind = "MissingHandle"  // an allocation whose handle object does not exist
	ProblemBlock        ProblemKind = "BrokenBlock"    // a block that contradicts itself
	ProblemOverlap      ProblemKind = "BlocksOverlap"  // two blocks hold the same addresses
	ProblemAffinity     ProblemKind = "BrokenAffinity" // an affinity without its block, or a block without its affinity
)

// Problem is one finding. Address and Handle are set where they apply.
type Problem struct {
	Kind    ProblemKind
	Address netip.Addr
	Handle  string
	Detail  string
}

// Owner is somebody outside IPAM who uses an address: a pod, a workload endpoint, a node's tunnel.
type Owner struct {
	Address netip.Addr
	Name    string // for messages
}

// State is a snapshot of what IPAM keeps and of who uses addresses. Handles nil: none are kept.
type State struct {
	Pools      []*model.IPPool
	Blocks     []*model.Block
	Affinities []*model.Affinity
	Handles    []*model.Handle
	Owners     []Owner
}

// Check compares blocks, handles, affinities and owners, and lists what does not fit, sorted by kind, address, handle.
// Only owners within a pool need an allocation. Cool-downs are no problem.
func Check(s State) []Problem {
	c := &check{State: s, allocated: map[netip.Addr]model.Allocation{}, held: map[string]map[netip.Prefix]int{}}
	c.blocks()
	c.owners()
	c.affinities()
	if s.Handles != nil {
		c.handles()
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		if d := strings.Compare(string(a.Kind), string(b.Kind)); d != 0 {
			return d
		}
		if d := a.Address.Compare(b.Address); d != 0 {
			return d
		}
		return strings.Compare(a.Handle, b.Handle)
	})
	return c.problems
}

type check struct {
	State
	allocated map[netip.Addr]model.Allocation
	held      map[string]map[netip.Prefix]int // by handle
	problems  []Problem
}

func (c *check) report(kind ProblemKind, addr netip.Addr, handle, format string, args ...any) {
	c.problems = append(c.problems, Problem{kind, addr, handle, fmt.Sprintf(format, args...)})
}

func (c *check) pool(addr netip.Addr) bool {
	return slices.ContainsFunc(c.Pools, func(p *model.IPPool) bool { return p.CIDR.Contains(addr) })
}

func (c *check) blocks() {
	for i, b := range c.Blocks {
		if err := sound(b); err != nil {
			c.report(ProblemBlock, b.CIDR.Addr(), "", "%v", err)
			continue
		}
		for _, other := range c.Blocks[:i] {
			if other.CIDR.Overlaps(b.CIDR) {
				c.report(ProblemOverlap, b.CIDR.Addr(), "", "blocks %s and %s overlap", other.CIDR, b.CIDR)
			}
		}
		if !c.pool(b.CIDR.Addr()) {
			c.report(ProblemOutside, b.CIDR.Addr(), "", "block %s is in no IPPool", b.CIDR)
		}
		for ordinal := range b.Allocations {
			o, inUse := owner(b, ordinal)
			if !inUse || o.Handle == reservedHandle {
				continue
			}
			c.allocated[b.Addr(ordinal)] = o
			if o.Handle == "" {
				continue
			}
			if c.held[o.Handle] == nil {
				c.held[o.Handle] = map[netip.Prefix]int{}
			}
			c.held[o.Handle][b.CIDR]++
		}
	}
}

func (c *check) owners() {
	names := map[netip.Addr][]string{}
	for _, o := range c.Owners {
		names[o.Address] = append(names[o.Address], o.Name)
	}
	for addr, who := range names {
		if len(who) > 1 {
			slices.Sort(who)
			c.report(ProblemDouble, addr, "", "used by %s", strings.Join(who, " and "))
		}
		if _, ok := c.allocated[addr]; !ok && c.pool(addr) {
			c.report(ProblemNotAllocated, addr, "", "used by %s, but free in IPAM: it can be given to somebody else", who[0])
		}
	}
	for addr, o := range c.allocated {
		if _, ok := names[addr]; !ok {
			c.report(ProblemLeak, addr, o.Handle, "%s, which does not use it", describe(o))
		}
	}
}

func (c *check) affinities() {
	type tie struct {
		owner string
		cidr  netip.Prefix
	}
	ties := map[tie]bool{}
	for _, a := range c.Affinities {
		ties[tie{a.Owner, a.CIDR}] = true
	}
	blocks := map[tie]bool{}
	for _, b := range c.Blocks {
		blocks[tie{b.Affinity, b.CIDR}] = true
		if c.Affinities != nil && b.Affinity != "" && !ties[tie{b.Affinity, b.CIDR}] {
			c.report(ProblemAffinity, b.CIDR.Addr(), "", "block %s names %q, which has no affinity to it: it is not routed", b.CIDR, b.Affinity)
		}
	}
	for _, a := range c.Affinities {
		if !blocks[tie{a.Owner, a.CIDR}] {
			c.report(ProblemAffinity, a.CIDR.Addr(), "", "%q has an affinity to %s, which is not its block", a.Owner, a.CIDR)
		}
	}
}

func (c *check) handles() {
	known := map[string]bool{}
	for _, h := range c.Handles {
		known[h.ID] = true
		actual := c.held[h.ID]
		if len(actual) == 0 {
			c.report(ProblemHandle, netip.Addr{}, h.ID, "no block holds an address of it")
			continue
		}
		for cidr, n := range h.Blocks {
			if actual[cidr] != n {
				c.report(ProblemHandleCount, netip.Addr{}, h.ID, "counts %d in block %s, which holds %d", n, cidr, actual[cidr])
			}
		}
		for cidr, n := range actual {
			if _, ok := h.Blocks[cidr]; !ok {
				c.report(ProblemHandleCount, netip.Addr{}, h.ID, "does not count block %s, which holds %d", cidr, n)
			}
		}
	}
	for addr, o := range c.allocated {
		if o.Handle != "" && !known[o.Handle] {
			c.report(ProblemNoHandle, addr, o.Handle, "%s, but there is no such handle", describe(o))
		}
	}
}
