package plane

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
)

// Runner gives one plane its goroutine: it hands changes on, tries again what failed, answers damage, and lets others wait
// for a change to be in the kernel. Give, Wait and Status are safe for concurrent use.
type Runner struct {
	plane Plane
	kinds map[intent.Kind]bool
	log   *slog.Logger

	mu      sync.Mutex
	queue   []intent.KernelChange
	given   uint64 // sequence number of the newest change in queue or before it
	done    uint64 // sequence number up to which Apply has been called
	whole   bool
	err     error // of the last Apply
	status  Status
	changed chan struct{} // closed and replaced when done moves
	wake    chan struct{}
	calls   chan func()
	repairs Repairs[string] // by what Damage said
	alive   func()
}

// The limits of retries and repairs.
const (
	retryMin    = 100 * time.Millisecond
	retryMax    = 5 * time.Second
	resyncAfter = 3 // failures in a row before the kernel is read anew
	beatEvery   = 5 * time.Second
)

// NewRunner returns the runner of a plane that takes the given kinds of objects. alive, where not nil, is called at least
// every 5 s while the plane's goroutine is not stuck.
func NewRunner(p Plane, log *slog.Logger, alive func(), kinds ...intent.Kind) *Runner {
	r := &Runner{
		plane: p, log: log.With("plane", p.Name()), kinds: map[intent.Kind]bool{}, alive: alive,
		changed: make(chan struct{}), wake: make(chan struct{}, 1), calls: make(chan func()),
	}
	if alive == nil {
		r.alive = func() {}
	}
	for _, k := range kinds {
		r.kinds[k] = true
	}
	return r
}

// Name is the plane's.
func (r *Runner) Name() string { return r.plane.Name() }

// Give hands changes to the plane under a sequence number that only grows. whole: the desired state is complete now.
func (r *Runner) Give(seq uint64, changes []intent.KernelChange, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.queue)
	for _, c := range changes {
		if r.kinds[c.Ref.Kind] {
			r.queue = append(r.queue, c)
		}
	}
	idle := r.done == r.given && r.err == nil
	r.given = seq
	if idle && before == 0 && len(r.queue) == 0 && whole == r.whole && seq > 1 {
		r.done = seq // nothing for this plane: it is there already
		r.broadcast()
		return
	}
	r.whole = whole
	r.kick()
}

func (r *Runner) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Runner) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Wait returns when everything given up to a sequence number has been applied: nil, or why it failed. A plane that fails
// keeps trying; so does Wait until ctx ends.
func (r *Runner) Wait(ctx context.Context, seq uint64) error {
	for {
		r.mu.Lock()
		done, err, changed := r.done >= seq, r.err, r.changed
		r.mu.Unlock()
		if done && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if done {
				return fmt.Errorf("plane %s: %w", r.plane.Name(), err)
			}
			return fmt.Errorf("plane %s has not applied the change: %w", r.plane.Name(), context.Cause(ctx))
		case <-changed:
		}
	}
}

// Call runs f on the plane's goroutine, between two Applies, and waits for it; f may read the plane.
func (r *Runner) Call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.calls <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-ctx.Done():
		return fmt.Errorf("plane %s is busy: %w", r.plane.Name(), context.Cause(ctx))
	}
}

// Status is the plane's, as of its last Apply, and that Apply's error.
func (r *Runner) Status() (Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status, r.err
}

// Applied tells whether everything given so far is in the kernel.
func (r *Runner) Applied() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.given > 0 && r.done == r.given && r.err == nil
}

// Run reads the kernel and serves the plane until ctx ends.
func (r *Runner) Run(ctx context.Context) {
	var damaged <-chan string
	if w, ok := r.plane.(Watcher); ok {
		damaged = w.Damage()
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	defer retry.Stop()

	synced, failures := false, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			r.alive()
			continue
		case f := <-r.calls:
			f()
			continue
		case <-r.wake:
		case <-retry.C:
		case what := <-damaged:
			synced = false // whatever was touched is compared at the next Apply
			if wait := r.assess(what, damaged); wait > 0 {
				retry.Reset(wait)
				continue
			}
		}
		r.alive()
		if !synced {
			if err := r.plane.Sync(ctx); err != nil {
				failures++
				r.finish(fmt.Errorf("read the kernel: %w", err), false, 0)
				retry.Reset(delay(failures))
				continue
			}
			synced = true
		}
		err := r.apply(ctx)
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		failures++
		if failures%resyncAfter == 0 {
			synced = false
		}
		r.log.Warn("apply failed; trying again", "err", err, "failures", failures)
		retry.Reset(delay(failures))
	}
}

func delay(failures int) time.Duration {
	return min(retryMax, retryMin<<min(failures-1, 10))
}

func (r *Runner) apply(ctx context.Context) error {
	r.mu.Lock()
	queue, seq, whole := r.queue, r.given, r.whole
	r.queue = nil
	r.mu.Unlock()
	if seq == 0 {
		return nil // no intent yet: nothing in the kernel changes (R144)
	}
	err := r.plane.Apply(ctx, queue, whole)
	r.finish(err, true, seq)
	return err
}

func (r *Runner) finish(err error, applied bool, seq uint64) {
	status := r.plane.Status()
	r.mu.Lock()
	defer r.mu.Unlock()
	if applied {
		r.done = seq
	}
	r.err, r.status = err, status
	r.broadcast()
}

// assess takes the damages that are waiting, so that one comparison serves them all, and tells how long to leave them:
// 0, unless each of them was repaired too often of late.
func (r *Runner) assess(what string, more <-chan string) time.Duration {
	wait := time.Duration(-1)
	for {
		w, _ := r.repairs.Now(what, time.Now())
		if w > 0 {
			r.log.Warn("damaged again and again by somebody else; repaired later", "object", what, "wait", w)
		} else {
			r.log.Info("damaged by somebody else; repairing", "object", what)
		}
		if wait < 0 || w < wait {
			wait = w
		}
		select {
		case what = <-more:
		default:
			return wait
		}
	}
}
