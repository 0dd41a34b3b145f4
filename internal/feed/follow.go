package feed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// The times of a connection. quiet and probeTimeout together are the 15 s in which a dead connection is noticed.
const (
	firstDelay   = 50 * time.Millisecond // before the second attempt; doubled for each further one
	longestDelay = 2 * time.Second
	quiet        = 10 * time.Second // without any sign of the watch before the store is asked whether it is there
	probeTimeout = 5 * time.Second
	settled      = 2 * time.Second  // a session that lasted this long was a good one: the next delay is the first again
	resumeWithin = 10 * time.Second // after a longer loss everything is listed again, not only what was missed
)

// olderLists is how many lists in a row must be older than what was given before they are believed: then the store
// was put back to an earlier state.
const olderLists = 5

// errOlder says that a list was older than what was given.
var errOlder = errors.New("the store's answer is older than what it gave before")

// session is what one stretch of connection leaves to the next.
type session struct {
	listed bool // the memory is whole: a watch may go on from its revision
	older  int  // lists in a row that were older than the memory
}

// follow keeps a list and a watch going until ctx ends.
func (f *Feed) follow(ctx context.Context) {
	var s session
	delay, failing := firstDelay, false
	var lost time.Time // when the connection was last seen well
	for ctx.Err() == nil {
		if s.listed && !lost.IsZero() && time.Since(lost) > resumeWithin {
			s.listed = false
		}
		lasted, err := f.connect(ctx, &s, func() {
			if failing {
				f.log.Info("store is back")
			}
			failing = false
		})
		if ctx.Err() != nil {
			return
		}
		if lasted > 0 {
			lost = time.Now()
		}
		if lasted >= settled {
			delay = firstDelay
		}
		f.setConnected(false, err)
		if !failing && !errors.Is(err, store.ErrCompacted) {
			failing = true
			f.log.Warn("store is lost: what was given stands", "error", err)
		}
		// Half of the delay is left to chance, so that a cluster of feeds does not come back as one.
		wait(ctx, delay/2+rand.N(delay/2))
		delay = min(2*delay, longestDelay)
	}
}

// connect lists where needed, watches until that ends, and returns for how long it watched, and why it ended.
func (f *Feed) connect(ctx context.Context, s *session, up func()) (time.Duration, error) {
	if !s.listed {
		if err := f.list(ctx, s); err != nil {
			return 0, err
		}
	}
	watch, err := f.store.Watch(ctx, f.query, f.memory.floor)
	if err != nil {
		s.listed = s.listed && !errors.Is(err, store.ErrCompacted)
		return 0, err
	}
	began := time.Now()
	f.setConnected(true, nil)
	up()
	err = f.drain(ctx, watch)
	s.listed = f.memory.exact() && !errors.Is(err, store.ErrCompacted)
	return max(time.Since(began), 1), err
}

// list brings the memory, and the reader, to a whole list: what differs, and what is no longer there. Of the first list
// the reader gets each portion at once; later ones it gets as one step.
func (f *Feed) list(ctx context.Context, s *session) error {
	var l *relisting
	begin := func(revision store.Revision) error {
		restored := false
		if revision < f.memory.high {
			if s.older++; s.older < olderLists {
				return fmt.Errorf("list: %w: revision %d after %d", errOlder, revision, f.memory.high)
			}
			restored = true
			f.log.Warn("store was put back to an earlier state: taking it over whole", "revision", revision, "was", f.memory.high)
		}
		l = f.memory.relist(revision, restored)
		return nil
	}
	var changes []store.Event
	page := func(objects []store.Object, at store.Revision) error {
		if l == nil {
			if err := begin(at); err != nil {
				return err
			}
		}
		changes = l.page(objects, changes)
		if l.first {
			f.pending.add(changes, 0, false)
			changes = nil
		}
		return nil
	}
	revision, err := f.pages(ctx, page)
	if err == nil && l == nil { // there is no object
		err = begin(revision)
	}
	if err != nil {
		if l != nil {
			l.abandon()
		}
		return err
	}
	s.older, s.listed = 0, true
	f.pending.add(l.finish(changes), revision, true)
	return nil
}

// pages lists in portions where the store can.
func (f *Feed) pages(ctx context.Context, page func([]store.Object, store.Revision) error) (store.Revision, error) {
	if p, ok := f.store.(store.Pager); ok {
		return p.ListPages(ctx, f.query, page)
	}
	objects, revision, err := f.store.List(ctx, f.query)
	if err != nil {
		return 0, err
	}
	return revision, page(objects, revision)
}

// drain takes what a watch brings until it ends, and never waits for the reader. A watch that is silent is left alone
// as long as the store answers.
func (f *Feed) drain(ctx context.Context, watch store.Watch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		watch.Stop()
		for range watch.Batches() { // until it has let go
		}
	}()
	silence := time.NewTimer(quiet)
	defer silence.Stop()
	var probing chan error
	for {
		select {
		case batch, open := <-watch.Batches():
			if !open {
				return watch.Err()
			}
			silence.Reset(quiet)
			f.pending.add(f.memory.follow(batch), f.memory.floor, true)
		case <-silence.C:
			if probing == nil {
				probing = make(chan error, 1)
				go func() { probing <- f.probe(ctx) }()
			}
		case err := <-probing:
			if probing = nil; err != nil {
				return err
			}
			silence.Reset(quiet)
		}
	}
}

// probe asks the store for something that any back end knows how to look for. Any answer will do.
func (f *Feed) probe(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := f.store.Get(limited, model.Key{Kind: model.KindClusterInformation, Name: "default"})
	if errors.Is(err, store.ErrUnavailable) || limited.Err() != nil {
		return fmt.Errorf("a watch silent for %v: %w", quiet, err)
	}
	return nil
}

// wait sleeps, but not beyond the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
