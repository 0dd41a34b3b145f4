package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/store"
)

// TestRaceAndCrash: four nodes race for 2,000 addresses while their processes die, each life at the next crash point, and
// at every place by name. No address is ever given twice, and after garbage collection none is lost.
func TestRaceAndCrash(t *testing.T) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("steps=%v", steps), func(t *testing.T) {
			const seed = 20261120
			t.Logf("seed %d", seed)
			r := newRace(t, steps)
			var wg sync.WaitGroup
			for n := range 4 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					r.node(fmt.Sprint("node", n), rand.New(rand.NewPCG(seed, uint64(n))))
				}()
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			r.collect()
			r.fill()
			slices.Sort(r.names)
			t.Logf("%d lives ended at %d places: %q", r.kills, len(r.names), r.names)
			if r.kills < 100 {
				t.Errorf("%d lives: too few to show anything", r.kills)
			}
		})
	}
}

type race struct {
	t     *testing.T
	in    ipam.Inputs
	store *watched

	mu     sync.Mutex
	used   map[netip.Addr]string // by handle, as the callers know it
	killed map[string]bool       // places
	names  []string
	kills  int
}

func newRace(t *testing.T, steps bool) *race {
	in := inputs(pool("a", "10.1.0.0/21", 26))
	in.Reservations = []netip.Prefix{netip.MustParsePrefix("10.1.7.208/28"), netip.MustParsePrefix("10.1.7.224/27")}
	s := newStore()
	s.steps = steps
	return &race{t: t, in: in, store: s, used: map[netip.Addr]string{}, killed: map[string]bool{}}
}

// life is one process: it ends when it has passed so many crash points, or at the first place where none has died yet.
type life struct {
	*race
	ctx    context.Context
	cancel context.CancelFunc
	left   int
	dead   bool
}

func (r *race) begin(points int) *life {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	return &life{race: r, ctx: ctx, cancel: cancel, left: points}
}

// at ends the goroutine that writes, as the end of the process would: nothing of what follows happens.
func (l *life) at(point string) {
	l.mu.Lock()
	l.left--
	fresh := !l.killed[point]
	die := l.dead || l.left <= 0 || fresh
	if die && !l.dead {
		l.dead = true
		l.kills++
		if fresh {
			l.killed[point] = true
			l.names = append(l.names, point)
		}
	}
	l.mu.Unlock()
	if die {
		l.cancel()
		runtime.Goexit()
	}
}

func (l *life) allocator(name string) *ipam.Allocator {
	s := &watched{Store: l.store.Store, steps: l.store.steps}
	s.each = func(op store.Op) { l.at(fmt.Sprintf("before step %d of %s", op.Kind, op.Key.Kind)) }
	a := ipam.New(s, name, ipam.Options{Handles: true, Crash: l.at})
	a.SetInputs(l.in)
	return a
}

// node lives again and again, longer each time, until the pool is full or it has lived long enough.
func (r *race) node(name string, random *rand.Rand) {
	for n := 1; n <= 30 && !r.t.Failed(); n++ {
		l := r.begin(n)
		a := l.allocator(name)
		var wg sync.WaitGroup
		for w := range 4 {
			seed := random.Uint64()
			wg.Add(1)
			go func() {
				defer wg.Done()
				l.work(a, fmt.Sprintf("%s.%d.%d", name, n, w), rand.New(rand.NewPCG(seed, 0)))
			}()
		}
		wg.Wait()
		l.cancel()
	}
}

// work assigns, and releases a third of it again, until the process dies or the pool is full.
func (l *life) work(a *ipam.Allocator, name string, random *rand.Rand) {
	var mine []string
	for i := 0; l.ctx.Err() == nil; i++ {
		if len(mine) > 0 && random.IntN(3) == 0 {
			k := random.IntN(len(mine))
			l.forget(mine[k])
			_ = a.Release(l.ctx, mine[k])
			mine = slices.Delete(mine, k, k+1)
			continue
		}
		handle := fmt.Sprintf("%s.%d", name, i)
		addrs, err := a.Assign(l.ctx, v4(handle))
		if errors.Is(err, ipam.ErrNoAddress) {
			return
		}
		if err == nil {
			l.given(addrs, handle)
			mine = append(mine, handle)
		} else if l.ctx.Err() == nil {
			l.t.Errorf("%s: %v", handle, err)
			return
		}
	}
}

func (r *race) given(addrs []netip.Addr, handle string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, addr := range addrs {
		if other, ok := r.used[addr]; ok {
			r.t.Errorf("%s is given to %s and %s", addr, other, handle)
		}
		r.used[addr] = handle
	}
}

func (r *race) forget(handle string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for addr, h := range r.used {
		if h == handle {
			delete(r.used, addr)
		}
	}
}

// collect runs garbage collection, which dies at every one of its crash points too, until it has nothing left to do.
func (r *race) collect() {
	for n := 1; ; n++ {
		l := r.begin(n)
		a := l.allocator("gc")
		completed := make(chan bool, 1)
		go func() {
			done := false
			defer func() { completed <- done }()
			for range 2 { // a store without transactions is believed at the second look
				if _, err := a.GC(context.Background(), r.inUse); err != nil {
					r.t.Error(err)
				}
			}
			done = true
		}()
		done := <-completed
		l.cancel()
		if done {
			break
		}
	}
	var used []netip.Addr
	for addr := range r.used {
		used = append(used, addr)
	}
	fits(r.t, r.store, r.in, used)
}

func (r *race) inUse(handle string, _ map[string]string, addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used[addr] == handle
}

// fill takes what is left: in the end each of the 2,000 has exactly one owner.
func (r *race) fill() {
	for n := range 4 {
		name := fmt.Sprint("node", n)
		a := node(r.store, name, r.in)
		for i := 0; ; i++ {
			handle := fmt.Sprintf("%s.fill.%d", name, i)
			addrs, err := a.Assign(soon(r.t), v4(handle))
			if errors.Is(err, ipam.ErrNoAddress) {
				break
			}
			if err != nil {
				r.t.Fatal(err)
			}
			r.given(addrs, handle)
		}
	}
	if len(r.used) != 2000 {
		r.t.Errorf("%d addresses can be given, want 2000", len(r.used))
	}
}
