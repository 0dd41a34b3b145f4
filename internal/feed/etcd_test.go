package feed

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/etcd"
	"github.com/tortie-net/tortie/internal/store/etcd/embedded"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

// realEtcd is an etcd server that can be stopped and started again, and a store in it.
type realEtcd struct {
	t       *testing.T
	config  embedded.Config
	running *embedded.Server
	*etcd.Store
}

func newRealEtcd(t *testing.T) *realEtcd {
	dir := t.TempDir()
	endpoint := "unix://" + filepath.Join(dir, "s")
	e := &realEtcd{t: t, config: embedded.Config{Dir: filepath.Join(dir, "data"), Listen: []string{endpoint}}}
	e.start()
	t.Cleanup(func() { _ = e.running.Stop() })
	e.Store = e.open()
	return e
}

func (e *realEtcd) open() *etcd.Store {
	s, err := etcd.Open(etcd.Config{Endpoints: e.config.Listen}, storetest.Codec{})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (e *realEtcd) start() {
	var err error
	if e.running, err = embedded.Start(e.config); err != nil {
		e.t.Fatal(err)
	}
}

// until waits for a condition, and returns how long it took.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

func (r *reader) holds(want map[model.Key]string) func() bool {
	return func() bool { got, _ := r.snapshot(); return maps.Equal(got, want) }
}

// TestEtcdStoppedAndStartedUnderChange stops and starts a real server while objects change, with a writer that is away
// as long as the server is, and one that writes between its return and the feed's.
func TestEtcdStoppedAndStartedUnderChange(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	e := newRealEtcd(t)
	f, r := run(t, e)
	truth := map[model.Key]string{}
	removed := map[model.Key]int{}
	counter := 0
	change := func(s store.Store) {
		counter++
		key := []model.Key{pool(fmt.Sprint(random.IntN(9))), {Kind: model.KindPod, Namespace: "n", Name: fmt.Sprint(random.IntN(9))}}[random.IntN(2)]
		if _, exists := truth[key]; exists && random.IntN(3) == 0 {
			remove(t, s, key)
			removed[key]++
			delete(truth, key)
			return
		}
		put(t, s, key, counter)
		truth[key] = fmt.Sprint(counter)
	}
	for round, away := range []time.Duration{0, 300 * time.Millisecond, 700 * time.Millisecond, 7 * time.Second} { // the last: all back-offs at their longest
		for range 60 {
			change(e)
		}
		if round%2 == 0 { // with some changes still under way, and with all of them arrived
			until(t, 5*time.Second, "changes arrive", r.holds(truth))
		}
		if err := e.running.Stop(); err != nil {
			t.Fatal(err)
		}
		until(t, 3*time.Second, "the loss is noticed", func() bool { return !f.Status().Connected })
		time.Sleep(away)
		e.start()
		fresh := e.open() // somebody else, who is back sooner than the feed
		for range 20 {
			change(fresh)
		}
		took := until(t, 5*time.Second, "all converges after the return", r.holds(truth))
		t.Logf("away for %v: converged %v after the return", away, took)
	}
	until(t, 5*time.Second, "the revision arrives", func() bool {
		_, revision, err := e.List(context.Background(), query)
		return err == nil && f.Status().Revision >= revision
	})
	for key, n := range r.deleted {
		if n > removed[key] {
			t.Errorf("%s was reported deleted %d times, and was %d times", key, n, removed[key])
		}
	}
	if st := f.Status(); !st.Connected || !st.InSync || st.LastError != "" {
		t.Errorf("status %+v", st)
	}
}

// TestEtcdWithEarlierData starts the server again without the data that it had.
func TestEtcdWithEarlierData(t *testing.T) {
	e := newRealEtcd(t)
	_, r := run(t, e)
	for i := range 50 {
		put(t, e, pool(fmt.Sprint(i)), i)
	}
	until(t, 5*time.Second, "all arrives", func() bool { got, _ := r.snapshot(); return len(got) == 50 })
	r.mu.Lock()
	r.rewound = true
	r.mu.Unlock()
	if err := e.running.Stop(); err != nil {
		t.Fatal(err)
	}
	e.config.Dir += "-new" // as empty as a data folder that was lost
	e.start()
	put(t, e, pool("only"), 1)
	took := until(t, 10*time.Second, "the new state is taken over", r.holds(map[model.Key]string{pool("only"): "1"}))
	t.Logf("taken over after %v", took)
}
