package mem

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// historyLimit is how many writes are kept for watches. What is older is compacted, as a real store does in its time.
const historyLimit = 1 << 17

// Fault decides whether an operation fails. The operations: get, list, watch, create, update, delete, put, check. The
// key of a list or watch holds only its first kind and its namespace.
type Fault func(op string, key model.Key) error

// record is what is stored under a key.
type record struct {
	revision store.Revision
	raw      []byte
}

// change is one write in the history.
type change struct {
	key      model.Key
	revision store.Revision
	raw      []byte // nil when deleted
}

// Store is a store.Store in memory.
type Store struct {
	codec Codec

	mu        sync.Mutex
	revision  store.Revision // of the last write
	objects   map[model.Key]record
	history   []change       // ascending revision, of every write after compacted
	compacted store.Revision // a watch after an earlier revision than this cannot be served
	changed   chan struct{}  // closed and replaced when something a watch waits for happened
	away      chan struct{}  // closed while disconnected
	closed    bool
	before    Fault
	after     Fault
}

// New makes an empty store. Its revision starts at 1, as etcd's does.
func New(codec Codec) *Store {
	return &Store{
		codec:    codec,
		revision: 1,
		objects:  map[model.Key]record{},
		changed:  make(chan struct{}),
		away:     make(chan struct{}),
	}
}

// Transactional says that a transaction over several objects is atomic here.
func (s *Store) Transactional() bool { return true }

// Close ends all watches; every later call fails with ErrUnavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.disconnect()
	return nil
}

// Get returns one object, or ErrNotFound.
func (s *Store) Get(ctx context.Context, key model.Key) (store.Object, error) {
	if err := s.admit(ctx, "get", key); err != nil {
		return store.Object{}, err
	}
	s.mu.Lock()
	r, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		return store.Object{}, fmt.Errorf("get %s: %w", key, store.ErrNotFound)
	}
	return s.object(key, r.revision, r.raw), nil
}

// List returns the objects of a query as they stand now, in key order per kind.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Object, store.Revision, error) {
	found, revision, err := s.find(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	objects := make([]store.Object, len(found))
	for i, f := range found {
		objects[i] = decoded(s.codec.Decode, f)
	}
	return objects, revision, nil
}

// pageSize is how many objects ListPages gives at once.
const pageSize = 1000

// ListPages is List in portions, as they stand when it is called.
func (s *Store) ListPages(ctx context.Context, q store.Query, page func([]store.Object, store.Revision) error) (store.Revision, error) {
	found, revision, err := s.find(ctx, q)
	if err != nil {
		return 0, err
	}
	decode := store.Lean(s.codec)
	for part := range slices.Chunk(found, pageSize) {
		objects := make([]store.Object, len(part))
		for i, f := range part {
			objects[i] = decoded(decode, f)
		}
		if err := page(objects, revision); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// find is what a query selects, not decoded, in key order per kind.
func (s *Store) find(ctx context.Context, q store.Query) ([]change, store.Revision, error) {
	if len(q.Kinds) == 0 {
		return nil, 0, fmt.Errorf("list: %w: a query names at least one kind", store.ErrInvalid)
	}
	if err := s.admit(ctx, "list", model.Key{Kind: q.Kinds[0], Namespace: q.Namespace}); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	revision := s.revision
	found := make([]change, 0, len(s.objects))
	for key, r := range s.objects {
		if matches(q, key) {
			found = append(found, change{key, r.revision, r.raw})
		}
	}
	s.mu.Unlock()

	slices.SortFunc(found, func(a, b change) int {
		if c := slices.Index(q.Kinds, a.key.Kind) - slices.Index(q.Kinds, b.key.Kind); c != 0 {
			return c
		}
		return a.key.Compare(b.key)
	})
	return found, revision, nil
}

// object decodes what is stored.
func (s *Store) object(key model.Key, revision store.Revision, raw []byte) store.Object {
	return decoded(s.codec.Decode, change{key, revision, raw})
}

func decoded(decode func(model.Key, []byte) (any, error), c change) store.Object {
	value, err := decode(c.key, c.raw)
	if err != nil {
		return store.Object{Key: c.key, Revision: c.revision, Problem: fmt.Errorf("decode %s: %w", c.key, err)}
	}
	return store.Object{Key: c.key, Revision: c.revision, Value: value}
}

// admit refuses a call whose context has ended, that a fault forbids, or that the disconnected store cannot serve.
func (s *Store) admit(ctx context.Context, op string, key model.Key) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	s.mu.Lock()
	fault, gone := s.before, s.disconnected()
	s.mu.Unlock()
	if gone {
		return fmt.Errorf("%s %s: %w", op, key, store.ErrUnavailable)
	}
	if fault != nil {
		if err := fault(op, key); err != nil {
			return fmt.Errorf("%s %s: %w", op, key, err)
		}
	}
	return nil
}

func matches(q store.Query, key model.Key) bool {
	return (q.Namespace == "" || q.Namespace == key.Namespace) && slices.Contains(q.Kinds, key.Kind)
}
