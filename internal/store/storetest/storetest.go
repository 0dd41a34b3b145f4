package storetest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// Compactor forgets the history up to now.
type Compactor interface {
	Compact()
}

// RawWriter stores bytes as they are, whether or not they can be read back.
type RawWriter interface {
	PutRaw(key model.Key, raw []byte)
}

// kinds is everything that the contract writes: every way in which a key is formed.
var kinds = []model.Kind{
	model.KindIPPool, model.KindNetworkSet, model.KindBlock, model.KindAffinity, model.KindHandle, model.KindIPAMConfig,
	model.KindNamespace, model.KindPod,
}

// patience is how long a watch may take to bring what it must.
const patience = 10 * time.Second

// Conformance runs the contract. fresh makes an empty store that uses Codec, closes it when the test ends, and is asked
// for once per case.
func Conformance(t *testing.T, fresh func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"create read update delete", lifecycle},
		{"stored values are the store's own", isolation},
		{"every kind", everyKind},
		{"compare and swap", compareAndSwap},
		{"a transaction is done whole or not at all", allOrNothing},
		{"what cannot be is refused", refusals},
		{"a list is ordered and of one revision", listing},
		{"a list is consistent under writes", consistentList},
		{"a list in portions is the list", pages},
		{"a watch brings every change once and in order", watchOrder},
		{"a watch keeps what one transaction wrote together", watchTransaction},
		{"a watch of a namespace", watchNamespace},
		{"a watch tells how far it has come", watchProgress},
		{"a watch ends when told to", watchStop},
		{"a watch that is late finds its history gone", watchCompacted},
		{"a watch ahead of the store", watchFuture},
		{"concurrent writers lose nothing", concurrentWriters},
		{"values that cannot be read", unreadable},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func pool(name string) model.Key { return model.Key{Kind: model.KindIPPool, Name: name} }

func set(namespace, name string) model.Key {
	return model.Key{Kind: model.KindNetworkSet, Namespace: namespace, Name: name}
}

func thing(text string) *Thing { return &Thing{Text: text} }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// refused checks an error's kind, and that a conflict names its key.
func refused(t *testing.T, what string, err, want error, key model.Key) {
	t.Helper()
	var conflict *store.ConflictError
	switch {
	case !errors.Is(err, want):
		t.Errorf("%s: got %v; want %v", what, err, want)
	case !errors.As(err, &conflict):
		t.Errorf("%s: %v is no ConflictError", what, err)
	case conflict.Key != key:
		t.Errorf("%s: the conflict names %s; want %s", what, conflict.Key, key)
	}
}
