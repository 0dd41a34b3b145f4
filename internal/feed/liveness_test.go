package feed

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
)

// frozen is a store whose packets vanish: while frozen, watches bring nothing and calls hang until their context ends.
type frozen struct {
	*mem.Store
	on            atomic.Bool
	watches, gets atomic.Int32
}

func (s *frozen) Get(ctx context.Context, key model.Key) (store.Object, error) {
	s.gets.Add(1)
	if s.on.Load() {
		<-ctx.Done()
		return store.Object{}, fmt.Errorf("get: %w", store.ErrUnavailable)
	}
	return s.Store.Get(ctx, key)
}

func (s *frozen) Watch(ctx context.Context, q store.Query, after store.Revision) (store.Watch, error) {
	if s.on.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s.watches.Add(1)
	inner, err := s.Store.Watch(ctx, q, after)
	if err != nil {
		return nil, err
	}
	w := &frozenWatch{Watch: inner, out: make(chan store.Batch)}
	go func() {
		defer close(w.out)
		for b := range inner.Batches() {
			if s.on.Load() {
				continue // lost on the way
			}
			select {
			case w.out <- b:
			case <-ctx.Done():
			}
		}
	}()
	return w, nil
}

type frozenWatch struct {
	store.Watch
	out chan store.Batch
}

func (w *frozenWatch) Batches() <-chan store.Batch { return w.out }

func TestVanishedPacketsAreNoticedWithin15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &frozen{Store: memStore(t)}
		put(t, s, pool("a"), 1)
		f, r := run(t, s)
		synctest.Wait()
		s.on.Store(true)
		put(t, s, pool("a"), 2) // nobody hears of it
		time.Sleep(15*time.Second - time.Millisecond)
		synctest.Wait()
		if !f.Status().Connected {
			t.Error("given up before the store had time to answer")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if f.Status().Connected {
			t.Error("still thought to be connected after 15 s without a sign of life")
		}
		s.on.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		r.want(map[model.Key]string{pool("a"): "2"})
	})
}

func TestQuietHealthyWatchIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &frozen{Store: memStore(t)}
		put(t, s, pool("a"), 1)
		f, r := run(t, s)
		synctest.Wait()
		since := f.Status().Since
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.watches.Load(); got != 1 {
			t.Errorf("%d watches in a quiet hour; want 1", got)
		}
		if got := s.gets.Load(); got < 300 || got > 361 {
			t.Errorf("%d questions in a quiet hour; want one per %v", got, quiet)
		}
		if st := f.Status(); !st.Connected || st.Since != since {
			t.Errorf("status %+v", st)
		}
		if _, batches := r.snapshot(); len(batches) != 1 {
			t.Errorf("%d batches; want the first", len(batches))
		}
	})
}

func TestAttemptsSlowDownToTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		var attempts atomic.Int32
		s.Fail(func(op string, _ model.Key) error {
			if op == "list" {
				attempts.Add(1)
			}
			return store.ErrUnavailable
		})
		run(t, s)
		time.Sleep(time.Minute)
		if got := attempts.Load(); got < 30 || got > 70 { // 1 to 2 s apart, and a few quick ones at first
			t.Errorf("%d attempts in a minute", got)
		}
	})
}
