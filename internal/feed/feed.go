package feed

import (
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// Decode makes of a stored object the value of a model.Update. The value stands also when there is an error: it is then
// what closes (or nil), and the error says why.
type Decode func(store.Object) (any, error)

// Problem is an object that could not be used as it stands.
type Problem struct {
	Key model.Key
	Err error // nil: it is well again
}

// Batch is a step of the stream. Until InSync a step may be a part of the first list, with Revision 0: that list comes in
// portions.
type Batch struct {
	Updates  []model.Update
	Problems []Problem
	Revision store.Revision // everything up to here is in
	InSync   bool           // true from the batch on that completes the first list
}

// Status is how the feed stands with its store.
type Status struct {
	Connected bool
	InSync    bool
	Revision  store.Revision
	LastError string
	Since     int64 // Unix seconds of the last change of Connected
}
