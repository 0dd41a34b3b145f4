package feed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var query = store.Query{Kinds: []model.Kind{model.KindIPPool, model.KindNetworkSet, model.KindPod}}

func pool(name string) model.Key { return model.Key{Kind: model.KindIPPool, Name: name} }

func thing(n int) *storetest.Thing { return &storetest.Thing{Text: strconv.Itoa(n)} }

// standIn is what a value that cannot be used becomes.
const standIn = "closed"

func decode(o store.Object) (any, error) {
	if o.Problem != nil {
		return standIn, o.Problem
	}
	if o.Value.(*storetest.Thing).Text == "invalid" {
		return standIn, errors.New("invalid")
	}
	return o.Value.(*storetest.Thing).Text, nil
}

// reader takes what a feed gives, and checks what must hold of each batch.
type reader struct {
	t   *testing.T
	out chan Batch

	mu       sync.Mutex
	paused   chan struct{} // not nil: takes nothing until it is closed
	state    map[model.Key]string
	problems map[model.Key]string
	batches  []Batch
	deleted  map[model.Key]int
	rewound  bool
}

// run starts a feed and its reader; both end with the test.
func run(t *testing.T, s store.Store) (*Feed, *reader) {
	f := New(s, query, decode, nil)
	r := &reader{t: t, out: make(chan Batch), state: map[model.Key]string{}, problems: map[model.Key]string{}, deleted: map[model.Key]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Run(ctx, r.out); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
	wg.Go(func() { r.read(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return f, r
}

func (r *reader) read(ctx context.Context) {
	for {
		r.mu.Lock()
		paused := r.paused
		r.mu.Unlock()
		if paused != nil {
			select {
			case <-paused:
			case <-ctx.Done():
				return
			}
		}
		select {
		case b := <-r.out:
			r.take(b)
		case <-ctx.Done():
			return
		}
	}
}

func (r *reader) take(b Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.batches); n > 0 && !r.rewound {
		if last := r.batches[n-1]; b.Revision < last.Revision || (last.InSync && !b.InSync) {
			r.t.Errorf("batch at %d, in sync %v, after one at %d, %v", b.Revision, b.InSync, last.Revision, last.InSync)
		}
	}
	r.batches = append(r.batches, b)
	for _, u := range b.Updates {
		if u.Value == nil {
			delete(r.state, u.Key)
			r.deleted[u.Key]++
			continue
		}
		text := u.Value.(string)
		was, _ := strconv.Atoi(r.state[u.Key])
		if is, err := strconv.Atoi(text); err == nil && is < was && !r.rewound {
			r.t.Errorf("%s moved back from %d to %d", u.Key, was, is)
		}
		r.state[u.Key] = text
	}
	for _, p := range b.Problems {
		if p.Err == nil {
			delete(r.problems, p.Key)
		} else {
			r.problems[p.Key] = p.Err.Error()
		}
	}
}

func (r *reader) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = make(chan struct{})
}

func (r *reader) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused != nil {
		close(r.paused)
		r.paused = nil
	}
}

func (r *reader) snapshot() (state map[model.Key]string, batches []Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.state), append([]Batch(nil), r.batches...)
}

func (r *reader) want(want map[model.Key]string) {
	r.t.Helper()
	got, _ := r.snapshot()
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("the reader's state (-want +got):\n%s", diff)
	}
}

func memStore(t *testing.T) *mem.Store {
	s := mem.New(storetest.Codec{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s store.Store, key model.Key, n int) {
	t.Helper()
	if _, err := s.Txn(context.Background(), store.Op{Kind: store.OpPut, Key: key, Value: thing(n)}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, s store.Store, key model.Key) {
	t.Helper()
	if err := s.Delete(context.Background(), key, 0); err != nil {
		t.Fatal(err)
	}
}

func TestFirstListIsOneBatchInSync(t *testing.T) {
	for _, objects := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(objects), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memStore(t)
				for i := range objects {
					put(t, s, pool(fmt.Sprint(i)), i)
				}
				f, r := run(t, s)
				synctest.Wait()
				_, batches := r.snapshot()
				if len(batches) != 1 || !batches[0].InSync || len(batches[0].Updates) != objects {
					t.Errorf("got %+v", batches)
				}
				if st := f.Status(); !st.Connected || !st.InSync || st.Revision != batches[0].Revision || st.LastError != "" {
					t.Errorf("status %+v", st)
				}
			})
		})
	}
}

// TestLongFirstListComesInPortions: the reader is in sync with the last of them, and only then.
func TestLongFirstListComesInPortions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		want := map[model.Key]string{}
		for i := range 2*portion + 1 {
			put(t, s, pool(fmt.Sprint(i)), i)
			want[pool(fmt.Sprint(i))] = fmt.Sprint(i)
		}
		f, r := run(t, s)
		synctest.Wait()
		r.want(want)
		_, batches := r.snapshot()
		for i, b := range batches {
			last := i == len(batches)-1
			if len(b.Updates) > portion || b.InSync != last || last != (b.Revision > 0) {
				t.Errorf("batch %d of %d: %d updates, in sync %v, revision %d", i+1, len(batches), len(b.Updates), b.InSync, b.Revision)
			}
		}
		if len(batches) != 3 || f.Status().Revision != batches[2].Revision {
			t.Errorf("%d batches, status %+v", len(batches), f.Status())
		}
	})
}

func TestNothingIsGivenBeforeTheStoreWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		put(t, s, pool("a"), 1)
		s.Disconnect()
		f, r := run(t, s)
		time.Sleep(time.Minute)
		if _, batches := r.snapshot(); len(batches) > 0 {
			t.Errorf("given without a store: %+v", batches)
		}
		if st := f.Status(); st.Connected || st.InSync || st.LastError == "" {
			t.Errorf("status %+v", st)
		}
		s.Reconnect()
		time.Sleep(longestDelay) // the budget for its return is 5 s
		synctest.Wait()
		r.want(map[model.Key]string{pool("a"): "1"})
	})
}

func TestLossGivesOnlyDifferences(t *testing.T) {
	for _, away := range []time.Duration{time.Second, time.Minute} { // resumed, and listed again
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memStore(t)
				for _, name := range []string{"same", "changed", "gone", "reborn"} {
					put(t, s, pool(name), 1)
				}
				f, r := run(t, s)
				synctest.Wait()
				s.Disconnect()
				synctest.Wait()
				time.Sleep(away)
				if st := f.Status(); st.Connected || !st.InSync || st.LastError == "" {
					t.Errorf("status while away %+v", st)
				}
				r.want(map[model.Key]string{pool("same"): "1", pool("changed"): "1", pool("gone"): "1", pool("reborn"): "1"})
				s.Reconnect()
				put(t, s, pool("changed"), 2)
				put(t, s, pool("new"), 1)
				remove(t, s, pool("gone"))
				remove(t, s, pool("reborn"))
				put(t, s, pool("reborn"), 2)
				_, before := r.snapshot()
				time.Sleep(longestDelay)
				synctest.Wait()
				r.want(map[model.Key]string{pool("same"): "1", pool("changed"): "2", pool("reborn"): "2", pool("new"): "1"})
				_, after := r.snapshot()
				for _, b := range after[len(before):] {
					for _, u := range b.Updates {
						if u.Key == pool("same") {
							t.Errorf("an unchanged object was given again: %+v", u)
						}
					}
				}
				if st := f.Status(); !st.Connected || st.LastError != "" {
					t.Errorf("status after the return %+v", st)
				}
			})
		})
	}
}

func TestCompactionDuringALossIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		put(t, s, pool("a"), 1)
		put(t, s, pool("b"), 1)
		_, r := run(t, s)
		synctest.Wait()
		s.Disconnect()
		synctest.Wait()
		s.Reconnect()
		put(t, s, pool("a"), 2)
		remove(t, s, pool("b"))
		s.Compact()
		time.Sleep(2 * longestDelay)
		synctest.Wait()
		r.want(map[model.Key]string{pool("a"): "2"})
	})
}

func TestRestoredStoreIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		for i := range 9 {
			put(t, s, pool("a"), i)
		}
		put(t, s, pool("b"), 1)
		_, r := run(t, s)
		synctest.Wait()
		r.mu.Lock()
		r.rewound = true
		r.mu.Unlock()
		s.Rewind(3)
		remove(t, s, pool("b"))
		put(t, s, pool("a"), 4)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		r.want(map[model.Key]string{pool("a"): "4"})
		put(t, s, pool("a"), 5)
		synctest.Wait()
		r.want(map[model.Key]string{pool("a"): "5"})
	})
}

func TestSlowReaderGetsTheLatestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		put(t, s, pool("a"), 0)
		put(t, s, pool("gone"), 0)
		_, r := run(t, s)
		synctest.Wait()
		r.pause()
		put(t, s, pool("first"), 1) // taken by the reader that is about to pause, or by the feed's hand
		synctest.Wait()
		for i := range 1000 {
			put(t, s, pool("a"), i+1)
			put(t, s, pool("b"), i+1)
			synctest.Wait() // each change reaches the feed on its own
		}
		remove(t, s, pool("gone"))
		synctest.Wait()
		_, before := r.snapshot()
		r.resume()
		synctest.Wait()
		r.want(map[model.Key]string{pool("a"): "1000", pool("b"): "1000", pool("first"): "1"})
		_, after := r.snapshot()
		updates := 0
		for _, b := range after[len(before):] {
			updates += len(b.Updates)
		}
		if updates > 8 {
			t.Errorf("2,001 changes came as %d updates; want each object's latest", updates)
		}
	})
}

func TestProblemsAreToldAndCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		s.PutRaw(pool("broken"), []byte("{"))
		_, r := run(t, s)
		synctest.Wait()
		if r.want(map[model.Key]string{pool("broken"): standIn}); r.problems[pool("broken")] == "" {
			t.Error("an unreadable value was not reported")
		}
		invalid := store.Op{Kind: store.OpPut, Key: pool("wrong"), Value: &storetest.Thing{Text: "invalid"}}
		if _, err := s.Txn(context.Background(), invalid); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.want(map[model.Key]string{pool("broken"): standIn, pool("wrong"): standIn}); r.problems[pool("wrong")] != "invalid" {
			t.Errorf("problems %v", r.problems)
		}
		put(t, s, pool("broken"), 1)
		remove(t, s, pool("wrong"))
		synctest.Wait()
		if r.want(map[model.Key]string{pool("broken"): "1"}); len(r.problems) > 0 {
			t.Errorf("not cleared: %v", r.problems)
		}
	})
}

func TestRunRefusesAnEmptyQuery(t *testing.T) {
	if err := New(memStore(t), store.Query{}, decode, nil).Run(context.Background(), nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
