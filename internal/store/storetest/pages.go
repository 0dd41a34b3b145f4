package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// pages checks a store.Pager against List, with writes between the portions.
func pages(t *testing.T, s store.Store) {
	p, ok := s.(store.Pager)
	if !ok {
		return // it is a store without portions
	}
	const count, step = 2500, 100
	for i := 0; i < count; i += step {
		var ops []store.Op
		for j := range step {
			ops = append(ops, store.Op{Kind: store.OpPut, Key: set(fmt.Sprint("n", j%3), fmt.Sprint(i+j)), Value: thing("before")})
		}
		must[store.Revision](t)(s.Txn(background(t), ops...))
	}
	must[store.Object](t)(s.Create(background(t), pool("p"), thing("p")))
	q := store.Query{Kinds: []model.Kind{model.KindNetworkSet, model.KindHandle, model.KindIPPool}}
	want, at, err := s.List(background(t), q)
	if err != nil {
		t.Fatal(err)
	}
	var got []store.Object
	calls := 0
	revision, err := p.ListPages(background(t), q, func(objects []store.Object, of store.Revision) error {
		if calls++; of != at {
			t.Errorf("portion %d is of revision %d; want %d", calls, of, at)
		}
		got = append(got, objects...)
		clear(objects) // it is ours
		_, err := s.Txn(background(t), store.Op{Kind: store.OpPut, Key: set("n1", "1"), Value: thing("after")},
			store.Op{Kind: store.OpPut, Key: set("new", fmt.Sprint(calls)), Value: thing("after")})
		return err
	})
	if err != nil || revision != at || calls < 2 {
		t.Errorf("%d portions of revision %d, %v; want several of %d", calls, revision, err, at)
	}
	slices.SortStableFunc(got, func(a, b store.Object) int {
		return cmp.Or(slices.Index(q.Kinds, a.Key.Kind)-slices.Index(q.Kinds, b.Key.Kind), a.Key.Compare(b.Key))
	})
	equal(t, "what the portions hold", got, want)

	enough := errors.New("enough")
	calls = 0
	if _, err := p.ListPages(background(t), q, func([]store.Object, store.Revision) error { calls++; return enough }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("a list told to end after its first portion: %d portions, %v", calls, err)
	}
	never := func([]store.Object, store.Revision) error { return enough }
	if revision, err := p.ListPages(background(t), store.Query{Kinds: []model.Kind{model.KindHandle}}, never); err != nil || revision <= at {
		t.Errorf("a list of nothing: revision %d, %v", revision, err)
	}
	if _, err := p.ListPages(background(t), store.Query{}, never); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a list of no kind: %v", err)
	}
	ended, cancel := context.WithCancel(background(t))
	cancel()
	if _, err := p.ListPages(ended, q, never); !errors.Is(err, context.Canceled) {
		t.Errorf("a list whose context has ended: %v", err)
	}
}
