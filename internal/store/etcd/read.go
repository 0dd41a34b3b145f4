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
	var revision int64
	for _, kind := range q.Kinds {
		spans, err := spansOf(kind, q.Namespace)
		if err != nil {
			return nil, 0, err
		}
		first := len(objects)
		for _, sp := range spans {
			objects, revision, err = s.listSpan(ctx, kind, sp, objects, revision)
			if err != nil {
				return nil, 0, err
			}
		}
		// etcd's order is that of the whole key: "a-b/x" before "a/x".
		slices.SortFunc(objects[first:], func(a, b store.Object) int { return a.Key.Compare(b.Key) })
	}
	if revision == 0 { // no range holds what was asked for; the revision is still wanted
		_, revision, err := s.listSpan(ctx, q.Kinds[0], exactly(ipamConfigKey), nil, 0)
		return nil, revision, err
	}
	return objects, revision, nil
}

// listSpan appends the objects of one range at a revision, or, where that is 0, at the newest, which it returns.
func (s *Store) listSpan(ctx context.Context, kind model.Kind, sp span, objects []store.Object, revision int64) ([]store.Object, int64, error) {
	for from, more := sp.start, true; more; {
		err := s.call(ctx, fmt.Sprintf("list %s", kind), func(ctx context.Context, client *clientv3.Client) error {
			answer, err := client.Get(ctx, from, clientv3.WithRange(sp.end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
			if err != nil {
				return err
			}
			if revision == 0 {
				revision = answer.Header.Revision
			}
			for _, kv := range answer.Kvs {
				key, ok, problem := DecodeKey(string(kv.Key))
				if ok && key.Kind == kind {
					objects = append(objects, s.object(key, problem, kv))
				}
			}
			if more = answer.More && len(answer.Kvs) > 0; more {
				from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return objects, revision, nil
}

// object makes of a stored pair the object. problem is what is wrong with the key already.
func (s *Store) object(key model.Key, problem error, kv *mvccpb.KeyValue) store.Object {
	object := store.Object{Key: key, Revision: store.Revision(kv.ModRevision), Problem: problem}
	if problem != nil {
		return object
	}
	value, err := s.codec.Decode(key, kv.Value)
	if err != nil {
		object.Problem = fmt.Errorf("decode %s (etcd key %s): %w", key, strings.ToValidUTF8(string(kv.Key), "?"), err)
		return object
	}
	object.Value = value
	return object
}
