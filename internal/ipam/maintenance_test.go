package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store/mem"
)

func never(string, map[string]string, netip.Addr) bool { return false }

func TestReleaseAddrs(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 26), pool("s", "fd00::/64", 122))
	a := node(s, "n1", in)
	one, two := assign(t, a, both("h1")), assign(t, a, v4("h2"))
	b, _, _ := ipam.Lookup(snapshot(t, s).Blocks, two[0])
	sequence := b.SequenceNumbers[b.Ordinal(two[0])]
	stale := sequence - 1
	cli := node(s, "", in)
	got, err := cli.ReleaseAddrs(soon(t), ipam.Held{Addr: one[0], Handle: "h1"}, ipam.Held{Addr: two[0], Handle: "h2", Sequence: &stale},
		ipam.Held{Addr: netip.MustParseAddr("10.9.9.9")}, ipam.Held{Addr: one[0].Next().Next()})
	if len(got) != 1 || got[0] != one[0] || !errors.Is(err, ipam.ErrStale) {
		t.Errorf("released %v, %v", got, err)
	}
	if _, err := cli.ReleaseAddrs(soon(t), ipam.Held{Addr: two[0], Handle: "h2", Sequence: &sequence}); err != nil {
		t.Error(err)
	}
	fits(t, s, in, one[1:])
	release(t, a, "h1") // by the node, which does not know yet
	fits(t, s, in, nil)
}

func TestReleaseNode(t *testing.T) {
	for _, steps := range []bool{false, true} {
		s := newStore()
		s.steps = steps
		in := inputs(pool("a", "10.1.0.0/24", 28))
		a := node(s, "n1", in)
		tunnel := ipam.Request{Handle: "vxlan-tunnel-addr-n1", Want4: true, Tunnel: true,
			Attributes: map[string]string{model.AttrType: "vxlanTunnelAddress"}}
		assign(t, a, tunnel)
		var pods []netip.Addr
		for i := range 16 { // into a second block
			pods = append(pods, assign(t, a, v4(fmt.Sprint("h", i)))...)
		}
		release(t, a, "h15") // which is empty now
		other := node(s, "n2", in)
		if err := other.ReleaseNode(soon(t), "n1"); err != nil {
			t.Fatal(err)
		}
		state := snapshot(t, s)
		if len(state.Affinities) != 0 || len(state.Blocks) != 1 || state.Blocks[0].Affinity != "" {
			t.Errorf("steps=%v: %d affinities, blocks %+v", steps, len(state.Affinities), state.Blocks)
		}
		fits(t, s, in, pods[:15])
		if _, err := other.GC(soon(t), never); err != nil {
			t.Fatal(err)
		}
		if state := snapshot(t, s); len(state.Blocks)+len(state.Handles) != 0 {
			t.Errorf("steps=%v: the orphan outlives its last address", steps)
		}
	}
}

// TestReclaimDies: a node dies at each point of taking an empty block over; the next life, after GC, has the block, and
// nobody else is tied to it.
func TestReclaimDies(t *testing.T) {
	in := inputs(pool("a", "10.1.0.0/30", 30))
	in.Config.StrictAffinity = true
	for point, done := 1, false; !done; point++ {
		s := newStore()
		s.steps = true
		a := node(s, "n1", in)
		assign(t, a, v4("a1"))
		release(t, a, "a1")
		left := point
		ctx, cancel := context.WithCancel(context.Background())
		late := ipam.Options{Handles: true, Clock: func() time.Time { return time.Now().Add(2 * time.Minute) }}
		dying := late
		dying.Crash = func(string) {
			if left--; left == 0 {
				cancel()
				runtime.Goexit()
			}
		}
		b := ipam.New(s, "n2", dying)
		b.SetInputs(in)
		_, err := b.Assign(ctx, v4("b1"))
		done = err == nil
		cancel()
		b = ipam.New(s, "n2", late)
		b.SetInputs(in)
		for range 2 {
			if _, err := b.GC(soon(t), func(h string, _ map[string]string, _ netip.Addr) bool { return done && h == "b1" }); err != nil {
				t.Fatal(err)
			}
		}
		addr := assign(t, b, v4("b2"))
		used := addr
		if done {
			used = append(used, netip.MustParseAddr("10.1.0.0"))
		}
		fits(t, s, in, used)
	}
}

// TestUnreadableBlock: what cannot be read is neither used nor collected, and does not stop the rest.
func TestUnreadableBlock(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.65.0.0/24", 26))
	a := node(s, "n1", in)
	first := assign(t, a, v4("h1"))
	block := netip.PrefixFrom(first[0], 26).Masked()
	key := model.Key{Kind: model.KindBlock, Name: block.String()}
	raw := s.Store.(*mem.Store).Raw(key)
	s.Store.(*mem.Store).PutRaw(key, []byte(`{"oops`))
	a = node(s, "n1", in)
	if got := assign(t, a, v4("h2")); block.Contains(got[0]) {
		t.Errorf("%s is from the unreadable block", got[0])
	}
	if _, err := a.GC(soon(t), func(h string, _ map[string]string, _ netip.Addr) bool { return h == "h2" }); err != nil {
		t.Fatal(err)
	}
	if err := a.Release(soon(t), "h1"); err == nil {
		t.Error("released from a block that cannot be read")
	}
	s.Store.(*mem.Store).PutRaw(key, raw)
	a = node(s, "n1", in)
	release(t, a, "h1")
}

func TestCheckFindsEachKind(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 28))
	a := node(s, "n1", in)
	used, leaked := assign(t, a, v4("used"))[0], assign(t, a, v4("leaked"))[0]
	missing, miscounted := assign(t, a, v4("missing"))[0], assign(t, a, v4("miscounted"))[0]
	state := snapshot(t, s)
	state.Pools = in.Pools
	b := state.Blocks[0]
	for i, h := range state.Handles {
		switch h.ID {
		case "missing":
			state.Handles[i] = &model.Handle{ID: "gone", Blocks: map[netip.Prefix]int{b.CIDR: 1}}
		case "miscounted":
			state.Handles[i] = &model.Handle{ID: "miscounted", Blocks: map[netip.Prefix]int{b.CIDR: 2}}
		}
	}
	broken := emptyBlock(netip.MustParsePrefix("10.1.0.240/28"), "")
	if broken.CIDR == b.CIDR {
		t.Fatal("choose another block")
	}
	broken.Allocations = nil
	state.Blocks = append(state.Blocks, broken, emptyBlock(netip.MustParsePrefix("10.2.0.0/28"), "host:n9"), emptyBlock(netip.PrefixFrom(b.CIDR.Addr(), 29), ""))
	state.Affinities = append(state.Affinities, &model.Affinity{Owner: "host:n8", CIDR: b.CIDR})
	free := netip.MustParseAddr("10.1.0.100")
	if b.CIDR.Contains(free) {
		t.Fatal("choose another address")
	}
	for _, o := range []struct {
		addr netip.Addr
		name string
	}{{used, "p1"}, {used, "p2"}, {missing, "p3"}, {miscounted, "p4"}, {free, "p5"}, {netip.MustParseAddr("192.0.2.1"), "elsewhere"}} {
		state.Owners = append(state.Owners, ipam.Owner{Address: o.addr, Name: o.name})
	}
	var got []string
	for _, p := range ipam.Check(state) {
		subject := p.Handle
		if p.Address.IsValid() {
			subject = p.Address.String()
		}
		got = append(got, fmt.Sprintf("%s %s", p.Kind, subject))
	}
	want := []string{
		"AllocatedWithoutOwner " + leaked.String(),
		"BlocksOverlap " + b.CIDR.Addr().String(),
		"BrokenAffinity " + b.CIDR.Addr().String(),
		"BrokenAffinity 10.2.0.0",
		"BrokenBlock 10.1.0.240",
		"HandleCount miscounted",
		"LeakedHandle gone",
		"MissingHandle " + missing.String(),
		"OutsidePools 10.2.0.0",
		"OwnerWithoutAllocation 10.1.0.100",
		"TwoOwners " + used.String(),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestUtilisation(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 26), pool("s", "fd00::/48", 122))
	in.Reservations = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/29"), netip.MustParsePrefix("10.1.0.4/30"), netip.MustParsePrefix("192.0.2.0/24")}
	a := node(s, "n1", in)
	for i := range 3 {
		assign(t, a, both(fmt.Sprint("h", i)))
	}
	assign(t, a, ipam.Request{Handle: "r", Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.1")}})
	var got []string
	state := snapshot(t, s)
	for _, u := range ipam.Utilisation(in.Pools, append(state.Blocks, emptyBlock(netip.MustParsePrefix("10.9.0.0/26"), "host:x")), in.Reservations) {
		got = append(got, fmt.Sprintf("%q %s total %s, in use %s, reserved %s, free %s", u.Pool, u.CIDR, u.Total, u.InUse, u.Reserved, u.Free))
	}
	want := []string{
		`"a" 10.1.0.0/24 total 256, in use 4, reserved 8, free 245`,
		`"s" fd00::/48 total 1208925819614629174706176, in use 3, reserved 0, free 1208925819614629174706173`,
		`"" 0.0.0.0/0 total 64, in use 0, reserved 0, free 64`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
