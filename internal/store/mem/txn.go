package mem

import (
	"context"
	"fmt"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

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

func (s *Store) single(ctx context.Context, op store.Op) (store.Object, error) {
	raws, revision, err := s.commit(ctx, op)
	if err != nil {
		return store.Object{}, err
	}
	return s.object(op.Key, revision, raws[0]), nil
}

// Txn does all operations or none.
func (s *Store) Txn(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	_, revision, err := s.commit(ctx, ops...)
	return revision, err
}

func (s *Store) commit(ctx context.Context, ops ...store.Op) ([][]byte, store.Revision, error) {
	raws, err := s.encode(ops)
	if err != nil {
		return nil, 0, err
	}
	for _, op := range ops {
		if err := s.admit(ctx, word(op.Kind), op.Key); err != nil {
			return nil, 0, err
		}
	}
	s.mu.Lock()
	if s.disconnected() { // since it was admitted
		s.mu.Unlock()
		return nil, 0, fmt.Errorf("txn: %w", store.ErrUnavailable)
	}
	revision, err := s.apply(ops, raws)
	fault := s.after
	s.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	for _, op := range ops {
		if fault == nil {
			break
		}
		if err := fault(word(op.Kind), op.Key); err != nil {
			return nil, 0, fmt.Errorf("%s %s: %w", word(op.Kind), op.Key, err)
		}
	}
	return raws, revision, nil
}

// encode makes bytes of every value that is to be written, before anything is locked or changed.
func (s *Store) encode(ops []store.Op) ([][]byte, error) {
	if len(ops) == 0 {
		return nil, fmt.Errorf("txn: %w: no operation", store.ErrInvalid)
	}
	raws := make([][]byte, len(ops))
	seen := make(map[model.Key]bool, len(ops))
	for i, op := range ops {
		if seen[op.Key] {
			return nil, fmt.Errorf("txn: %w: %s is named twice", store.ErrInvalid, op.Key)
		}
		seen[op.Key] = true
		switch op.Kind {
		case store.OpCreate, store.OpUpdate, store.OpPut:
			raw, err := s.codec.Encode(op.Key, op.Value)
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w: %w", op.Key, store.ErrInvalid, err)
			}
			raws[i] = append([]byte{}, raw...) // never nil: that means deleted
		case store.OpDelete, store.OpCheck:
		default:
			return nil, fmt.Errorf("txn: %w: %s: operation %d does not exist", store.ErrInvalid, op.Key, op.Kind)
		}
	}
	return raws, nil
}

// apply checks every condition, then writes. mu is held.
func (s *Store) apply(ops []store.Op, raws [][]byte) (store.Revision, error) {
	writes := false
	for _, op := range ops {
		if cause := s.condition(op); cause != nil {
			return 0, &store.ConflictError{Key: op.Key, Cause: cause}
		}
		writes = writes || op.Kind != store.OpCheck
	}
	if !writes {
		return s.revision, nil
	}
	s.revision++
	for i, op := range ops {
		switch op.Kind {
		case store.OpCheck:
			continue
		case store.OpDelete:
			delete(s.objects, op.Key)
		default:
			s.objects[op.Key] = record{s.revision, raws[i]}
		}
		s.history = append(s.history, change{op.Key, s.revision, raws[i]})
	}
	if len(s.history) > historyLimit {
		s.forget(len(s.history) / 2)
	}
	s.notify()
	return s.revision, nil
}

// condition says why an operation's demand is not met, or nil.
func (s *Store) condition(op store.Op) error {
	r, exists := s.objects[op.Key]
	switch op.Kind {
	case store.OpCreate:
		if exists {
			return store.ErrExists
		}
	case store.OpUpdate, store.OpDelete:
		if !exists {
			return store.ErrNotFound
		}
		if op.Revision != 0 && op.Revision != r.revision {
			return store.ErrConflict
		}
	case store.OpCheck:
		if r.revision != op.Revision {
			return store.ErrConflict
		}
	}
	return nil
}

// word is how a Fault is told of an operation.
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
