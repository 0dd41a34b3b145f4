package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

func lifecycle(t *testing.T, s store.Store) {
	ctx, key := background(t), pool("a")
	if _, err := s.Get(ctx, key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get of nothing: %v", err)
	}
	created := must[store.Object](t)(s.Create(ctx, key, thing("1")))
	equal(t, "created", created.Value, thing("1"))
	if created.Revision == 0 || created.Key != key {
		t.Errorf("created: %+v", created)
	}
	equal(t, "read back", must[store.Object](t)(s.Get(ctx, key)), created)

	updated := must[store.Object](t)(s.Update(ctx, key, thing("2"), created.Revision))
	if updated.Revision <= created.Revision {
		t.Errorf("revision %d after %d", updated.Revision, created.Revision)
	}
	equal(t, "read back", must[store.Object](t)(s.Get(ctx, key)), updated)
	if err := s.Delete(ctx, key, updated.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get of what was deleted: %v", err)
	}
	again := must[store.Object](t)(s.Create(ctx, key, thing("3")))
	if again.Revision <= updated.Revision {
		t.Errorf("revision %d of a second life, after %d", again.Revision, updated.Revision)
	}
}

func isolation(t *testing.T, s store.Store) {
	ctx, key := background(t), pool("a")
	given := &Thing{Text: "1", Labels: map[string]string{"a": "b"}}
	want := &Thing{Text: "1", Labels: map[string]string{"a": "b"}}
	created := must[store.Object](t)(s.Create(ctx, key, given))
	given.Labels["a"] = "changed by the caller"
	created.Value.(*Thing).Text = "changed by the caller"
	first := must[store.Object](t)(s.Get(ctx, key))
	equal(t, "after the caller changed what it gave and got", first.Value, want)
	first.Value.(*Thing).Labels["a"] = "changed by a reader"
	listed, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool}})
	if err != nil || len(listed) != 1 {
		t.Fatalf("list: %v, %v", listed, err)
	}
	equal(t, "after a reader changed what it got", listed[0].Value, want)
}

func everyKind(t *testing.T, s store.Store) {
	ctx := background(t)
	values := map[model.Key]any{
		pool("a"):                               thing("pool"),
		set("ns", "s"):                          thing("set"),
		{Kind: model.KindNamespace, Name: "ns"}: thing("ns"),
		{Kind: model.KindPod, Namespace: "ns", Name: "p"}:                                    thing("pod"),
		{Kind: model.KindIPAMConfig, Name: "default"}:                                        &model.IPAMConfig{StrictAffinity: true, MaxBlocksPerHost: 3},
		{Kind: model.KindHandle, Name: "k8s-pod-network.0123ABC"}:                            &model.Handle{ID: "k8s-pod-network.0123ABC", Blocks: map[netip.Prefix]int{netip.MustParsePrefix("10.65.1.0/26"): 2}},
		{Kind: model.KindAffinity, Namespace: "host:n1", Name: "fd65::/122"}:                 &model.Affinity{Owner: "host:n1", CIDR: netip.MustParsePrefix("fd65::/122"), State: model.AffinityPending},
		{Kind: model.KindAffinity, Namespace: "virtual:load-balancer", Name: "10.65.2.0/26"}: &model.Affinity{Owner: "virtual:load-balancer", CIDR: netip.MustParsePrefix("10.65.2.0/26")},
		{Kind: model.KindBlock, Name: "10.65.1.0/26"}:                                        &model.Block{CIDR: netip.MustParsePrefix("10.65.1.0/26"), Affinity: "host:n1", Unallocated: []int{3, 1}, SequenceNumber: 7},
		{Kind: model.KindBlock, Name: "fd65::/122"}:                                          &model.Block{CIDR: netip.MustParsePrefix("fd65::/122")},
	}
	for key, value := range values {
		must[store.Object](t)(s.Create(ctx, key, value))
	}
	listed, _, err := s.List(ctx, store.Query{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	got := map[model.Key]any{}
	for _, o := range listed {
		got[o.Key] = o.Value
	}
	equal(t, "listed", got, values)
	owned, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindAffinity}, Namespace: "host:n1"})
	if err != nil || len(owned) != 1 || owned[0].Key.Name != "fd65::/122" {
		t.Errorf("affinities of one owner: %v, %v", owned, err)
	}
	for key := range values {
		if err := s.Delete(ctx, key, 0); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	if left, _, err := s.List(ctx, store.Query{Kinds: kinds}); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func compareAndSwap(t *testing.T, s store.Store) {
	ctx, key := background(t), pool("a")
	_, err := s.Update(ctx, key, thing("x"), 0)
	refused(t, "update of nothing", err, store.ErrNotFound, key)
	_, err = s.Update(ctx, key, thing("x"), 1)
	refused(t, "update of nothing at a revision", err, store.ErrNotFound, key)
	refused(t, "delete of nothing", s.Delete(ctx, key, 0), store.ErrNotFound, key)
	refused(t, "delete of nothing at a revision", s.Delete(ctx, key, 1), store.ErrNotFound, key)

	first := must[store.Object](t)(s.Create(ctx, key, thing("1")))
	_, err = s.Create(ctx, key, thing("x"))
	refused(t, "second create", err, store.ErrExists, key)
	second := must[store.Object](t)(s.Update(ctx, key, thing("2"), 0))
	_, err = s.Update(ctx, key, thing("x"), first.Revision)
	refused(t, "update of an old revision", err, store.ErrConflict, key)
	refused(t, "delete of an old revision", s.Delete(ctx, key, first.Revision), store.ErrConflict, key)
	equal(t, "untouched", must[store.Object](t)(s.Get(ctx, key)), second)
	if err := s.Delete(ctx, key, 0); err != nil {
		t.Error(err)
	}
}

func refusals(t *testing.T, s store.Store) {
	ctx := background(t)
	bad := map[string]error{}
	_, bad["a value of the wrong type"] = s.Create(ctx, pool("a"), &model.Handle{})
	_, bad["a transaction of nothing"] = s.Txn(ctx)
	_, bad["one object twice"] = s.Txn(ctx, store.Op{Kind: store.OpPut, Key: pool("a"), Value: thing("1")}, store.Op{Kind: store.OpDelete, Key: pool("a")})
	_, bad["an operation that does not exist"] = s.Txn(ctx, store.Op{Kind: 99, Key: pool("a")})
	_, _, bad["a list of nothing"] = s.List(ctx, store.Query{})
	_, bad["a watch of nothing"] = s.Watch(ctx, store.Query{}, 1)
	for what, err := range bad {
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v; want ErrInvalid", what, err)
		}
	}
	if left, _, err := s.List(ctx, store.Query{Kinds: kinds}); err != nil || len(left) > 0 {
		t.Errorf("written all the same: %v, %v", left, err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Get(over, pool("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("get after its context ended: %v", err)
	}
}

func allOrNothing(t *testing.T, s store.Store) {
	if !s.Transactional() {
		t.Log("not transactional over several objects: undone on failure")
	}
	ctx := background(t)
	a, b, c := pool("a"), pool("b"), set("ns", "c")
	atA := must[store.Object](t)(s.Create(ctx, a, thing("1"))).Revision
	before, _, err := s.List(ctx, store.Query{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what  string
		op    store.Op
		cause error
	}{
		{"create of what exists", store.Op{Kind: store.OpCreate, Key: a, Value: thing("x")}, store.ErrExists},
		{"update of an old revision", store.Op{Kind: store.OpUpdate, Key: a, Value: thing("x"), Revision: atA + 1000}, store.ErrConflict},
		{"delete of an old revision", store.Op{Kind: store.OpDelete, Key: a, Revision: atA + 1000}, store.ErrConflict},
		{"update of nothing", store.Op{Kind: store.OpUpdate, Key: pool("none"), Value: thing("x")}, store.ErrNotFound},
		{"delete of nothing", store.Op{Kind: store.OpDelete, Key: pool("none")}, store.ErrNotFound},
		{"check of another revision", store.Op{Kind: store.OpCheck, Key: a, Revision: atA + 1000}, store.ErrConflict},
		{"check that nothing is there", store.Op{Kind: store.OpCheck, Key: a}, store.ErrConflict},
		{"check of nothing", store.Op{Kind: store.OpCheck, Key: pool("none"), Revision: atA}, store.ErrConflict},
	} {
		_, err := s.Txn(ctx, store.Op{Kind: store.OpCreate, Key: b, Value: thing("b")}, x.op, store.Op{Kind: store.OpPut, Key: c, Value: thing("c")})
		refused(t, x.what, err, x.cause, x.op.Key)
	}
	after, _, err := s.List(ctx, store.Query{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "after failed transactions", after, before)

	revision, err := s.Txn(ctx,
		store.Op{Kind: store.OpCheck, Key: pool("none")},
		store.Op{Kind: store.OpUpdate, Key: a, Value: thing("2"), Revision: atA},
		store.Op{Kind: store.OpCreate, Key: b, Value: thing("b")},
		store.Op{Kind: store.OpPut, Key: c, Value: thing("c")})
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[model.Key]string{a: "2", b: "b", c: "c"} {
		o := must[store.Object](t)(s.Get(ctx, key))
		equal(t, key.String(), o.Value, thing(text))
		if s.Transactional() && o.Revision != revision {
			t.Errorf("%s: revision %d; the transaction's is %d", key, o.Revision, revision)
		}
	}
	if _, err := s.Txn(ctx, store.Op{Kind: store.OpDelete, Key: a}, store.Op{Kind: store.OpDelete, Key: b, Revision: revision}, store.Op{Kind: store.OpDelete, Key: c}); err != nil {
		t.Error(err)
	}
}

func listing(t *testing.T, s store.Store) {
	ctx := background(t)
	for _, key := range []model.Key{set("b", "x"), set("a-b", "x"), set("a", "z"), set("a", "y"), pool("q"), pool("p")} {
		must[store.Object](t)(s.Create(ctx, key, thing(key.Name)))
	}
	listed, revision, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindNetworkSet, model.KindIPPool, model.KindBlock}})
	if err != nil {
		t.Fatal(err)
	}
	var keys []model.Key
	for _, o := range listed {
		keys = append(keys, o.Key)
		if o.Revision > revision {
			t.Errorf("%s is of revision %d, the list of %d", o.Key, o.Revision, revision)
		}
	}
	equal(t, "order", keys, []model.Key{set("a", "y"), set("a", "z"), set("a-b", "x"), set("b", "x"), pool("p"), pool("q")})

	within, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindNetworkSet, model.KindIPPool}, Namespace: "a"})
	if err != nil || len(within) != 2 {
		t.Errorf("within a namespace: %v, %v", within, err)
	}
	if none, at, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindBlock}, Namespace: "a"}); err != nil || len(none) > 0 || at < revision {
		t.Errorf("list of what cannot be: %v at %d, %v", none, at, err)
	}
}

// consistentList moves one token between two kinds while lists are taken: every list must hold it exactly once.
func consistentList(t *testing.T, s store.Store) {
	if !s.Transactional() {
		return
	}
	ctx := background(t)
	places := []model.Key{pool("token"), set("ns", "token")}
	for i := range 1500 { // more than one page
		must[store.Revision](t)(s.Txn(ctx, store.Op{Kind: store.OpPut, Key: pool(fmt.Sprintf("filler-%d", i)), Value: thing("")}))
	}
	must[store.Object](t)(s.Create(ctx, places[0], thing("")))
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			from, to := places[i%2], places[(i+1)%2]
			if _, err := s.Txn(ctx, store.Op{Kind: store.OpDelete, Key: from}, store.Op{Kind: store.OpCreate, Key: to, Value: thing("")}); err != nil {
				done <- err
				return
			}
		}
	}()
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
		listed, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool, model.KindNetworkSet}})
		if err != nil {
			t.Error(err)
			break
		}
		tokens := 0
		for _, o := range listed {
			if o.Key.Name == "token" {
				tokens++
			}
		}
		if tokens != 1 || len(listed) != 1501 {
			t.Errorf("%d tokens and %d objects in one list; want 1 and 1501", tokens, len(listed))
			break
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func concurrentWriters(t *testing.T, s store.Store) {
	ctx, key := background(t), pool("counter")
	const writers, each = 4, 25
	must[store.Object](t)(s.Create(ctx, key, thing("")))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				o, err := s.Get(ctx, key)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = s.Update(ctx, key, thing(o.Value.(*Thing).Text+"x"), o.Revision)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := len(must[store.Object](t)(s.Get(ctx, key)).Value.(*Thing).Text); got != writers*each {
		t.Errorf("%d of %d writes are left", got, writers*each)
	}
}

func unreadable(t *testing.T, s store.Store) {
	ctx, key := background(t), pool("bad")
	raw, ok := s.(RawWriter)
	if !ok {
		t.Fatalf("a %T cannot be given raw bytes: it must be a RawWriter", s)
	}
	must[store.Object](t)(s.Create(ctx, pool("good"), thing("1")))
	_, revision, err := s.List(ctx, store.Query{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, s, store.Query{Kinds: kinds}, revision)
	raw.PutRaw(key, []byte(`{"text":`))

	wrong := func(how string, o store.Object) {
		t.Helper()
		if o.Key != key || o.Value != nil || o.Problem == nil || o.Revision <= revision {
			t.Errorf("%s: %+v; want no value and a problem", how, o)
		}
	}
	got, err := s.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	wrong("get", got)
	listed, _, err := s.List(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool}})
	if err != nil || len(listed) != 2 {
		t.Fatalf("list: %v, %v", listed, err)
	}
	wrong("list", listed[0])
	wrong("watch", w.events(1)[0].Object)
	must[store.Object](t)(s.Update(ctx, key, thing("healed"), got.Revision))
	healed := w.events(1)[0]
	equal(t, "healed", healed.Value, thing("healed"))
}
