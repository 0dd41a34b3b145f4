package plane

import (
	"context"

	"github.com/tortie-net/tortie/internal/intent"
)

// Plane is an applier. All calls come from one goroutine.
type Plane interface {
	// Name is the plane's, for logs, metrics and status.
	Name() string
	// Sync reads the kernel's state anew, so that the next Apply repairs whatever differs.
	Sync(ctx context.Context) error
	// Apply takes the changes of the intent into the desired state and moves the kernel to it. An Apply that fails is
	// repeated with no changes. Whole says that the desired state is complete (InSync): only then may the plane remove
	// what it does not want.
	Apply(ctx context.Context, changes []intent.KernelChange, whole bool) error
	// Status tells how far the kernel is what it should be.
	Status() Status
}

// Status is a plane's state at one moment.
type Status struct {
	Objects  int               // desired
	Pending  int               // not yet so in the kernel
	Failures map[string]string // object → reason and remedy
	Writes   uint64            // kernel messages sent since the start
	Bytes    uint64            // their size
	Repairs  uint64            // times that foreign damage was undone
}

// Watcher is a plane that notices damage: Damage carries a word for each time that somebody else touched what is
// the plane's. The agent answers with Sync and Apply.
type Watcher interface {
	Damage() <-chan string
}
