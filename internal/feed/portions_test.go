package feed

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
)

// breaking is a store whose first list breaks off after its first portion.
type breaking struct {
	*mem.Store
	broken func() // nil: it did
}

func (b *breaking) ListPages(ctx context.Context, q store.Query, page func([]store.Object, store.Revision) error) (store.Revision, error) {
	return b.Store.ListPages(ctx, q, func(objects []store.Object, at store.Revision) error {
		if err := page(objects, at); err != nil || b.broken == nil {
			return err
		}
		b.broken()
		b.broken = nil
		return store.ErrUnavailable
	})
}

// TestFirstListBreaksOff: what was given of a first list that broke off stands, is not given again, and what of it is
// gone by the next one is said to be; nothing is in sync before a list was whole.
func TestFirstListBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &breaking{Store: memStore(t)}
		const objects = 2500
		for i := range objects {
			put(t, s.Store, pool(fmt.Sprintf("%04d", i)), 1)
		}
		s.broken = func() {
			remove(t, s.Store, pool("0000"))
			put(t, s.Store, pool("0001"), 2)
		}
		f, r := run(t, s)
		synctest.Wait()
		state, batches := r.snapshot()
		if len(state) == 0 || len(state) == objects || f.Status().InSync {
			t.Fatalf("%d objects given, in sync %v: want a part of the list", len(state), f.Status().InSync)
		}
		for _, b := range batches {
			if b.InSync || b.Revision != 0 {
				t.Errorf("a batch of a part of the list: revision %d, in sync %v", b.Revision, b.InSync)
			}
		}
		time.Sleep(longestDelay)
		synctest.Wait()
		state, batches = r.snapshot()
		updates := 0
		for _, b := range batches {
			updates += len(b.Updates)
		}
		if len(state) != objects-1 || state[pool("0001")] != "2" || r.deleted[pool("0000")] != 1 || !f.Status().InSync {
			t.Errorf("%d objects, the changed one is %q, the removed one was deleted %d times, in sync %v",
				len(state), state[pool("0001")], r.deleted[pool("0000")], f.Status().InSync)
		}
		if updates != objects+2 {
			t.Errorf("%d updates: want each object once, and the two changes", updates)
		}
	})
}
