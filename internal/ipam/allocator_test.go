package ipam_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
	"github.com/tortie-net/tortie/internal/store"
)

func TestAssignAndReleaseBothFamilies(t *testing.T) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("steps=%v", steps), func(t *testing.T) {
			s := newStore()
			s.steps = steps
			in := inputs(pool("four", "10.65.0.0/16", 26), pool("six", "fd65::/48", 122))
			a := node(s, "compat-node", in)
			r := both("net.c1")
			r.Attributes = map[string]string{model.AttrPod: "web", model.AttrNamespace: "ns1", model.AttrUID: "u1"}
			got := assign(t, a, r)
			want := []netip.Addr{netip.MustParseAddr("10.65.107.0"), netip.MustParseAddr("fd65::6b39:eb65:ddc4:22e5:c380")}
			if !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			state := snapshot(t, s)
			if len(state.Blocks) != 2 || len(state.Affinities) != 2 || len(state.Handles) != 1 {
				t.Fatalf("%d blocks, %d affinities, %d handles; want 2, 2, 1", len(state.Blocks), len(state.Affinities), len(state.Handles))
			}
			for _, f := range state.Affinities {
				if f.State != model.AffinityConfirmed {
					t.Errorf("affinity to %s is %s", f.CIDR, f.State)
				}
			}
			_, o, inUse := ipam.Lookup(state.Blocks, got[0])
			if !inUse || o.Handle != "net.c1" || o.Attributes[model.AttrUID] != "u1" || o.Attributes[model.AttrNode] != "compat-node" {
				t.Errorf("the block says %+v", o)
			}
			if _, err := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", o.Attributes[model.AttrTimestamp]); err != nil {
				t.Error(err)
			}
			for _, b := range state.Blocks {
				if b.SequenceNumbers[0] != b.SequenceNumber-1 {
					t.Errorf("block %s: sequence %d, allocation at %d", b.CIDR, b.SequenceNumber, b.SequenceNumbers[0])
				}
			}
			// A new process of this node releases what it did not assign itself.
			a = node(s, "compat-node", in)
			release(t, a, "net.c1")
			release(t, a, "net.c1")
			release(t, a, "never.seen")
			state = snapshot(t, s)
			if _, _, inUse := ipam.Lookup(state.Blocks, got[0]); inUse || len(state.Handles) != 0 {
				t.Errorf("after release: in use %v, %d handles", inUse, len(state.Handles))
			}
			if next := assign(t, a, v4("net.c2")); next[0] == got[0] {
				t.Errorf("%s is used again at once: must go to the end of the queue", next[0])
			}
		})
	}
}

func TestPoolsAndTheirReasons(t *testing.T) {
	any := func(*model.IPPool) {}
	namespaced, err := selector.Parse("x == 'y'")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*model.IPPool)
		in     func(*ipam.Inputs)
		r      ipam.Request
		err    error
		text   string // of the error; or the prefix of the address
	}{
		{name: "plain", r: v4("h"), text: "10.1."},
		{name: "by name", r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"b"}}, text: "10.2."},
		{name: "by CIDR", r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"10.2.0.0/24"}, Explicit: true}, text: "10.2."},
		{name: "in the order named", r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"b", "a"}}, text: "10.2."},
		{name: "unknown", r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"zz"}}, err: ipam.ErrBadRequest, text: `"zz": no IPPool has this name or CIDR; there are "a" (10.1.0.0/24), "b"`},
		{name: "other family", r: ipam.Request{Handle: "h", Want6: true, Pools6: []string{"a"}}, err: ipam.ErrBadRequest, text: "is not an IPv6 pool"},
		{name: "no pool", r: ipam.Request{Handle: "h", Want6: true}, err: ipam.ErrNoAddress, text: "there is no IPv6 pool"},
		{name: "disabled", change: func(p *model.IPPool) { p.Disabled = true }, r: v4("h"), text: "10.2."},
		{name: "disabled and named", change: func(p *model.IPPool) { p.Disabled = true }, r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"a"}, Explicit: true}, err: ipam.ErrNoAddress, text: `"a" (10.1.0.0/24): is disabled`},
		{name: "not selected", in: func(in *ipam.Inputs) { in.Selected = []string{"b"} }, r: v4("h"), text: "10.2."},
		{name: "not selected, asked for", in: func(in *ipam.Inputs) { in.Selected = nil }, r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"a"}, Explicit: true}, text: "10.1."},
		{name: "not selected, offered", in: func(in *ipam.Inputs) { in.Selected = nil }, r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"a"}}, err: ipam.ErrNoAddress, text: "nodeSelector does not match"},
		{name: "manual", change: func(p *model.IPPool) { p.Manual = true }, r: v4("h"), text: "10.2."},
		{name: "manual, asked for", change: func(p *model.IPPool) { p.Manual = true }, r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"a"}, Explicit: true}, text: "10.1."},
		{name: "no workloads", change: func(p *model.IPPool) { p.Workload = false }, r: v4("h"), text: "10.2."},
		{name: "tunnel", change: func(p *model.IPPool) { p.Tunnel = false }, r: ipam.Request{Handle: "h", Want4: true, Tunnel: true}, text: "10.2."},
		{name: "namespaced", change: func(p *model.IPPool) { p.NamespaceSelector = namespaced }, r: v4("h"), text: "10.2."},
		{name: "namespaced and offered", change: func(p *model.IPPool) { p.NamespaceSelector = namespaced }, r: ipam.Request{Handle: "h", Want4: true, Pools4: []string{"a"}}, text: "10.1."},
		{name: "reserved wholly", in: func(in *ipam.Inputs) { in.Reservations = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} }, r: v4("h"), text: "10.2."},
		{name: "all reserved", in: func(in *ipam.Inputs) { in.Reservations = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, r: v4("h"), err: ipam.ErrNoAddress, text: `"a" (10.1.0.0/24): full: every address is in use, reserved or cooling down; pool "b"`},
		{name: "no new blocks", in: func(in *ipam.Inputs) { in.Config.AutoAllocateBlocks, in.Config.StrictAffinity = false, true }, r: v4("h"), err: ipam.ErrNoAddress, text: "autoAllocateBlocks is false"},
		{name: "exactly", r: ipam.Request{Handle: "h", Addresses: []netip.Addr{netip.MustParseAddr("10.2.0.77")}}, text: "10.2.0.77"},
		{name: "exactly, reserved", in: func(in *ipam.Inputs) { in.Reservations = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, r: ipam.Request{Handle: "h", Addresses: []netip.Addr{netip.MustParseAddr("10.2.0.77")}}, text: "10.2.0.77"},
		{name: "exactly, no pool", r: ipam.Request{Handle: "h", Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.1")}}, err: ipam.ErrBadRequest, text: "10.9.0.1: no IPPool contains it"},
		{name: "exactly, disabled", change: func(p *model.IPPool) { p.Disabled = true }, r: ipam.Request{Handle: "h", Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.1")}}, err: ipam.ErrBadRequest, text: "is disabled"},
		{name: "exactly, twice", r: ipam.Request{Handle: "h", Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.1")}}, err: ipam.ErrBadRequest, text: "twice"},
		{name: "nothing", r: ipam.Request{Handle: "h"}, err: ipam.ErrBadRequest, text: "neither IPv4 nor IPv6"},
		{name: "no handle", r: ipam.Request{Want4: true}, err: ipam.ErrBadRequest, text: "handle is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change == nil {
				c.change = any
			}
			in := inputs(pool("a", "10.1.0.0/24", 26, c.change), pool("b", "10.2.0.0/24", 26))
			if c.in != nil {
				c.in(&in)
			}
			s := newStore()
			a := node(s, "n1", in)
			if c.err != nil {
				refused(t, a, c.r, c.err, c.text)
				if got := snapshot(t, s); len(got.Blocks)+len(got.Affinities)+len(got.Handles) != 0 {
					t.Errorf("a refused request left %+v", got)
				}
				return
			}
			if got := assign(t, a, c.r); !strings.HasPrefix(got[0].String(), c.text) {
				t.Errorf("got %s, want %s…", got[0], c.text)
			}
		})
	}
}

func TestTakenAddressNamesItsOwner(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 26))
	a, b := node(s, "n1", in), node(s, "n2", in)
	addr := netip.MustParseAddr("10.1.0.9")
	first := ipam.Request{Handle: "h1", Addresses: []netip.Addr{addr}, Attributes: map[string]string{model.AttrPod: "p", model.AttrNamespace: "ns"}}
	assign(t, a, first)
	again := ipam.Request{Handle: "h2", Addresses: []netip.Addr{addr}}
	refused(t, b, again, ipam.ErrTaken, "10.1.0.9: in use by pod ns/p on node n1")
	// Another node's block gives a free address, unless affinity is strict.
	assign(t, b, ipam.Request{Handle: "h3", Addresses: []netip.Addr{addr.Next()}})
	in.Config.StrictAffinity = true
	b.SetInputs(in)
	refused(t, b, ipam.Request{Handle: "h4", Addresses: []netip.Addr{addr.Next().Next()}}, ipam.ErrNoAddress, "strictAffinity")
	// What n2 did to n1's block does not stop n1.
	assign(t, a, v4("h5"))
	release(t, b, "h3")
	release(t, a, "h1")
	in.Config.StrictAffinity = false
	b.SetInputs(in)
	assign(t, b, again)
}

func TestDualStackIsWholeOrNot(t *testing.T) {
	s := newStore()
	in := inputs(pool("four", "10.1.0.0/24", 26), pool("six", "fd00::/122", 122))
	in.Config.StrictAffinity = true
	a, b := node(s, "n1", in), node(s, "n2", in)
	assign(t, a, both("h1"))
	refused(t, b, both("h2"), ipam.ErrNoAddress, "no IPv6 address")
	state := snapshot(t, s)
	if len(state.Blocks) != 2 || len(state.Handles) != 1 {
		t.Errorf("half of a refused request stayed: %d blocks, %d handles", len(state.Blocks), len(state.Handles))
	}
}

func TestBlockLimit(t *testing.T) {
	in := inputs(pool("a", "10.1.0.0/24", 30))
	in.Config.StrictAffinity = true
	for _, c := range []struct{ limit, addrs int }{{0, 20 * 4}, {3, 12}} {
		in.Config.MaxBlocksPerHost = c.limit
		a := node(newStore(), "n1", in)
		for i := range c.addrs {
			assign(t, a, v4(fmt.Sprint("h", i)))
		}
		refused(t, a, v4("more"), ipam.ErrBlockLimit, fmt.Sprintf("it has %d, as many as maxBlocksPerHost allows", c.addrs/4))
	}
}

func TestBorrowing(t *testing.T) {
	in := inputs(pool("a", "10.1.0.0/29", 30)) // two blocks
	s := newStore()
	a, b, c := node(s, "n1", in), node(s, "n2", in), node(s, "n3", in)
	assign(t, a, v4("a1"))
	assign(t, b, v4("b1"))
	seen := map[netip.Addr]bool{}
	for i := range 6 {
		addr := assign(t, c, v4(fmt.Sprint("c", i)))[0]
		if seen[addr] {
			t.Fatalf("%s twice", addr)
		}
		seen[addr] = true
	}
	refused(t, c, v4("c6"), ipam.ErrNoAddress, "full")
	refused(t, a, v4("a2"), ipam.ErrNoAddress, "full")
	borrowed := ipam.BorrowedAddresses(snapshot(t, s).Blocks)
	if len(borrowed) != 6 || borrowed[0].Node != "n3" || borrowed[0].From == "host:n3" {
		t.Errorf("borrowed: %+v", borrowed)
	}
	// n3 forgets everything and still gives back.
	c = node(s, "n3", in)
	release(t, c, "c0")
	assign(t, a, v4("a2"))
	in.Config.StrictAffinity = true
	c.SetInputs(in)
	release(t, c, "c1")
	refused(t, c, v4("c7"), ipam.ErrNoAddress, "strictAffinity forbids to borrow")
}

// TestReclaim: an empty block changes hands when it is a minute old, and its first owner notices.
func TestReclaim(t *testing.T) {
	for _, steps := range []bool{false, true} {
		in := inputs(pool("a", "10.1.0.0/30", 30))
		in.Config.StrictAffinity = true
		s := newStore()
		s.steps = steps
		now := time.Now()
		b := ipam.New(s, "n2", ipam.Options{Handles: true, Clock: func() time.Time { return now }})
		b.SetInputs(in)
		a := node(s, "n1", in)
		assign(t, a, v4("a1"))
		release(t, a, "a1")
		refused(t, b, v4("b1"), ipam.ErrNoAddress, "full")
		now = now.Add(61 * time.Second)
		assign(t, b, v4("b1"))
		refused(t, a, v4("a2"), ipam.ErrNoAddress, "full")
		if got := snapshot(t, s); len(got.Affinities) != 1 || got.Affinities[0].Owner != "host:n2" || got.Blocks[0].Affinity != "host:n2" {
			t.Errorf("steps=%v: %+v %+v", steps, got.Affinities[0], got.Blocks[0])
		}
	}
}

func TestCooldown(t *testing.T) {
	in := inputs(pool("a", "10.1.0.0/31", 31))
	in.Config.CooldownSeconds = 60
	s := newStore()
	now := time.Now()
	open := func() *ipam.Allocator {
		a := ipam.New(s, "n1", ipam.Options{Handles: true, Clock: func() time.Time { return now }})
		a.SetInputs(in)
		return a
	}
	a := open()
	first := assign(t, a, v4("h1"))[0]
	assign(t, a, v4("h2"))
	release(t, a, "h1")
	refused(t, a, v4("h3"), ipam.ErrNoAddress, "cooling down")
	refused(t, a, ipam.Request{Handle: "h3", Addresses: []netip.Addr{first}}, ipam.ErrTaken, "cooling down since")
	now = now.Add(59 * time.Second)
	refused(t, a, v4("h3"), ipam.ErrNoAddress, "cooling down")
	refused(t, open(), v4("h3"), ipam.ErrNoAddress, "cooling down") // a restart shortens nothing
	now = now.Add(2 * time.Second)
	if got := assign(t, a, v4("h3"))[0]; got != first {
		t.Errorf("got %s", got)
	}
}

// TestGroupCommit: 64 requests that arrive together at a node whose blocks have room are two transactions at most, and a
// bad one among them fails alone.
func TestGroupCommit(t *testing.T) {
	s := newStore()
	in := inputs(pool("four", "10.65.0.0/16", 25), pool("six", "fd65::/48", 121))
	a := node(s, "n1", in)
	warm := assign(t, a, both("warm"))
	const n = 64
	ready := make(chan struct{})
	s.hold = func(ops []store.Op) error { <-ready; return nil }
	s.txns.Store(0)
	var wg sync.WaitGroup
	addrs, errs := make([][]netip.Addr, n+2), make([]error, n+2)
	do := func(i int, r ipam.Request) {
		wg.Add(1)
		go func() { defer wg.Done(); addrs[i], errs[i] = a.Assign(soon(t), r) }()
	}
	for i := range n {
		do(i, both(fmt.Sprint("h", i)))
	}
	do(n, ipam.Request{Handle: "bad", Want4: true, Pools4: []string{"none"}})
	do(n+1, ipam.Request{Handle: "taken", Addresses: []netip.Addr{netip.MustParseAddr("10.66.0.0")}})
	time.Sleep(100 * time.Millisecond)
	close(ready)
	wg.Wait()
	if got := s.txns.Load(); got > 2 {
		t.Errorf("%d transactions, want at most 2", got)
	}
	seen := map[netip.Addr]bool{}
	for i := range n {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		for _, addr := range addrs[i] {
			if seen[addr] {
				t.Errorf("%s twice", addr)
			}
			seen[addr] = true
		}
	}
	if errs[n] == nil || errs[n+1] == nil {
		t.Error("a bad request was served")
	}
	fits(t, s, in, append(slices.Collect(maps.Keys(seen)), warm...))
}
