package feed

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
)

// world is a store that things happen to, and what is known of it.
type world struct {
	s       *mem.Store
	r       *reader
	truth   map[model.Key]string
	removed map[model.Key]int // how often each was deleted
	counter int
	away    bool
}

// TestAnyHistoryEndsAtTheStoresState lets a random history happen to a store and its feed: writes, deletions,
// compactions, losses short and long, writes by others meanwhile, a reader that stops taking. When it is over the
// reader holds what the store holds; on the way no object moved back (reader.take), and none was reported deleted that
// never was.
func TestAnyHistoryEndsAtTheStoresState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.SampledFrom(histories()), 1, 60).Draw(rt, "steps")
		keys := rapid.SliceOfN(rapid.SampledFrom([]model.Key{
			pool("a"), pool("b"), {Kind: model.KindNetworkSet, Namespace: "n", Name: "a"}, {Kind: model.KindPod, Namespace: "n", Name: "a"},
		}), len(steps), len(steps)).Draw(rt, "keys")
		var failed string
		synctest.Test(t, func(t *testing.T) {
			failed = live(t, steps, keys)
		})
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

func histories() []string {
	return []string{
		"put", "put", "put", "put", "burst", "delete", "delete", "reborn", "compact", "cut", "leave", "return", "pause",
		"resume", "settle", "settle", "blink", "minute", "unreadable", "foreign",
	}
}

// live lets one history happen, and says what is wrong in the end.
func live(t *testing.T, steps []string, keys []model.Key) string {
	s := memStore(t)
	_, r := run(t, s)
	w := &world{s: s, r: r, truth: map[model.Key]string{}, removed: map[model.Key]int{}}
	for i, step := range steps {
		w.step(t, step, keys[i])
	}
	s.Reconnect()
	r.resume()
	time.Sleep(2 * longestDelay)
	synctest.Wait()

	got, batches := r.snapshot()
	if fmt.Sprint(got) != fmt.Sprint(w.truth) {
		return fmt.Sprintf("the reader holds %v, the store %v", got, w.truth)
	}
	if n := len(batches); n == 0 || !batches[n-1].InSync {
		return fmt.Sprintf("not in sync after %d batches", n)
	}
	_, revision, err := s.List(context.Background(), query)
	if err != nil || batches[len(batches)-1].Revision != revision {
		return fmt.Sprintf("the last batch is of revision %d, the store of %d (%v)", batches[len(batches)-1].Revision, revision, err)
	}
	for key, n := range r.deleted {
		if n > w.removed[key] {
			return fmt.Sprintf("%s was reported deleted %d times, and was %d times", key, n, w.removed[key])
		}
	}
	return ""
}

// step lets one thing happen. Writes go on while the feed's connection is cut: others still reach the store.
func (w *world) step(t *testing.T, step string, key model.Key) {
	switch step {
	case "put":
		w.put(t, key)
	case "burst":
		for range 20 {
			w.put(t, key)
		}
	case "delete":
		w.remove(t, key)
	case "reborn":
		w.remove(t, key)
		w.put(t, key)
	case "unreadable":
		w.s.PutRaw(key, []byte("{"))
		w.truth[key] = standIn
	case "foreign": // a kind that the feed does not ask for
		w.beside(func() { put(t, w.s, model.Key{Kind: model.KindNamespace, Name: "n"}, 1) })
	case "compact":
		w.s.Compact()
	case "cut": // and back before anybody can ask
		w.s.Disconnect()
		w.s.Reconnect()
		w.away = false
	case "leave":
		w.s.Disconnect()
		w.away = true
	case "return":
		w.s.Reconnect()
		w.away = false
	case "pause":
		w.r.resume()
		w.r.pause()
	case "resume":
		w.r.resume()
	case "settle":
		synctest.Wait()
	case "blink":
		time.Sleep(70 * time.Millisecond)
	case "minute":
		time.Sleep(time.Minute)
	}
}

func (w *world) put(t *testing.T, key model.Key) {
	w.counter++
	w.beside(func() { put(t, w.s, key, w.counter) })
	w.truth[key] = fmt.Sprint(w.counter)
}

func (w *world) remove(t *testing.T, key model.Key) {
	if _, ok := w.truth[key]; !ok {
		return
	}
	w.beside(func() { remove(t, w.s, key) })
	w.removed[key]++
	delete(w.truth, key)
}

// beside does something to the store while it is away for the feed: the feed's calls fail meanwhile, as nothing else
// runs until it is done.
func (w *world) beside(do func()) {
	if !w.away {
		do()
		return
	}
	w.s.Fail(func(op string, _ model.Key) error {
		if op == "list" || op == "watch" || op == "get" {
			return store.ErrUnavailable
		}
		return nil
	})
	w.s.Reconnect()
	do()
	w.s.Disconnect()
	w.s.Fail(nil)
}
