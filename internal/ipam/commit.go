package ipam

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

const (
	// storeTimeout bounds one step against the store.
	storeTimeout = 5 * time.Second
	// maxAttempts bounds how often a batch is planned anew because somebody else wrote first.
	maxAttempts = 100
	// maxOps is what one transaction may hold: etcd refuses more than 128 by default.
	maxOps = 128
)

// call is one request on its way through the queue.
type call struct {
	ctx     context.Context
	done    chan struct{} // closed when addrs and err are final
	assign  *Request
	owner   model.Allocation // of assign
	release *releaseRequest

	addrs     []netip.Addr
	err       error
	finished  bool // under queue's lock
	abandoned bool // under queue's lock: the caller has gone
}

type releaseRequest struct {
	handle string
	only   []netip.Addr // nil: all of the handle
	also   []store.Op
}

// wait queues a call and waits for its end or its context's. Requests that arrive while a transaction is under way form
// the next one; nobody waits for company.
func (a *Allocator) wait(c *call) error {
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("ipam: %w", err)
	}
	a.enqueue(c)
	select {
	case <-c.done:
		return c.err
	case <-c.ctx.Done():
	}
	a.queue.Lock()
	defer a.queue.Unlock()
	if c.finished {
		return c.err
	}
	c.abandoned = true
	return fmt.Errorf("ipam: waiting for the store: %w", c.ctx.Err())
}

func (a *Allocator) enqueue(c *call) {
	a.queue.Lock()
	defer a.queue.Unlock()
	a.queue.calls = append(a.queue.calls, c)
	if !a.queue.running {
		a.queue.running = true
		go a.run()
	}
}

// run commits batches until nobody waits.
func (a *Allocator) run() {
	for {
		a.queue.Lock()
		batch := a.queue.calls
		a.queue.calls = nil
		if len(batch) == 0 {
			a.queue.running = false
			a.queue.Unlock()
			return
		}
		a.queue.Unlock()
		for len(batch) > 0 {
			batch = a.commit(batch)
		}
	}
}

// finish ends a call. Addresses given to a caller who has gone are taken back.
func (a *Allocator) finish(c *call, addrs []netip.Addr, err error) {
	a.queue.Lock()
	c.addrs, c.err, c.finished = addrs, err, true
	abandoned := c.abandoned
	a.queue.Unlock()
	close(c.done)
	if abandoned && err == nil && c.assign != nil {
		a.enqueue(&call{
			ctx: context.Background(), done: make(chan struct{}),
			release: &releaseRequest{handle: c.assign.Handle, only: addrs},
		})
	}
}

// commit brings as many calls of a batch as one transaction holds to their end, and returns the others.
func (a *Allocator) commit(batch []*call) []*call {
	for attempt := range maxAttempts {
		batch = a.dropFinished(batch)
		if len(batch) == 0 {
			return nil
		}
		if attempt > 2 { // somebody else is as busy as we are: stop running into each other
			time.Sleep(time.Duration(rand.Int64N(int64(min(attempt, 10)) * int64(time.Millisecond))))
		}
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		rest, again := a.attempt(ctx, batch)
		cancel()
		if !again {
			return rest
		}
		batch = rest
	}
	for _, c := range batch {
		a.finish(c, nil, fmt.Errorf("ipam: gave up after %d attempts: %w", maxAttempts, store.ErrConflict))
	}
	return nil
}

func (a *Allocator) dropFinished(batch []*call) []*call {
	live := make([]*call, 0, len(batch))
	for _, c := range batch {
		a.queue.Lock()
		finished := c.finished
		a.queue.Unlock()
		switch {
		case finished:
		case c.ctx.Err() != nil:
			a.finish(c, nil, fmt.Errorf("ipam: %w", c.ctx.Err()))
		default:
			live = append(live, c)
		}
	}
	return live
}

// attempt plans a batch and writes it. It returns the calls that have not ended, and whether they met a conflict
// (again) or did not fit.
func (a *Allocator) attempt(ctx context.Context, batch []*call) (rest []*call, again bool) {
	if err := a.refresh(ctx); err != nil {
		for _, c := range batch {
			a.finish(c, nil, fmt.Errorf("ipam: read node %q's blocks: %w", a.node, err))
		}
		return nil, false
	}
	p := newPlan(ctx, a)
	planned := 0
	for i, c := range batch {
		err := p.add(c)
		if errors.Is(err, errFull) {
			rest = batch[i:]
			break
		}
		if errors.Is(err, errAgain) {
			return batch, true
		}
		if err != nil {
			a.finish(c, nil, err)
			continue
		}
		planned++
	}
	if planned == 0 {
		return rest, false
	}
	conflict, err := p.write()
	switch {
	case err == nil:
		for _, o := range p.outcomes {
			a.finish(o.call, o.addrs, nil)
		}
		return rest, false
	case conflict:
		return batch, true
	}
	for _, o := range p.outcomes {
		a.finish(o.call, nil, err)
	}
	return rest, false
}

// transact writes, and tells tests where the process could die.
func (a *Allocator) transact(ctx context.Context, point string, ops ...store.Op) (store.Revision, error) {
	a.options.Crash("before " + point)
	revision, err := a.store.Txn(ctx, ops...)
	a.options.Crash("after " + point)
	return revision, err
}

// isConflict says that a condition of a transaction did not hold, and on which key.
func isConflict(err error) (model.Key, bool) {
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return conflict.Key, true
	}
	return model.Key{}, false
}

// get reads an object: a nil Object.Value with nil error means that it does not exist.
func (a *Allocator) get(ctx context.Context, key model.Key) (store.Object, error) {
	o, err := a.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return store.Object{Key: key}, nil
	}
	if err == nil && o.Problem != nil {
		err = fmt.Errorf("%s: %w: %w", key, errUnreadable, o.Problem)
	}
	return o, err
}

// getBlock reads a block: nil when there is none, an error when it cannot be trusted.
func (a *Allocator) getBlock(ctx context.Context, cidr netip.Prefix) (*model.Block, store.Revision, error) {
	o, err := a.get(ctx, blockKey(cidr))
	if err != nil || o.Value == nil {
		return nil, 0, err
	}
	block, ok := o.Value.(*model.Block)
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w: holds a %T", o.Key, errUnreadable, o.Value)
	}
	if err := sound(block); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return block, o.Revision, nil
}

// errUnreadable: the store answered, but with something that cannot be trusted. It is in use, whatever it is.
var errUnreadable = errors.New("unreadable")

func blockKey(cidr netip.Prefix) model.Key {
	return model.Key{Kind: model.KindBlock, Name: cidr.String()}
}

func affinityKey(owner string, cidr netip.Prefix) model.Key {
	return model.Key{Kind: model.KindAffinity, Namespace: owner, Name: cidr.String()}
}

func handleKey(id string) model.Key { return model.Key{Kind: model.KindHandle, Name: id} }
