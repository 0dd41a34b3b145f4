package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

func endpointKey(name string) model.Key {
	return model.Key{Kind: model.KindWorkloadEndpoint, Namespace: "ns", Name: name}
}

// TestExtraOperations: what goes with an address is written with it or not at all, and a conflict there concerns only
// the request it belongs to.
func TestExtraOperations(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 26))
	a := node(s, "n1", in)
	with := func(handle, endpoint string) ipam.Request {
		r := v4(handle)
		r.Extra = func(addrs []netip.Addr) []store.Op {
			return []store.Op{{Kind: store.OpCreate, Key: endpointKey(endpoint), Value: &storetest.Thing{Text: addrs[0].String()}}}
		}
		return r
	}
	addr := assign(t, a, with("h1", "e1"))[0]
	o, err := s.Get(soon(t), endpointKey("e1"))
	if err != nil || o.Value.(*storetest.Thing).Text != addr.String() {
		t.Fatalf("%+v, %v", o, err)
	}
	ready := make(chan struct{})
	s.hold = func([]store.Op) error { <-ready; return nil }
	results := make(chan error, 3)
	for i, r := range []ipam.Request{with("h2", "e2"), with("h3", "e1"), with("h4", "e4")} {
		go func() { _, err := a.Assign(soon(t), r); results <- err }()
		time.Sleep(time.Duration(10*(i+1)) * time.Millisecond)
	}
	close(ready)
	failed := 0
	for range 3 {
		if err := <-results; errors.Is(err, store.ErrExists) {
			failed++
		} else if err != nil {
			t.Error(err)
		}
	}
	if failed != 1 {
		t.Errorf("%d requests failed, want the one whose endpoint exists", failed)
	}
	s.hold = nil
	// A delete of what is gone does not keep addresses; one at another revision does.
	release(t, a, "h2", store.Op{Kind: store.OpDelete, Key: endpointKey("e2")}, store.Op{Kind: store.OpDelete, Key: endpointKey("gone")})
	if _, err := s.Get(soon(t), endpointKey("e2")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the endpoint is still there: %v", err)
	}
	err = a.Release(soon(t), "h4", store.Op{Kind: store.OpDelete, Key: endpointKey("e4"), Revision: 1})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("release with a stale endpoint: %v", err)
	}
	state := snapshot(t, s)
	if len(state.Handles) != 2 {
		t.Errorf("%d handles, want those of h1 and h4", len(state.Handles))
	}
}

// TestLostAnswer: the store did the write but did not say so. The caller's DEL finds what it must free, and the next
// request does not get the same address.
func TestLostAnswer(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 26))
	a := node(s, "n1", in)
	first := assign(t, a, v4("h1"))
	s.after = func() error { return store.ErrUnavailable }
	if _, err := a.Assign(soon(t), v4("h2")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	s.after = nil
	third := assign(t, a, v4("h3"))
	if len(snapshot(t, s).Handles) != 3 {
		t.Error("the store did not do the write: this test shows nothing")
	}
	release(t, a, "h2")
	fits(t, s, in, append(first, third...))
}

// TestCallerGone: an address that is given to nobody any more is taken back without being asked.
func TestCallerGone(t *testing.T) {
	s := newStore()
	in := inputs(pool("a", "10.1.0.0/24", 26))
	a := node(s, "n1", in)
	kept := assign(t, a, v4("h1"))
	entered, leave := make(chan struct{}), make(chan struct{})
	s.hold = func([]store.Op) error { close(entered); <-leave; return nil }
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error)
	go func() { _, err := a.Assign(ctx, v4("h2")); gone <- err }()
	<-entered
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.hold = nil
	close(leave)
	for end := time.Now().Add(5 * time.Second); len(snapshot(t, s).Handles) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the address stays with nobody")
		}
	}
	fits(t, s, in, kept)
}

// TestClaimsMeetOthers: what stands in the way of a claim, and what another run has left half done.
func TestClaimsMeetOthers(t *testing.T) {
	cidr := netip.MustParsePrefix("10.65.107.0/26") // compat-node's first
	key := model.Key{Kind: model.KindBlock, Name: cidr.String()}
	affinity := func(owner string, state model.AffinityState) func(*testing.T, *watched) {
		return func(t *testing.T, s *watched) {
			put(t, s, model.Key{Kind: model.KindAffinity, Namespace: owner, Name: cidr.String()},
				&model.Affinity{Owner: owner, CIDR: cidr, State: state})
		}
	}
	block := func(owner string) func(*testing.T, *watched) {
		return func(t *testing.T, s *watched) { put(t, s, key, emptyBlock(cidr, owner)) }
	}
	for _, c := range []struct {
		name   string
		before []func(*testing.T, *watched)
		want   string
	}{
		{"free", nil, "10.65.107.0"},
		{"pending, block missing", []func(*testing.T, *watched){affinity("host:compat-node", model.AffinityPending)}, "10.65.107.0"},
		{"pending, block there", []func(*testing.T, *watched){affinity("host:compat-node", model.AffinityPending), block("host:compat-node")}, "10.65.107.0"},
		{"being deleted", []func(*testing.T, *watched){affinity("host:compat-node", model.AffinityPendingDeletion), block("host:compat-node")}, "10.65.107.0"},
		{"ours without affinity", []func(*testing.T, *watched){block("host:compat-node")}, "10.65.107.0"},
		{"somebody else's", []func(*testing.T, *watched){affinity("host:x", model.AffinityConfirmed), block("host:x")}, "10.65.107.64"},
		{"lost to somebody else", []func(*testing.T, *watched){affinity("host:compat-node", model.AffinityPending), affinity("host:x", model.AffinityConfirmed), block("host:x")}, "10.65.107.64"},
		{"somebody else claims it", []func(*testing.T, *watched){affinity("host:x", model.AffinityPending)}, "10.65.107.0"},
	} {
		for _, steps := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, steps=%v", c.name, steps), func(t *testing.T) {
				s := newStore()
				s.steps = steps
				for _, b := range c.before {
					b(t, s)
				}
				a := node(s, "compat-node", inputs(pool("a", "10.65.0.0/16", 26)))
				if got := assign(t, a, v4("h"))[0]; got.String() != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				for _, f := range snapshot(t, s).Affinities {
					if f.Owner == "host:compat-node" && (f.State != model.AffinityConfirmed || !f.CIDR.Contains(netip.MustParseAddr(c.want))) {
						t.Errorf("affinity %+v stays", f)
					}
				}
			})
		}
	}
}

// TestClaimIsLostInTheLastMoment: another node creates the block after this one has looked.
func TestClaimIsLostInTheLastMoment(t *testing.T) {
	for _, steps := range []bool{false, true} {
		s := newStore()
		s.steps = steps
		in := inputs(pool("a", "10.65.0.0/16", 26))
		cidr := netip.MustParsePrefix("10.65.107.0/26")
		once := false
		s.hold = func(ops []store.Op) error {
			if !once {
				once = true
				put(t, s, model.Key{Kind: model.KindBlock, Name: cidr.String()}, emptyBlock(cidr, "host:x"))
			}
			return nil
		}
		if got := assign(t, node(s, "compat-node", in), v4("h"))[0]; got.String() != "10.65.107.64" {
			t.Errorf("steps=%v: got %s", steps, got)
		}
		state := snapshot(t, s)
		if len(state.Affinities) != 1 || len(state.Blocks) != 2 {
			t.Errorf("steps=%v: affinities %+v", steps, state.Affinities)
		}
	}
}

func put(t testing.TB, s *watched, key model.Key, value any) {
	t.Helper()
	if _, err := s.Store.Txn(soon(t), store.Op{Kind: store.OpPut, Key: key, Value: value}); err != nil {
		t.Fatal(err)
	}
}

func emptyBlock(cidr netip.Prefix, affinity string) *model.Block {
	n := 1 << (cidr.Addr().BitLen() - cidr.Bits())
	b := &model.Block{CIDR: cidr, Affinity: affinity, AffinityClaimTime: time.Now().UTC(), Allocations: slices.Repeat([]int{-1}, n),
		SequenceNumber: 1, SequenceNumbers: map[int]uint64{}}
	for i := range n {
		b.Unallocated = append(b.Unallocated, i)
	}
	return b
}
