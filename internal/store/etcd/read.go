package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// pageSize is how many keys one request of a list asks for.
const pageSize = 1000

// listAttempts is how often a list is begun again when its revision is compacted between two pages.
const listAttempts = 3

// Get returns one object, or ErrNotFound.
func (s *Store) Get(ctx context.Context, key model.Key) (store.Object, error) {
	raw, err := EncodeKey(key)
	if err != nil {
		return store.Object{}, err
	}
	var object store.Object
	err = s.call(ctx, "get "+key.String(), func(ctx context.Context, client *clientv3.Client) error {
		answer, err := client.Get(ctx, raw)
		if err != nil {
			return err
		}
		if len(answer.Kvs) == 0 {
			return store.ErrNotFound
		}
		object = s.object(key, nil, answer.Kvs[0])
		return nil
	})
	return object, err
}

// List returns the objects of a query as they stood together at one revision, in key order per kind.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Object, store.Revision, error) {
	if len(q.Kinds) == 0 {
		return nil, 0, fmt.Errorf("list: %w: a query names at least one kind", store.ErrInvalid)
	}
	for attempt := 1; ; attempt++ {
		objects, revision, err := s.listOnce(ctx, q)
		if attempt < listAttempts && errors.Is(err, store.ErrCompacted) {
			continue
		}
		return objects, store.Revision(revision), err
	}
}

func (s *Store) listOnce(ctx context.Context, q store.Query) ([]store.Object, int64, error) {
	var objects []store.Object
	revision, err := s.listPages(ctx, q, s.codec.Decode, func(page []store.Object, _ store.Revision) error {
		objects = append(objects, page...)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	// etcd's order is that of the whole key: "a-b/x" before "a/x".
	order := make(map[model.Kind]int, len(q.Kinds))
	for i, kind := range q.Kinds {
		order[kind] = i
	}
	slices.SortFunc(objects, func(a, b store.Object) int {
		if c := order[a.Key.Kind] - order[b.Key.Kind]; c != 0 {
			return c
		}
		return a.Key.Compare(b.Key)
	})
	return objects, revision, nil
}

// ListPages is List in portions of one request each. It does not begin again by itself when its revision is compacted.
func (s *Store) ListPages(ctx context.Context, q store.Query, page func([]store.Object, store.Revision) error) (store.Revision, error) {
	if len(q.Kinds) == 0 {
		return 0, fmt.Errorf("list: %w: a query names at least one kind", store.ErrInvalid)
	}
	revision, err := s.listPages(ctx, q, store.Lean(s.codec), page)
	return store.Revision(revision), err
}

// decoding is how stored bytes become a value.
type decoding func(model.Key, []byte) (any, error)

func (s *Store) listPages(ctx context.Context, q store.Query, decode decoding, page func([]store.Object, store.Revision) error) (int64, error) {
	var revision int64
	for _, kind := range q.Kinds {
		spans, err := spansOf(kind, q.Namespace)
		if err != nil {
			return 0, err
		}
		for _, sp := range spans {
			if revision, err = s.listSpan(ctx, kind, sp, revision, decode, page); err != nil {
				return 0, err
			}
		}
	}
	if revision == 0 { // no range holds what was asked for; the revision is still wanted
		return s.listSpan(ctx, q.Kinds[0], exactly(ipamConfigKey), 0, decode, page)
	}
	return revision, nil
}

// listSpan gives the objects of one range at a revision, or, where that is 0, at the newest, which it returns. While one
// page is decoded the next is on its way.
func (s *Store) listSpan(ctx context.Context, kind model.Kind, sp span, revision int64, decode decoding, page func([]store.Object, store.Revision) error) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := s.fetch(ctx, kind, sp, revision)
	for err == nil {
		if revision == 0 {
			revision = answer.Header.Revision
		}
		var next chan fetched
		if n := len(answer.Kvs); answer.More && n > 0 {
			sp.start = string(answer.Kvs[n-1].Key) + "\x00"
			next = make(chan fetched, 1)
			go func(rest span) {
				answer, err := s.fetch(ctx, kind, rest, revision)
				next <- fetched{answer, err}
			}(sp)
		}
		objects := make([]store.Object, 0, len(answer.Kvs))
		for i, kv := range answer.Kvs {
			key, ok, problem := DecodeKey(string(kv.Key))
			if ok && key.Kind == kind {
				objects = append(objects, objectOf(key, problem, kv, decode))
			}
			answer.Kvs[i] = nil
		}
		if len(objects) > 0 {
			err = page(objects, store.Revision(revision))
		}
		if next == nil {
			return revision, err
		}
		if err != nil {
			cancel()
			<-next
			break
		}
		f := <-next
		answer, err = f.answer, f.err
	}
	return 0, err
}

// fetched is the answer to a request for a page.
type fetched struct {
	answer *clientv3.GetResponse
	err    error
}

func (s *Store) fetch(ctx context.Context, kind model.Kind, sp span, revision int64) (answer *clientv3.GetResponse, err error) {
	err = s.call(ctx, fmt.Sprintf("list %s", kind), func(ctx context.Context, client *clientv3.Client) (err error) {
		answer, err = client.Get(ctx, sp.start, clientv3.WithRange(sp.end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
		return err
	})
	return answer, err
}

// object makes of a stored pair the object. problem is what is wrong with the key already.
func (s *Store) object(key model.Key, problem error, kv *mvccpb.KeyValue) store.Object {
	return objectOf(key, problem, kv, s.codec.Decode)
}

func objectOf(key model.Key, problem error, kv *mvccpb.KeyValue, decode decoding) store.Object {
	object := store.Object{Key: key, Revision: store.Revision(kv.ModRevision), Problem: problem}
	if problem != nil {
		return object
	}
	value, err := decode(key, kv.Value)
	if err != nil {
		object.Problem = fmt.Errorf("decode %s (etcd key %s): %w", key, strings.ToValidUTF8(string(kv.Key), "?"), err)
		return object
	}
	object.Value = value
	return object
}
