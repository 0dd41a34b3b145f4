package mem

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// watch reads the store's history at its own pace.
type watch struct {
	batches chan store.Batch
	stop    context.CancelFunc

	mu  sync.Mutex
	err error
}

func (w *watch) Batches() <-chan store.Batch { return w.batches }
func (w *watch) Stop()                       { w.stop() }

func (w *watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Watch follows a query from just after a revision. A revision that the store has not reached, or has forgotten, is
// ErrCompacted.
func (s *Store) Watch(ctx context.Context, q store.Query, after store.Revision) (store.Watch, error) {
	if len(q.Kinds) == 0 {
		return nil, fmt.Errorf("watch: %w: a query names at least one kind", store.ErrInvalid)
	}
	if err := s.admit(ctx, "watch", model.Key{Kind: q.Kinds[0], Namespace: q.Namespace}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	compacted, current, away := s.compacted, s.revision, s.away
	s.mu.Unlock()
	if after < compacted || after > current {
		return nil, fmt.Errorf("watch after revision %d: %w: %d to %d can be served", after, store.ErrCompacted, compacted, current)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{batches: make(chan store.Batch), stop: cancel}
	go func() {
		defer cancel()
		err := s.follow(ctx, w, q, after, away)
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		close(w.batches)
	}()
	return w, nil
}

// follow sends what happens until the watch ends, and says why it ended. away is closed when the connection is cut that
// the watch began with.
func (s *Store) follow(ctx context.Context, w *watch, q store.Query, after store.Revision, away <-chan struct{}) error {
	for {
		s.mu.Lock()
		changed, compacted, current := s.changed, s.compacted, s.revision
		var pending []change
		if after >= compacted {
			from := sort.Search(len(s.history), func(i int) bool { return s.history[i].revision > after })
			pending = s.history[from:len(s.history):len(s.history)]
		}
		s.mu.Unlock()

		select {
		case <-away:
			return fmt.Errorf("watch: %w", store.ErrUnavailable)
		default:
		}
		switch {
		case after < compacted:
			return fmt.Errorf("watch after revision %d: %w: %d is the oldest that can be served", after, store.ErrCompacted, compacted)
		case len(pending) == 0:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-away:
			case <-changed:
			}
			continue
		}
		batch := store.Batch{Revision: current}
		for _, c := range pending {
			if !matches(q, c.key) {
				continue
			}
			event := store.Event{Object: store.Object{Key: c.key, Revision: c.revision}, Deleted: c.raw == nil}
			if !event.Deleted {
				event.Object = s.object(c.key, c.revision, c.raw)
			}
			batch.Events = append(batch.Events, event)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-away:
		case w.batches <- batch:
			after = current
		}
	}
}

// notify wakes all watches. mu is held.
func (s *Store) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// forget drops at least the n oldest entries of the history, and the rest of the revision that the last belongs to.
// mu is held.
func (s *Store) forget(n int) {
	for n < len(s.history) && n > 0 && s.history[n].revision == s.history[n-1].revision {
		n++
	}
	if n == 0 {
		return
	}
	s.compacted = s.history[n-1].revision
	s.history = append([]change(nil), s.history[n:]...)
}
