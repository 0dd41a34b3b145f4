package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/plane"
)

// HostMAC is the hardware address of every workload interface's host side: workloads keep one permanent neighbour entry
// for their gateway, whatever node they are on.
const HostMAC = "ee:ee:ee:ee:ee:ee"

// Options of a plane.
type Options struct {
	Namespace *kernel.Namespace // nil: the process's own
}

// Plane keeps the host sides of workload interfaces up and at HostMAC. It neither makes nor removes them: CNI does, or
// whoever runs the virtual machine. One that is missing is a failure in Status and is looked at again when it appears.
type Plane struct {
	handle *kernel.Handle
	sub    *kernel.Subscription
	damage chan string
	ended  sync.WaitGroup

	mu      sync.Mutex              // guards what the watcher reads
	wanted  map[string]string       // interface → endpoint ID
	missing map[string]bool         // interfaces that did not exist
	desired map[string]string       // endpoint ID → interface
	dirty   map[string]bool         // interfaces
	settled map[string]bool         // once as wanted: a difference is damage
	failed  map[string]string       // endpoint ID → reason
	repairs plane.Repairs[string]   // interface
	links   map[string]*kernel.Link // as read by Sync
	later   *time.Timer             // announces what was put off
	status  plane.Status
}

var (
	_ plane.Plane   = (*Plane)(nil)
	_ plane.Watcher = (*Plane)(nil)
)

// New opens the plane and begins to watch. Close ends it.
func New(o Options) (*Plane, error) {
	h, err := kernel.Open(o.Namespace)
	if err != nil {
		return nil, fmt.Errorf("link plane: %w", err)
	}
	sub, err := kernel.Subscribe(o.Namespace, 0, kernel.GroupLinks)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("link plane: %w", err)
	}
	p := &Plane{
		handle: h, sub: sub, damage: make(chan string, 16),
		wanted: map[string]string{}, missing: map[string]bool{}, desired: map[string]string{}, dirty: map[string]bool{},
		settled: map[string]bool{}, failed: map[string]string{},
	}
	p.later = time.AfterFunc(plane.RepairHoldOff, func() { p.say("repair what was put off") })
	p.later.Stop()
	p.ended.Go(p.watch)
	return p, nil
}

// Close stops watching.
func (p *Plane) Close() error {
	p.later.Stop()
	err := p.sub.Close()
	p.ended.Wait()
	p.handle.Close()
	return err
}

// Name implements plane.Plane.
func (p *Plane) Name() string { return "link" }

// Damage implements plane.Watcher.
func (p *Plane) Damage() <-chan string { return p.damage }

// Sync implements plane.Plane.
func (p *Plane) Sync(context.Context) error {
	links, err := p.handle.Links()
	if err != nil {
		return fmt.Errorf("link plane: %w", err)
	}
	p.links = make(map[string]*kernel.Link, len(links))
	for i, l := range links {
		p.links[l.Name] = &links[i]
	}
	for name := range p.wanted {
		p.dirty[name] = true
	}
	return nil
}

// Apply implements plane.Plane.
func (p *Plane) Apply(_ context.Context, changes []intent.KernelChange, _ bool) error {
	p.mu.Lock()
	for _, c := range changes {
		if c.Ref.Kind != intent.KindLocalEndpoint {
			continue
		}
		p.forget(c.Ref.ID)
		if e, ok := c.Object.(*intent.LocalEndpoint); ok && e != nil && e.Interface != "" {
			p.desired[c.Ref.ID] = e.Interface
			p.wanted[e.Interface] = c.Ref.ID
			p.dirty[e.Interface] = true
		}
	}
	p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.dirty)) {
		p.move(name)
	}
	p.links = nil
	return nil
}

func (p *Plane) forget(id string) {
	name := p.desired[id]
	delete(p.desired, id)
	delete(p.failed, id)
	if p.wanted[name] == id {
		delete(p.wanted, name)
		delete(p.missing, name)
		delete(p.dirty, name)
		delete(p.settled, name)
		p.repairs.Forget(name)
	}
}

func (p *Plane) move(name string) {
	id := p.wanted[name]
	l, err := p.find(name)
	p.mu.Lock()
	p.missing[name] = errors.Is(err, kernel.ErrNoLink)
	p.mu.Unlock()
	if err == nil && l.Up && l.MAC == HostMAC {
		p.settle(name, id)
		return
	}
	if err == nil && p.settled[name] && p.damaged(name, id) {
		return
	}
	if err == nil && l.MAC != HostMAC {
		err = p.handle.SetMAC(name, HostMAC)
		p.status.Writes++
	}
	if err == nil && !l.Up {
		err = p.handle.SetLinkUp(name)
		p.status.Writes++
	}
	if errors.Is(err, kernel.ErrNoLink) {
		p.failed[id] = fmt.Sprintf("%v; it is looked at again as soon as it appears", err)
		delete(p.settled, name)
		return
	}
	if err != nil {
		p.failed[id] = err.Error()
		return
	}
	p.settle(name, id)
}

// find takes the interface from Sync's list, or asks for it.
func (p *Plane) find(name string) (kernel.Link, error) {
	if l := p.links[name]; l != nil {
		return *l, nil
	}
	return p.handle.Link(name)
}

func (p *Plane) settle(name, id string) {
	p.settled[name] = true
	delete(p.dirty, name)
	delete(p.failed, id)
}

func (p *Plane) damaged(name, id string) bool {
	if wait, times := p.repairs.Now(name, time.Now()); wait > 0 {
		p.later.Reset(wait)
		p.failed[id] = fmt.Sprintf("interface %s: somebody else changed it %d times within %v; repaired again in %v at most, find who does it with: ip monitor link", name, times, plane.RepairWindow, plane.RepairHoldOff)
		return true
	}
	p.status.Repairs++
	return false
}

// Status implements plane.Plane.
func (p *Plane) Status() plane.Status {
	s := p.status
	s.Objects, s.Pending, s.Failures = len(p.desired), len(p.dirty), maps.Clone(p.failed)
	return s
}

func (p *Plane) watch() {
	for {
		events, err := p.sub.Receive()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.say(fmt.Sprintf("%v: compare all", err))
			if !errors.Is(err, kernel.ErrOverrun) {
				time.Sleep(time.Second) // an error that stays must not become a busy loop
			}
			continue
		}
		for _, e := range events {
			if e.Link != nil {
				p.judge(*e.Link, e.Gone)
			}
		}
	}
}

func (p *Plane) judge(l kernel.Link, gone bool) {
	p.mu.Lock()
	wanted, missing := p.wanted[l.Name] != "", p.missing[l.Name]
	if gone && wanted {
		p.missing[l.Name] = true
	}
	p.mu.Unlock()
	switch {
	case !wanted:
	case gone && !missing:
		p.say(fmt.Sprintf("interface %s is gone", l.Name))
	case gone:
	case missing:
		p.say(fmt.Sprintf("interface %s appeared", l.Name))
	case !l.Up:
		p.say(fmt.Sprintf("interface %s was set down", l.Name))
	case l.MAC != HostMAC:
		p.say(fmt.Sprintf("interface %s got MAC %s", l.Name, l.MAC))
	}
}

func (p *Plane) say(word string) {
	select {
	case p.damage <- word:
	default: // a word is waiting to be read; it leads to the same comparison
	}
}
