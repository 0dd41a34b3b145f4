package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/bgp"
	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/calc/host"
	"github.com/tortie-net/tortie/internal/cni"
	"github.com/tortie-net/tortie/internal/feed"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/localize"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane"
)

// core joins feed, calc and localize under one lock and hands the outcome to the planes. What is wanted of it goes
// through its methods, from any goroutine.
type core struct {
	log  *slog.Logger
	node string

	mu       sync.Mutex
	calc     *calc.Calc
	local    *localize.Localizer
	planes   []*plane.Runner
	seq      uint64
	inSync   bool
	settled  bool // routes of an earlier run may be swept
	revision uint64
	problems map[model.Key]string
	changed  chan struct{} // closed and replaced when the intent changes
	inputs   func()        // called, with the lock held, when BGP or IPAM inputs may have changed

	preloaded []intent.Ref // from disk, until the store has spoken
}

func newCore(node string, log *slog.Logger, planes []*plane.Runner) *core {
	return &core{
		log: log, node: node, calc: calc.New(calc.Span{Node: node}), local: localize.New(node), planes: planes,
		problems: map[model.Key]string{}, changed: make(chan struct{}), inputs: func() {},
	}
}

// take applies a batch of the feed.
func (c *core) take(b feed.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range b.Problems {
		if p.Err == nil {
			delete(c.problems, p.Key)
			continue
		}
		c.problems[p.Key] = p.Err.Error()
		c.log.Warn("object cannot be used as it stands", "object", p.Key, "err", p.Err)
	}
	c.calc.Apply(b.Updates...)
	c.revision = uint64(b.Revision)
	if !b.InSync && !c.inSync {
		return
	}
	if !c.inSync {
		c.log.Info("in sync with the store", "revision", b.Revision)
	}
	changes := c.calc.Flush()
	if !c.inSync {
		c.local.Apply(stale(c.preloaded, changes)...)
		c.preloaded = nil
	}
	c.inSync = true
	c.local.Apply(changes...)
	c.push()
}

// stale is the end of what was preloaded from disk and the store does not have.
func stale(preloaded []intent.Ref, changes []intent.Change) []intent.Change {
	now := make(map[intent.Ref]bool, len(changes))
	for _, ch := range changes {
		now[ch.Ref] = true
	}
	var gone []intent.Change
	for _, ref := range preloaded {
		if !now[ref] {
			gone = append(gone, intent.Change{Ref: ref})
		}
	}
	return gone
}

// push hands what changed to the planes and wakes who waits. Nothing is handed out before InSync (R144).
func (c *core) push() {
	if !c.inSync {
		return
	}
	changes := c.local.Flush()
	c.seq++
	for _, p := range c.planes {
		p.Give(c.seq, changes, c.settled || p.Name() != planeRoute)
	}
	c.inputs()
	close(c.changed)
	c.changed = make(chan struct{})
}

// settle says that BGP has learned again what it will learn: old routes may go.
func (c *core) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.settled {
		c.settled = true
		c.push()
	}
}

// learn takes routes from BGP.
func (c *core) learn(routes []bgp.Route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range routes {
		c.local.Learn(localize.Learned{Prefix: r.Prefix, NextHops: r.NextHops, LocalPref: r.LocalPref})
	}
	c.push()
}

// Workload implements cni.Waiter.
func (c *core) Workload(ctx context.Context, id model.WorkloadID, uid string) (*intent.Endpoint, error) {
	for {
		c.mu.Lock()
		e, changed := c.local.Endpoint(id), c.changed
		c.mu.Unlock()
		if e != nil && (uid == "" || e.UID == "" || e.UID == uid) {
			return e, nil
		}
		select {
		case <-ctx.Done():
			if e != nil {
				return nil, fmt.Errorf("workload %s: the store still has it with UID %s, not %s", id, e.UID, uid)
			}
			return nil, fmt.Errorf("workload %s is not in the store, or not bound to node %s", id, c.node)
		case <-changed:
		}
	}
}

// Bind implements cni.Waiter.
func (c *core) Bind(ctx context.Context, b cni.Binding) error {
	c.mu.Lock()
	c.local.Bind(localize.Binding{Workload: b.Workload, ContainerID: b.ContainerID, Interface: b.Interface, MAC: b.MAC, Addresses: b.Addresses})
	c.push()
	seq := c.seq
	c.mu.Unlock()
	if err := c.wait(ctx, seq); err != nil {
		return err
	}
	return c.inKernel(ctx, b)
}

// inKernel waits until no plane names the binding among what it could not do: an Apply succeeds although single objects
// fail, so that they do not stop the others.
func (c *core) inKernel(ctx context.Context, b cni.Binding) error {
	for {
		failure := c.failure(b)
		if failure == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return failure
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// failure is what a plane says of a binding's interface, workload or addresses.
func (c *core) failure(b cni.Binding) error {
	names := []string{b.Interface, b.Workload.String()}
	for _, a := range b.Addresses {
		names = append(names, netip.PrefixFrom(a, a.BitLen()).String())
	}
	for _, p := range c.planes {
		status, _ := p.Status()
		for object, reason := range status.Failures {
			for _, n := range names {
				if strings.Contains(object, n) {
					return fmt.Errorf("plane %s: %s: %s", p.Name(), object, reason)
				}
			}
		}
	}
	return nil
}

// Unbind implements cni.Waiter.
func (c *core) Unbind(ctx context.Context, id model.WorkloadID, containerID string) error {
	c.mu.Lock()
	was := c.local.Unbind(id, containerID)
	if was {
		c.push()
	}
	seq, inSync := c.seq, c.inSync
	c.mu.Unlock()
	if !was || !inSync {
		return nil
	}
	return c.wait(ctx, seq)
}

// Ready implements cni.Waiter.
func (c *core) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch cfg := c.local.Config(); {
	case !c.inSync || cfg == nil:
		return errors.New("not yet in sync with the store")
	case !cfg.DatastoreReady:
		return errors.New("ClusterInformation/default: datastoreReady is false: the store is locked for a migration")
	}
	return nil
}

// Config implements cni.Waiter.
func (c *core) Config() *intent.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local.Config()
}

// environment hands the settings of the process's environment in: they beat everything that is stored.
func (c *core) environment(values map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(values) > 0 {
		c.calc.Apply(model.Update{
			Key:   model.Key{Kind: model.KindFelixConfiguration, Name: host.Environment},
			Value: &model.FelixConfiguration{Name: host.Environment, Values: values},
		})
	}
}

// adopt makes bindings of an earlier run facts before the planes see anything.
func (c *core) adopt(bindings []cni.Binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bindings {
		c.local.Bind(localize.Binding{Workload: b.Workload, ContainerID: b.ContainerID, Interface: b.Interface, MAC: b.MAC, Addresses: b.Addresses})
	}
}

func (c *core) wait(ctx context.Context, seq uint64) error {
	var errs []error
	for _, p := range c.planes {
		errs = append(errs, p.Wait(ctx, seq))
	}
	return errors.Join(errs...)
}

// problemList is what cannot be used as it stands, sorted.
func (c *core) problemList() []model.Key {
	keys := make([]model.Key, 0, len(c.problems))
	for k := range c.problems {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, model.Key.Compare)
	return keys
}

// has tells whether the intent has a pod on this node.
func (c *core) has(namespace, pod string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local.Endpoint(model.WorkloadID{Orchestrator: "k8s", Namespace: namespace, Workload: pod, Endpoint: "eth0"}) != nil
}

// claims tells whether the store has a workload of this node with the container that a handle ("network.container") names.
func (c *core) claims(handle string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := range c.local.All() {
		if e.ContainerID != "" && strings.HasSuffix(handle, "."+e.ContainerID) {
			return true
		}
	}
	return false
}

// preload starts with the intent of an earlier run; the store's replaces it at InSync. It is handed out at once, but
// nothing is removed for its sake.
func (c *core) preload(objects []intent.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range objects {
		c.local.Apply(intent.Change{Ref: o.Ref(), Object: o})
		c.preloaded = append(c.preloaded, o.Ref())
	}
	c.seq++
	changes := c.local.Flush()
	for _, p := range c.planes {
		p.Give(c.seq, changes, false)
	}
}

// snapshot is the intent for the disk, unless nothing changed since seq.
func (c *core) snapshot(seq uint64) (objects []intent.Object, now uint64, cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inSync || c.seq == seq {
		return nil, seq, ""
	}
	for o := range c.local.Snapshot() {
		objects = append(objects, o)
	}
	if cfg := c.local.Config(); cfg != nil {
		cluster = cfg.ClusterGUID
	}
	return objects, c.seq, cluster
}
