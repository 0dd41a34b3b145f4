package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/store"
)

// Feed is one stream of state. Make it with New, and Run it once.
type Feed struct {
	store  store.Store
	query  store.Query
	decode Decode
	log    *slog.Logger

	pending pending
	memory  memory

	mu     sync.Mutex
	status Status
}

// New makes a feed of what a query selects. A nil log is silence.
func New(s store.Store, q store.Query, decode Decode, log *slog.Logger) *Feed {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Feed{
		store:   s,
		query:   q,
		decode:  decode,
		log:     log,
		pending: newPending(),
		memory:  newMemory(),
	}
}

// Run feeds out until ctx ends, and returns its error; a query that names no kind is ErrInvalid at once. It never
// closes out. A reader may be as slow as it likes: what it has not taken is kept once per key, in its latest state.
func (f *Feed) Run(ctx context.Context, out chan<- Batch) error {
	if len(f.query.Kinds) == 0 {
		return fmt.Errorf("feed: %w: a query names at least one kind", store.ErrInvalid)
	}
	var delivering sync.WaitGroup
	delivering.Go(func() { f.deliver(ctx, out) })
	f.follow(ctx)
	delivering.Wait()
	f.setConnected(false, ctx.Err())
	return ctx.Err()
}

// Status is how the feed stands now.
func (f *Feed) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// setConnected notes a change of the connection, or why it still cannot be had.
func (f *Feed) setConnected(connected bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.Connected != connected {
		f.status.Connected = connected
		f.status.Since = time.Now().Unix()
	}
	if f.status.LastError = ""; err != nil {
		f.status.LastError = err.Error()
	}
}

// setReached notes how far the reader has been brought.
func (f *Feed) setReached(revision store.Revision, inSync bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Revision, f.status.InSync = revision, inSync
}
