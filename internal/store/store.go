package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/tortie-net/tortie/internal/model"
)

// Revision is a point in the store's history. Larger is later. Zero means "none".
type Revision uint64

// Object is a stored object at a revision.
type Object struct {
	Key      model.Key
	Revision Revision // of the object's last write
	Value    any
	Problem  error // set, and Value nil: the stored bytes cannot be read
}

// Query selects objects: of these kinds, and, where set, of this namespace.
type Query struct {
	Kinds     []model.Kind
	Namespace string
}

// Event is one change seen by a watch. Object.Value is nil and Deleted true when it is gone.
type Event struct {
	Object
	Deleted bool
}

// Batch is what one step of a watch brings: events in order, and the revision up to which the watch has now seen
// everything. Events may be empty (progress).
type Batch struct {
	Events   []Event
	Revision Revision
}

// Watch is a running watch. The channel is closed when it ends; Err then tells why.
type Watch interface {
	Batches() <-chan Batch
	Err() error // ErrCompacted, ErrUnavailable, context.Canceled …; valid after the channel is closed
	Stop()
}

// OpKind is what an Op does.
type OpKind uint8

// The operations of a transaction. Create demands that the key does not exist; Update and Delete that it stands at
// Revision (Revision 0: that it exists); Put writes whatever is there; Check demands Revision (0: that it does not
// exist) and changes nothing.
const (
	OpCreate OpKind = iota + 1
	OpUpdate
	OpDelete
	OpPut
	OpCheck
)

// Op is one part of a transaction.
type Op struct {
	Kind     OpKind
	Key      model.Key
	Value    any // for Create, Update, Put
	Revision Revision
}

// Store is a back end. Implementations are safe for concurrent use.
type Store interface {
	// Get returns one object, or ErrNotFound.
	Get(ctx context.Context, key model.Key) (Object, error)
	// List returns the objects of a query as they stood together at one revision, in key order per kind.
	List(ctx context.Context, q Query) ([]Object, Revision, error)
	// Watch follows a query from just after a revision. ErrCompacted: list again.
	Watch(ctx context.Context, q Query, after Revision) (Watch, error)

	// Create, Update and Delete are transactions of one operation; they return the object as stored.
	Create(ctx context.Context, key model.Key, value any) (Object, error)
	Update(ctx context.Context, key model.Key, value any, at Revision) (Object, error)
	Delete(ctx context.Context, key model.Key, at Revision) error
	// Txn does all or nothing, and returns the revision of what it wrote. A condition that fails is a *ConflictError.
	// Back ends without transactions over several objects do them in order and undo on failure; the callers' orders are
	// safe under a crash in between.
	Txn(ctx context.Context, ops ...Op) (Revision, error)

	// Transactional says whether Txn is atomic over several objects.
	Transactional() bool
	Close() error
}

// Pager is a store that gives a long list in portions, so that nobody needs memory for all of it at once.
type Pager interface {
	// ListPages is List in portions: page gets every object of the query once, all of one revision, which it is told;
	// kind after kind, within a kind in any order. The slice is page's only until it returns, what is in it for good. An
	// object of a kind of which much is never looked at may come as the codec's lean form (DecodeLean) instead of the one
	// that Get gives. When page fails, ListPages ends with its error. After any error what page was given is no whole list.
	ListPages(ctx context.Context, q Query, page func(objects []Object, at Revision) error) (Revision, error)
}

// The errors. Test with errors.Is.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")
	ErrConflict    = errors.New("changed meanwhile")
	ErrCompacted   = errors.New("revision compacted")
	ErrUnavailable = errors.New("store unavailable")
	ErrInvalid     = errors.New("invalid")
)

// ConflictError says which operation of a transaction met something else than it demanded. It is ErrExists for a
// Create, ErrNotFound for an Update or Delete of what is gone, else ErrConflict.
type ConflictError struct {
	Key   model.Key
	Cause error
}

func (e *ConflictError) Error() string { return fmt.Sprintf("%s: %v", e.Key, e.Cause) }
func (e *ConflictError) Unwrap() error { return e.Cause }
