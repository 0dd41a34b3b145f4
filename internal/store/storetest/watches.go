package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// watched is a watch and its test.
type watched struct {
	t *testing.T
	store.Watch
	at      store.Revision
	pending []store.Event
}

func start(t *testing.T, s store.Store, q store.Query, after store.Revision) *watched {
	t.Helper()
	w, err := s.Watch(background(t), q, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return &watched{t: t, Watch: w, at: after}
}

// batch waits for the next batch, and checks what must hold of each.
func (w *watched) batch() store.Batch {
	w.t.Helper()
	select {
	case b, ok := <-w.Batches():
		if !ok {
			w.t.Fatalf("the watch ended: %v", w.Err())
		}
		if b.Revision < w.at {
			w.t.Errorf("a batch of revision %d after one of %d", b.Revision, w.at)
		}
		w.at = b.Revision
		return b
	case <-time.After(patience):
		w.t.Fatalf("nothing came in %v", patience)
		return store.Batch{}
	}
}

// events waits for the next n events.
func (w *watched) events(n int) []store.Event {
	w.t.Helper()
	for len(w.pending) < n {
		w.pending = append(w.pending, w.batch().Events...)
	}
	events := w.pending[:n]
	w.pending = w.pending[n:]
	return events
}

// ended waits for the end, and says why.
func (w *watched) ended() error {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-w.Batches():
			if !ok {
				return w.Err()
			}
		case <-deadline:
			w.t.Fatalf("the watch did not end in %v", patience)
			return nil
		}
	}
}

func now(t *testing.T, s store.Store) store.Revision {
	t.Helper()
	_, revision, err := s.List(background(t), store.Query{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// watchOrder writes in both roots of the key space, and follows from the start, from the middle, and live.
func watchOrder(t *testing.T, s store.Store) {
	ctx, from := background(t), now(t, s)
	const writes = 60
	live := start(t, s, store.Query{Kinds: kinds}, from)
	var want []string
	var middle store.Revision
	for i := range writes {
		key := []model.Key{pool("a"), set("ns", "b"), {Kind: model.KindPod, Namespace: "ns", Name: "c"}}[i%3]
		if i%9 >= 6 {
			if err := s.Delete(ctx, key, 0); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%s gone", key))
		} else {
			revision := must[store.Revision](t)(s.Txn(ctx, store.Op{Kind: store.OpPut, Key: key, Value: thing(fmt.Sprint(i))}))
			want = append(want, fmt.Sprintf("%s %d", key, i))
			if i == writes/2 {
				middle = revision
			}
		}
	}
	show := func(events []store.Event) map[model.Key][]string { // between keys any order is right
		perKey := map[model.Key][]string{}
		var last store.Revision
		for _, e := range events {
			line := fmt.Sprintf("%s gone", e.Key)
			if !e.Deleted {
				line = fmt.Sprintf("%s %s", e.Key, e.Value.(*Thing).Text)
			}
			perKey[e.Key] = append(perKey[e.Key], line)
			last = max(last, e.Revision)
		}
		return perKey
	}
	split := func(lines []string) map[model.Key][]string {
		perKey := map[model.Key][]string{}
		for i, line := range lines {
			key := []model.Key{pool("a"), set("ns", "b"), {Kind: model.KindPod, Namespace: "ns", Name: "c"}}[(writes-len(lines)+i)%3]
			perKey[key] = append(perKey[key], line)
		}
		return perKey
	}
	equal(t, "live", show(live.events(writes)), split(want))
	equal(t, "from the start", show(start(t, s, store.Query{Kinds: kinds}, from).events(writes)), split(want))
	rest := want[writes/2+1:]
	equal(t, "from the middle", show(start(t, s, store.Query{Kinds: kinds}, middle).events(len(rest))), split(rest))

	one := start(t, s, store.Query{Kinds: []model.Kind{model.KindIPPool, model.KindNetworkSet}}, from)
	var last store.Revision
	for _, e := range one.events(writes / 3 * 2) {
		if e.Revision < last {
			t.Errorf("%s of revision %d came after %d", e.Key, e.Revision, last)
		}
		last = e.Revision
	}
	must[store.Revision](t)(s.Txn(ctx, store.Op{Kind: store.OpPut, Key: pool("end"), Value: thing("")}))
	for _, w := range []*watched{live, one} { // nothing came twice
		if e := w.events(1)[0]; e.Key != pool("end") {
			t.Errorf("after everything: %v", e)
		}
	}
}

func watchTransaction(t *testing.T, s store.Store) {
	if !s.Transactional() {
		return
	}
	ctx := background(t)
	w := start(t, s, store.Query{Kinds: []model.Kind{model.KindBlock, model.KindHandle, model.KindIPPool}}, now(t, s))
	var ops []store.Op
	for i := range 40 {
		ops = append(ops, store.Op{Kind: store.OpPut, Key: pool(fmt.Sprintf("p%02d", i)), Value: thing("")})
	}
	ops = append(ops, store.Op{Kind: store.OpPut, Key: model.Key{Kind: model.KindHandle, Name: "h"}, Value: &model.Handle{ID: "h"}})
	revision := must[store.Revision](t)(s.Txn(ctx, ops...))
	for {
		b := w.batch()
		if len(b.Events) == 0 {
			continue
		}
		if len(b.Events) != len(ops) || b.Revision < revision {
			t.Errorf("a transaction of %d at %d came as %d events at %d", len(ops), revision, len(b.Events), b.Revision)
		}
		return
	}
}

func watchNamespace(t *testing.T, s store.Store) {
	ctx := background(t)
	w := start(t, s, store.Query{Kinds: []model.Kind{model.KindNetworkSet, model.KindPod, model.KindIPPool}, Namespace: "a"}, now(t, s))
	for _, key := range []model.Key{set("a-b", "x"), set("b", "x"), pool("x"), set("a", "x"), {Kind: model.KindPod, Namespace: "b", Name: "x"}, {Kind: model.KindPod, Namespace: "a", Name: "x"}} {
		must[store.Object](t)(s.Create(ctx, key, thing("")))
	}
	got := map[model.Key]bool{}
	for _, e := range w.events(2) {
		got[e.Key] = true
	}
	equal(t, "of namespace a", got, map[model.Key]bool{set("a", "x"): true, {Kind: model.KindPod, Namespace: "a", Name: "x"}: true})
}

// watchProgress: a reader that waits for the revision of its own write must see it, be the other ranges ever so quiet.
func watchProgress(t *testing.T, s store.Store) {
	ctx := background(t)
	w := start(t, s, store.Query{Kinds: kinds}, now(t, s))
	for i := range 3 {
		revision := must[store.Revision](t)(s.Txn(ctx, store.Op{Kind: store.OpPut, Key: pool("a"), Value: thing(fmt.Sprint(i))}))
		for seen := false; w.at < revision; {
			for _, e := range w.batch().Events {
				seen = seen || e.Revision == revision
			}
			if w.at >= revision && !seen {
				t.Errorf("said to be at %d before its event came", w.at)
			}
		}
	}
}

func watchStop(t *testing.T, s store.Store) {
	w := start(t, s, store.Query{Kinds: kinds}, now(t, s))
	w.Stop()
	if err := w.ended(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	ctx, cancel := context.WithCancel(background(t))
	inner, err := s.Watch(ctx, store.Query{Kinds: kinds}, now(t, s))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := (&watched{t: t, Watch: inner}).ended(); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
	last := start(t, s, store.Query{Kinds: kinds}, now(t, s))
	_ = s.Close()
	if err := last.ended(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("after the store was closed: %v", err)
	}
	if _, err := s.Get(background(t), pool("a")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("get after the store was closed: %v", err)
	}
}

func watchCompacted(t *testing.T, s store.Store) {
	ctx, from := background(t), now(t, s)
	compactor, ok := s.(Compactor)
	if !ok {
		t.Fatalf("the history of a %T cannot be cut: it must be a Compactor", s)
	}
	for i := range 5 {
		must[store.Revision](t)(s.Txn(ctx, store.Op{Kind: store.OpPut, Key: pool("a"), Value: thing(fmt.Sprint(i))}))
	}
	current := start(t, s, store.Query{Kinds: kinds}, now(t, s))
	compactor.Compact()
	for _, q := range []store.Query{{Kinds: kinds}, {Kinds: []model.Kind{model.KindIPPool}}} {
		if err := watchError(t, s, q, from); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("a watch from before: %v; want ErrCompacted", err)
		}
	}
	must[store.Revision](t)(s.Txn(ctx, store.Op{Kind: store.OpPut, Key: pool("b"), Value: thing("")}))
	if e := current.events(1)[0]; e.Key != pool("b") { // who had seen everything goes on
		t.Errorf("got %v", e)
	}
}

func watchFuture(t *testing.T, s store.Store) {
	if err := watchError(t, s, store.Query{Kinds: kinds}, now(t, s)+1000); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("a watch from a revision that the store never reached: %v; want ErrCompacted", err)
	}
}

// watchError is why a watch cannot be had, at once or as its end.
func watchError(t *testing.T, s store.Store, q store.Query, after store.Revision) error {
	t.Helper()
	inner, err := s.Watch(background(t), q, after)
	if err != nil {
		return err
	}
	defer inner.Stop()
	return (&watched{t: t, Watch: inner}).ended()
}
