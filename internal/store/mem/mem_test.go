package mem_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
	"github.com/tortie-net/tortie/internal/store/mem"
	"github.com/tortie-net/tortie/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storetest.Conformance(t, func(t *testing.T) store.Store {
		s := mem.New(storetest.Codec{})
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestFaults(t *testing.T) {
	ctx := context.Background()
	s := mem.New(storetest.Codec{})
	defer s.Close()
	a, b := model.Key{Kind: model.KindIPPool, Name: "a"}, model.Key{Kind: model.KindIPPool, Name: "b"}
	put := func(key model.Key) store.Op {
		return store.Op{Kind: store.OpPut, Key: key, Value: &storetest.Thing{}}
	}
	boom := errors.New("boom")
	only := func(op string, key model.Key) mem.Fault {
		return func(o string, k model.Key) error {
			if o == op && k == key {
				return boom
			}
			return nil
		}
	}

	s.Fail(only("put", b))
	if _, err := s.Txn(ctx, put(a), put(b)); !errors.Is(err, boom) {
		t.Errorf("a forbidden put: %v", err)
	}
	if s.Raw(a) != nil || s.Raw(b) != nil {
		t.Error("a transaction that failed before it began left something")
	}
	s.Fail(nil)
	s.FailAfter(only("put", b))
	if _, err := s.Txn(ctx, put(a), put(b)); !errors.Is(err, boom) {
		t.Errorf("a lost answer: %v", err)
	}
	if s.Raw(a) == nil || s.Raw(b) == nil {
		t.Error("a transaction whose answer was lost must have been done")
	}
	s.FailAfter(nil)

	w, err := s.Watch(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Disconnect()
	for range w.Batches() {
	}
	if !errors.Is(w.Err(), store.ErrUnavailable) {
		t.Errorf("watch of a store that went away: %v", w.Err())
	}
	for what, err := range map[string]error{
		"get":    second(s.Get(ctx, a)),
		"put":    second(s.Txn(ctx, put(a))),
		"delete": s.Delete(ctx, a, 0),
		"watch":  second(s.Watch(ctx, store.Query{Kinds: []model.Kind{model.KindIPPool}}, 1)),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s while away: %v", what, err)
		}
	}
	s.Reconnect()
	if _, err := s.Get(ctx, a); err != nil {
		t.Errorf("after the return: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
