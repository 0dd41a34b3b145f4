package etcd

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// maxOps is how many operations etcd takes in a transaction with its default settings.
const maxOps = 128

// Create stores a value that must not exist yet.
func (s *Store) Create(ctx context.Context, key model.Key, value any) (store.Object, error) {
	return s.single(ctx, store.Op{Kind: store.OpCreate, Key: key, Value: value})
}

// Update replaces a value that stands at a revision (0: that exists).
func (s *Store) Update(ctx context.Context, key model.Key, value any, at store.Revision) (store.Object, error) {
	return s.single(ctx, store.Op{Kind: store.OpUpdate, Key: key, Value: value, Revision: at})
}

// Delete removes an object that stands at a revision (0: that exists).
func (s *Store) Delete(ctx context.Context, key model.Key, at store.Revision) error {
	_, err := s.Txn(ctx, store.Op{Kind: store.OpDelete, Key: key, Revision: at})
	return err
}

// single does one operation and returns the object as stored: decoded again, so that it shares nothing with what the
// caller gave.
func (s *Store) single(ctx context.Context, op store.Op) (store.Object, error) {
	pairs, revision, err := s.commit(ctx, op)
	if err != nil {
		return store.Object{}, err
	}
	value, err := s.codec.Decode(op.Key, []byte(pairs[0].raw))
	if err != nil {
		return store.Object{}, fmt.Errorf("decode %s as it was written: %w", op.Key, err)
	}
	return store.Object{Key: op.Key, Revision: revision, Value: value}, nil
}

// Txn does all operations or none: at most 128, each of another object. When the connection breaks before the answer
// came it is ErrUnavailable, and whether it was done is not known.
func (s *Store) Txn(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	_, revision, err := s.commit(ctx, ops...)
	return revision, err
}

// pair is an operation's etcd key and bytes.
type pair struct {
	key, raw string
}

func (s *Store) commit(ctx context.Context, ops ...store.Op) ([]pair, store.Revision, error) {
	pairs, err := s.encode(ops)
	if err != nil {
		return nil, 0, err
	}
	var conditions []clientv3.Cmp
	var writes, reads []clientv3.Op
	for i, op := range ops {
		if c, ok := condition(op, pairs[i].key); ok {
			conditions = append(conditions, c)
		}
		switch op.Kind {
		case store.OpCheck:
		case store.OpDelete:
			writes = append(writes, clientv3.OpDelete(pairs[i].key))
		default:
			writes = append(writes, clientv3.OpPut(pairs[i].key, pairs[i].raw))
		}
		reads = append(reads, clientv3.OpGet(pairs[i].key, clientv3.WithKeysOnly()))
	}
	var revision store.Revision
	what := fmt.Sprintf("%s %s", word(ops[0].Kind), ops[0].Key)
	if len(ops) > 1 {
		what = fmt.Sprintf("transaction of %d from %s on", len(ops), ops[0].Key)
	}
	err = s.call(ctx, what, func(ctx context.Context, client *clientv3.Client) error {
		answer, err := client.Txn(ctx).If(conditions...).Then(writes...).Else(reads...).Commit()
		if err != nil {
			return err
		}
		if !answer.Succeeded {
			return conflict(ops, answer.Responses)
		}
		revision = store.Revision(answer.Header.Revision)
		return nil
	})
	return pairs, revision, err
}

// encode makes keys and bytes, and refuses what etcd would, before anything is sent.
func (s *Store) encode(ops []store.Op) ([]pair, error) {
	if len(ops) == 0 || len(ops) > maxOps {
		return nil, fmt.Errorf("transaction of %d operations: %w: must be 1 to %d", len(ops), store.ErrInvalid, maxOps)
	}
	pairs := make([]pair, len(ops))
	seen := make(map[string]bool, len(ops))
	for i, op := range ops {
		key, err := EncodeKey(op.Key)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fmt.Errorf("transaction: %w: %s is named twice", store.ErrInvalid, op.Key)
		}
		seen[key] = true
		pairs[i].key = key
		switch op.Kind {
		case store.OpCreate, store.OpUpdate, store.OpPut:
			raw, err := s.codec.Encode(op.Key, op.Value)
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w: %w", op.Key, store.ErrInvalid, err)
			}
			pairs[i].raw = string(raw)
		case store.OpDelete, store.OpCheck:
		default:
			return nil, fmt.Errorf("transaction: %w: %s: operation %d does not exist", store.ErrInvalid, op.Key, op.Kind)
		}
	}
	return pairs, nil
}

// condition is what an operation demands of its key. Put demands nothing.
func condition(op store.Op, key string) (clientv3.Cmp, bool) {
	switch {
	case op.Kind == store.OpPut:
		return clientv3.Cmp{}, false
	case op.Kind == store.OpCreate, op.Kind == store.OpCheck && op.Revision == 0:
		return clientv3.Compare(clientv3.Version(key), "=", 0), true
	case op.Revision == 0:
		return clientv3.Compare(clientv3.Version(key), ">", 0), true
	}
	return clientv3.Compare(clientv3.ModRevision(key), "=", int64(op.Revision)), true
}

// conflict finds the operation whose demand was not met in what the other branch of the transaction read.
func conflict(ops []store.Op, found []*etcdserverpb.ResponseOp) error {
	for i, op := range ops {
		var revision store.Revision
		if kvs := found[i].GetResponseRange().GetKvs(); len(kvs) > 0 {
			revision = store.Revision(kvs[0].ModRevision)
		}
		var cause error
		switch op.Kind {
		case store.OpCreate:
			if revision != 0 {
				cause = store.ErrExists
			}
		case store.OpUpdate, store.OpDelete:
			if revision == 0 {
				cause = store.ErrNotFound
			} else if op.Revision != 0 && op.Revision != revision {
				cause = store.ErrConflict
			}
		case store.OpCheck:
			if op.Revision != revision {
				cause = store.ErrConflict
			}
		}
		if cause != nil {
			return &store.ConflictError{Key: op.Key, Cause: cause}
		}
	}
	return &store.ConflictError{Key: ops[0].Key, Cause: store.ErrConflict}
}

// word names an operation in errors.
func word(kind store.OpKind) string {
	switch kind {
	case store.OpCreate:
		return "create"
	case store.OpUpdate:
		return "update"
	case store.OpDelete:
		return "delete"
	case store.OpPut:
		return "put"
	default:
		return "check"
	}
}

// Bootstrap creates, of the given objects, those that do not exist: what any first client of an empty store makes
// (ClusterInformation and the default tiers, spec/store-layout.md §1.2). The values come ready from the caller.
func Bootstrap(ctx context.Context, s store.Store, objects ...store.Object) error {
	for _, object := range objects {
		if err := createAbsent(ctx, s, object.Key, object.Value); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	return nil
}

func createAbsent(ctx context.Context, s store.Store, key model.Key, value any) error {
	switch _, err := s.Get(ctx, key); {
	case err == nil:
		return nil
	case !isNotFound(err):
		return err
	}
	if _, err := s.Create(ctx, key, value); err != nil && !isExists(err) { // exists: somebody else was faster
		return err
	}
	return nil
}
