package feed

import (
	"sync"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// pending is what the reader has not taken yet: the latest of each object, and how far it goes.
type pending struct {
	wake chan struct{} // holds a token while there is something to take

	mu       *sync.Mutex
	latest   map[model.Key]int // index into events
	events   []store.Event     // in the order in which the objects first changed
	revision store.Revision
	inSync   bool
}

func newPending() pending {
	return pending{wake: make(chan struct{}, 1), mu: new(sync.Mutex), latest: map[model.Key]int{}}
}

// add puts changes in, over what is there of the same objects.
func (p *pending) add(changes []store.Event, revision store.Revision, inSync bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range changes {
		if at, ok := p.latest[e.Key]; ok {
			p.events[at] = e
			continue
		}
		p.latest[e.Key] = len(p.events)
		p.events = append(p.events, e)
	}
	if len(changes) == 0 && revision == p.revision && inSync == p.inSync {
		return
	}
	p.revision, p.inSync = revision, inSync
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take takes all that is there.
func (p *pending) take() (events []store.Event, revision store.Revision, inSync bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	events = p.events
	p.events = nil
	p.latest = map[model.Key]int{} // not clear: the first list made it large
	return events, p.revision, p.inSync
}
