package route

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/plane"
)

// Options of a plane.
type Options struct {
	Namespace         *kernel.Namespace // nil: the process's own
	InterfacePrefixes []string          // of workload interfaces until a Host object says others; nil: "cali"
}

// Plane moves the main routing table to the intent. It owns the routes of protocol Protocol, and every route and
// permanent neighbour on workload interfaces; others it replaces only where it wants the same prefix and metric and
// they are a predecessor's. Apply returns an error only when the kernel cannot be spoken to: a route that cannot be
// made is in Status, stays pending, and is announced on Damage when something changed that may help, at the latest
// after retryMost.
type Plane struct {
	handle  *kernel.Handle
	watcher *watcher

	mu       sync.Mutex // guards what the watcher reads, down to waiting
	desired  map[string]*intent.Route
	wanted   table
	macs     map[netip.Addr]entry // the permanent neighbour entries that are wanted
	devices  map[string]int       // how many unicast routes name the interface; "": none is named
	numbers  map[int]bool         // workload interfaces that have routes
	prefixes []string
	device   uint8 // protocol of workload routes
	foreign  bool  // routes of other protocols on workload interfaces stay (removeExternalRoutes false)
	waiting  bool  // something is pending

	actual     map[kernel.RouteKey]kernel.Route // as last read and written; only what may concern the plane
	neighbours map[kernel.NeighbourKey]kernel.Neighbour
	made       map[kernel.NeighbourKey]bool // entries written by this plane: a difference is damage
	done       map[kernel.RouteKey]bool     // once made as wanted: a difference is damage
	dirty      map[kernel.RouteKey]bool     // to be compared at the next Apply
	stale      map[kernel.NeighbourKey]bool
	failed     map[kernel.RouteKey]string
	invalid    map[string]string // intent ID → reason
	repairs    plane.Repairs[kernel.RouteKey]
	synced     bool
	status     plane.Status
}

// entry is a neighbour as it is wanted: its interface by name.
type entry struct{ device, mac string }

var (
	_ plane.Plane   = (*Plane)(nil)
	_ plane.Watcher = (*Plane)(nil)
)

// New opens the plane and begins to watch. Close ends it.
func New(o Options) (*Plane, error) {
	h, err := kernel.Open(o.Namespace)
	if err != nil {
		return nil, fmt.Errorf("route plane: %w", err)
	}
	p := &Plane{
		handle: h, device: ProtocolDevice,
		desired: map[string]*intent.Route{}, wanted: table{}, prefixes: o.InterfacePrefixes,
		macs: map[netip.Addr]entry{}, devices: map[string]int{}, numbers: map[int]bool{},
		actual: map[kernel.RouteKey]kernel.Route{}, neighbours: map[kernel.NeighbourKey]kernel.Neighbour{},
		done: map[kernel.RouteKey]bool{}, dirty: map[kernel.RouteKey]bool{}, stale: map[kernel.NeighbourKey]bool{}, made: map[kernel.NeighbourKey]bool{},
		failed: map[kernel.RouteKey]string{}, invalid: map[string]string{},
	}
	if len(p.prefixes) == 0 {
		p.prefixes = []string{"cali"}
	}
	if p.watcher, err = newWatcher(p, o.Namespace); err != nil {
		h.Close()
		return nil, fmt.Errorf("route plane: %w", err)
	}
	return p, nil
}

// Close stops watching. The kernel keeps what it has.
func (p *Plane) Close() error {
	err := p.watcher.close()
	p.handle.Close()
	return err
}

// Name implements plane.Plane.
func (p *Plane) Name() string { return "route" }

// Damage implements plane.Watcher.
func (p *Plane) Damage() <-chan string { return p.watcher.damage }

// Sync implements plane.Plane.
func (p *Plane) Sync(context.Context) error {
	links, err := p.handle.Links()
	if err != nil {
		return fmt.Errorf("route plane: %w", err)
	}
	routes, err := p.handle.Routes()
	if err != nil {
		return fmt.Errorf("route plane: %w", err)
	}
	neighbours, err := p.handle.Neighbours()
	if err != nil {
		return fmt.Errorf("route plane: %w", err)
	}
	workload := p.workloadLinks(links)
	clear(p.actual)
	for _, r := range routes {
		if p.concerns(r, workload) {
			p.actual[r.Key()] = r
		}
	}
	clear(p.neighbours)
	for _, n := range neighbours {
		if n.Permanent && workload[n.Link] && n.Addr.IsValid() && !n.Addr.IsMulticast() {
			p.neighbours[n.Key()] = n
		}
	}
	clear(p.dirty)
	for k := range p.wanted {
		p.dirty[k] = true
	}
	for k := range p.actual {
		p.dirty[k] = true
	}
	for k := range p.neighbours {
		p.stale[k] = true
	}
	p.synced = true
	return nil
}

// workloadLinks lists the interfaces of workloads by number.
func (p *Plane) workloadLinks(links []kernel.Link) map[int]bool {
	found := map[int]bool{}
	for _, l := range links {
		if hasPrefix(l.Name, p.prefixes) {
			found[l.Index] = true
		}
	}
	return found
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if p != "" && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// concerns says that the plane must know of a route: it is wanted, its own, a predecessor's, or a workload's.
func (p *Plane) concerns(r kernel.Route, workload map[int]bool) bool {
	if r.Protocol == Protocol || predecessor(r.Protocol) || p.wanted[r.Key()] != nil {
		return true
	}
	return p.onWorkload(r, workload)
}

func (p *Plane) onWorkload(r kernel.Route, workload map[int]bool) bool {
	if r.Protocol == protocolKernel || r.Protocol == protocolRA || p.foreign && r.Protocol != p.device {
		return false
	}
	for _, n := range r.NextHops {
		if workload[n.Link] {
			return true
		}
	}
	return false
}

// Apply implements plane.Plane.
func (p *Plane) Apply(ctx context.Context, changes []intent.KernelChange, whole bool) error {
	p.take(changes)
	if !p.synced {
		if err := p.Sync(ctx); err != nil {
			return err
		}
	}
	err := p.move(whole)
	if errors.Is(err, kernel.ErrRouteExists) {
		// Somebody made a route where none was: look, then decide.
		if err = p.Sync(ctx); err == nil {
			err = p.move(whole)
		}
		if errors.Is(err, kernel.ErrRouteExists) {
			err = nil // it is in Status and tried again
		}
	}
	p.mu.Lock()
	p.waiting = len(p.failed) > 0
	p.mu.Unlock()
	p.watcher.retry(len(p.failed) > 0)
	return err
}

// take brings changes into the desired state.
func (p *Plane) take(changes []intent.KernelChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		switch c.Ref.Kind {
		case intent.KindHost:
			if h, ok := c.Object.(*intent.Host); ok {
				p.takeHost(h)
			}
		case intent.KindRoute:
			p.forget(c.Ref.ID)
			if r, ok := c.Object.(*intent.Route); ok && r != nil {
				p.want(c.Ref.ID, r)
			}
		}
	}
}

func (p *Plane) takeHost(h *intent.Host) {
	device := uint8(h.DeviceRouteProtocol)
	if device == 0 {
		device = ProtocolDevice
	}
	prefixes := h.InterfacePrefixes
	if len(prefixes) == 0 {
		prefixes = p.prefixes
	}
	if device != p.device || p.foreign == h.RemoveExternalRoutes || strings.Join(prefixes, ",") != strings.Join(p.prefixes, ",") {
		p.synced = false // what concerns the plane has changed
	}
	p.device, p.prefixes, p.foreign = device, prefixes, !h.RemoveExternalRoutes
}

func (p *Plane) forget(id string) {
	delete(p.invalid, id)
	old := p.desired[id]
	if old == nil {
		return
	}
	delete(p.desired, id)
	if old.Type == intent.RouteUnicast {
		if p.devices[old.Device]--; p.devices[old.Device] == 0 {
			delete(p.devices, old.Device)
		}
	}
	for _, w := range wants(old) {
		if w.neighbour {
			delete(p.macs, w.prefix.Addr())
		}
		p.wanted.remove(w)
		p.touch(w.key())
	}
}

func (p *Plane) want(id string, r *intent.Route) {
	if err := invalid(r); err != nil {
		p.invalid[id] = err.Error()
		return
	}
	p.desired[id] = r
	if r.Type == intent.RouteUnicast {
		p.devices[r.Device]++
	}
	for _, w := range wants(r) {
		if w.neighbour {
			p.macs[w.prefix.Addr()] = entry{r.Device, r.Neighbour}
		}
		p.wanted.add(w)
		p.touch(w.key())
	}
}

// touch marks a key as changed by the intent: a difference is then no damage.
func (p *Plane) touch(k kernel.RouteKey) {
	p.dirty[k] = true
	delete(p.done, k)
	delete(p.failed, k)
	p.repairs.Forget(k)
	p.doubt(k)
}

// doubt marks the neighbour entries of an address for sweepNeighbours to look at.
func (p *Plane) doubt(k kernel.RouteKey) {
	if !k.Prefix.IsSingleIP() {
		return
	}
	for n := range p.neighbours {
		if n.Addr == k.Prefix.Addr() {
			p.stale[n] = true
		}
	}
}

// Status implements plane.Plane.
func (p *Plane) Status() plane.Status {
	s := p.status
	s.Objects = len(p.desired) + len(p.invalid)
	s.Failures = maps.Clone(p.invalid)
	pending := map[string]bool{}
	for k := range p.dirty {
		if w, ok := p.wanted.winner(k); ok {
			pending[w.id] = true
		}
	}
	for k, reason := range p.failed {
		if w, ok := p.wanted.winner(k); ok {
			pending[w.id] = true
			s.Failures[w.id] = reason
		} else {
			s.Failures[fmt.Sprintf("%v metric %d", k.Prefix, k.Metric)] = reason
		}
	}
	s.Pending = len(pending) + len(p.invalid)
	return s
}
