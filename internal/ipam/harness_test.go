package ipam_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched is a store that counts transactions, and can let one fail or wait.
type watched struct {
	store.Store
	steps bool // act like a back end without transactions
	txns  atomic.Int64
	hold  func(ops []store.Op) error // before a transaction
	after func() error               // after one was done
	each  func(op store.Op)          // before each operation, with steps
}

func (w *watched) Transactional() bool { return !w.steps }

func (w *watched) Txn(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	w.txns.Add(1)
	if w.hold != nil {
		if err := w.hold(ops); err != nil {
			return 0, err
		}
	}
	if w.steps {
		return w.inSteps(ctx, ops)
	}
	revision, err := w.Store.Txn(ctx, ops...)
	if err == nil && w.after != nil {
		err = w.after()
	}
	return revision, err
}

// inSteps does the operations one after the other, and undoes them when one fails.
func (w *watched) inSteps(ctx context.Context, ops []store.Op) (store.Revision, error) {
	var undo []store.Op
	var last store.Revision
	for _, op := range ops {
		if w.each != nil {
			w.each(op)
		}
		before, err := w.Store.Get(ctx, op.Key)
		existed := err == nil
		revision, err := w.Store.Txn(ctx, op)
		if err != nil {
			for _, u := range slices.Backward(undo) {
				if _, err := w.Store.Txn(ctx, u); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
					return 0, err
				}
			}
			return 0, err
		}
		last = revision
		switch {
		case op.Kind == store.OpCheck:
		case op.Kind == store.OpDelete:
			undo = append(undo, store.Op{Kind: store.OpCreate, Key: op.Key, Value: before.Value})
		case existed:
			undo = append(undo, store.Op{Kind: store.OpUpdate, Key: op.Key, Value: before.Value, Revision: revision})
		default:
			undo = append(undo, store.Op{Kind: store.OpDelete, Key: op.Key, Revision: revision})
		}
	}
	return last, nil
}

func newStore() *watched { return &watched{Store: mem.New(storetest.Codec{})} }

func pool(name, cidr string, size int, change ...func(*model.IPPool)) *model.IPPool {
	p := &model.IPPool{Name: name, CIDR: netip.MustParsePrefix(cidr), BlockSize: size, Workload: true, Tunnel: true}
	for _, c := range change {
		c(p)
	}
	return p
}

// inputs are of a cluster with these pools, all selected, and Calico's defaults.
func inputs(pools ...*model.IPPool) ipam.Inputs {
	in := ipam.Inputs{Pools: pools, Config: model.IPAMConfig{AutoAllocateBlocks: true}}
	for _, p := range pools {
		in.Selected = append(in.Selected, p.Name)
	}
	return in
}

func node(s store.Store, name string, in ipam.Inputs) *ipam.Allocator {
	a := ipam.New(s, name, ipam.Options{Handles: true})
	a.SetInputs(in)
	return a
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func assign(t testing.TB, a *ipam.Allocator, r ipam.Request) []netip.Addr {
	t.Helper()
	addrs, err := a.Assign(soon(t), r)
	if err != nil {
		t.Fatalf("assign %q: %v", r.Handle, err)
	}
	return addrs
}

func refused(t testing.TB, a *ipam.Allocator, r ipam.Request, want error, text string) {
	t.Helper()
	addrs, err := a.Assign(soon(t), r)
	if err == nil {
		t.Fatalf("assign %q: got %v, want an error", r.Handle, addrs)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Fatalf("assign %q: %v; want %v with %q", r.Handle, err, want, text)
	}
}

func release(t testing.TB, a *ipam.Allocator, handle string, also ...store.Op) {
	t.Helper()
	if err := a.Release(soon(t), handle, also...); err != nil {
		t.Fatal(err)
	}
}

// snapshot is what a store holds.
func snapshot(t testing.TB, s store.Store) (state ipam.State) {
	t.Helper()
	objects, _, err := s.List(soon(t), store.Query{Kinds: []model.Kind{model.KindBlock, model.KindAffinity, model.KindHandle}})
	if err != nil {
		t.Fatal(err)
	}
	state.Handles, state.Affinities = []*model.Handle{}, []*model.Affinity{}
	for _, o := range objects {
		switch v := o.Value.(type) {
		case *model.Block:
			state.Blocks = append(state.Blocks, v)
		case *model.Affinity:
			state.Affinities = append(state.Affinities, v)
		case *model.Handle:
			state.Handles = append(state.Handles, v)
		default:
			t.Fatalf("%s: %v", o.Key, o.Problem)
		}
	}
	return state
}

func v4(handle string) ipam.Request { return ipam.Request{Handle: handle, Want4: true} }

func both(handle string) ipam.Request { return ipam.Request{Handle: handle, Want4: true, Want6: true} }

// fits says that blocks, handles, affinities and the addresses in use agree.
func fits(t testing.TB, s store.Store, in ipam.Inputs, used []netip.Addr) {
	t.Helper()
	state := snapshot(t, s)
	state.Pools = in.Pools
	for _, addr := range used {
		state.Owners = append(state.Owners, ipam.Owner{Address: addr, Name: "test"})
	}
	for _, p := range ipam.Check(state) {
		t.Errorf("%s %s %s: %s", p.Kind, p.Address, p.Handle, p.Detail)
	}
}
