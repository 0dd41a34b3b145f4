package plane_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/plane"
)

// fake is a plane that counts and fails on command.
type fake struct {
	mu      sync.Mutex
	syncs   int
	applied []intent.KernelChange
	fail    error
	damage  chan string
}

func (f *fake) Name() string { return "fake" }
func (f *fake) Sync(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs++
	return nil
}
func (f *fake) Apply(_ context.Context, c []intent.KernelChange, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, c...)
	return f.fail
}
func (f *fake) Status() plane.Status  { return plane.Status{} }
func (f *fake) Damage() <-chan string { return f.damage }
func (f *fake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}
func (f *fake) counts() (syncs, applied int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs, len(f.applied)
}

func sysctl(path string) intent.KernelChange {
	o := &intent.Sysctl{Path: path}
	return intent.KernelChange{Ref: o.Ref(), Object: o}
}

func start(t *testing.T) (*fake, *plane.Runner) {
	f := &fake{damage: make(chan string, 100)}
	r := plane.NewRunner(f, slog.New(slog.NewTextHandler(io.Discard, nil)), nil, intent.KindSysctl)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return f, r
}

func TestRunnerTakesOnlyItsKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := start(t)
		route := &intent.Route{ID: "x"}
		r.Give(1, []intent.KernelChange{sysctl("a"), {Ref: route.Ref(), Object: route}}, true)
		if err := r.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, n := f.counts(); n != 1 {
			t.Fatalf("%d changes reached the plane, want 1", n)
		}
	})
}

func TestRunnerRetriesUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := start(t)
		f.set(errors.New("kernel says no"))
		r.Give(1, []intent.KernelChange{sysctl("a")}, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Wait(ctx, 1); err == nil || err.Error() != "plane fake: kernel says no" {
			t.Fatalf("Wait: %v", err)
		}
		f.set(nil)
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := r.Wait(ctx, 1); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRunnerBacksOffWhenTheSameObjectIsDamagedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := start(t)
		r.Give(1, nil, true)
		if err := r.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		first, _ := f.counts()
		for range 19 {
			f.damage <- "chain x"
			time.Sleep(time.Second)
		}
		syncs, _ := f.counts()
		if got := syncs - first; got != 3 {
			t.Fatalf("%d repairs in 19 s, want 3", got)
		}
		f.damage <- "chain y"
		synctest.Wait()
		if now, _ := f.counts(); now != syncs+1 {
			t.Fatal("damage of another object was not repaired at once")
		}
	})
}

func TestRunnerDoesNothingBeforeTheIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := start(t)
		f.damage <- "x"
		synctest.Wait()
		if _, n := f.counts(); n != 0 {
			t.Fatal("applied without intent")
		}
	})
}
