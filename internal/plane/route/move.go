package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/plane"
)

// predecessorMetrics are those that Felix and BIRD give their routes: the kernel's default, BIRD's own, Calico's.
var predecessorMetrics = []int{0, 32, 1024}

// manyLinks is from how many interfaces on a list of all is cheaper than to ask for each.
const manyLinks = 32

// step is one route to be written.
type step struct {
	key   kernel.RouteKey
	want  want
	write kernel.RouteWrite
}

// move writes what differs: first what is wanted, links before gateways, then neighbours, and last it deletes.
// Nothing is deleted before the intent is whole.
func (p *Plane) move(whole bool) error {
	links := linkCache{handle: p.handle, found: map[string]int{}}
	var steps []step
	neighbours := map[kernel.NeighbourKey]string{}
	for k := range p.dirty {
		w, ok := p.wanted.winner(k)
		if !ok {
			continue
		}
		delete(p.failed, k)
		s, todo := p.plan(k, w, &links)
		if todo {
			steps = append(steps, s)
		}
		if w.neighbour {
			if link, err := links.number(w.route.Device); err == nil {
				neighbours[kernel.NeighbourKey{Link: link, Addr: w.prefix.Addr()}] = w.route.Neighbour
			}
		}
	}
	if links.err != nil {
		return fmt.Errorf("route plane: %w", links.err)
	}
	p.mu.Lock()
	for name, number := range links.found {
		if number != 0 && hasPrefix(name, p.prefixes) {
			p.numbers[number] = true
		}
	}
	p.mu.Unlock()
	slices.SortFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.want.rank, b.want.rank), a.key.Prefix.Addr().Compare(b.key.Prefix.Addr()),
			cmp.Compare(a.key.Prefix.Bits(), b.key.Prefix.Bits()), cmp.Compare(a.key.Metric, b.key.Metric))
	})
	collision := p.write(steps)
	p.writeNeighbours(neighbours)
	p.sweep(whole)
	return collision
}

// plan compares one wanted route with the kernel's. Todo false: nothing to write, or not possible now.
func (p *Plane) plan(k kernel.RouteKey, w want, links *linkCache) (s step, todo bool) {
	link := 0
	if w.route.Device != "" {
		var err error
		if link, err = links.number(w.route.Device); err != nil {
			p.failed[k] = fmt.Sprintf("%v; the route is made as soon as it appears", err)
			return s, false
		}
	}
	route := w.compile(link, p.device)
	have, exists := p.actual[k]
	if exists && have.Equal(route) {
		p.settle(k)
		return s, false
	}
	operation := kernel.RouteAdd
	if exists {
		operation = kernel.RouteReplace
		if !takeable(have.Protocol, p.device) {
			p.failed[k] = fmt.Sprintf("%v of protocol %d is somebody else's and has the same prefix and metric; remove it or change the metric", have, have.Protocol)
			return s, false
		}
	}
	if p.done[k] && p.damaged(k) {
		return s, false
	}
	return step{k, w, kernel.RouteWrite{Route: route, Operation: operation}}, true
}

// settle notes that the kernel has what is wanted. What a predecessor has for the same prefix is then due.
func (p *Plane) settle(k kernel.RouteKey) {
	if !p.done[k] {
		for _, metric := range predecessorMetrics {
			other := kernel.Route{Prefix: k.Prefix, Metric: metric}.Key()
			if _, ok := p.actual[other]; ok && other != k {
				p.dirty[other] = true
			}
		}
	}
	p.done[k] = true
	delete(p.dirty, k)
	delete(p.failed, k)
}

// damaged counts a repair. True: this one must wait, somebody undoes it again and again.
func (p *Plane) damaged(k kernel.RouteKey) bool {
	if wait, times := p.repairs.Now(k, time.Now()); wait > 0 {
		p.failed[k] = fmt.Sprintf("somebody else changed it %d times within %v; repaired again in %v at most, find who does it with: ip monitor route", times, plane.RepairWindow, plane.RepairHoldOff)
		return true
	}
	p.status.Repairs++
	return false
}

// write sends the steps; it returns kernel.ErrRouteExists when one met a route that the plane did not know.
func (p *Plane) write(steps []step) error {
	if len(steps) == 0 {
		return nil
	}
	writes := make([]kernel.RouteWrite, len(steps))
	for i, s := range steps {
		writes[i] = s.write
	}
	errs, bytes := p.handle.WriteRoutes(writes)
	p.count(len(writes), bytes)
	var collision error
	for i, s := range steps {
		switch err := errs[i]; {
		case err == nil:
			p.actual[s.key] = s.write.Route
			p.settle(s.key)
		case errors.Is(err, kernel.ErrRouteExists):
			collision = kernel.ErrRouteExists
			p.failed[s.key] = err.Error()
		default:
			p.failed[s.key] = explain(s, err)
		}
	}
	return collision
}

// explain adds what a user can do about it.
func explain(s step, err error) string {
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL) && s.want.rank > 0:
		return fmt.Sprintf("%v; no next hop of %v is directly reachable from this node: check its address and the route to it", err, s.want.gateways)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Sprintf("%v; interface %s is down", err, s.want.route.Device)
	}
	return err.Error()
}

func (p *Plane) count(messages, bytes int) {
	p.status.Writes += uint64(messages)
	p.status.Bytes += uint64(bytes)
}

// writeNeighbours makes the entries of the routes just compared.
func (p *Plane) writeNeighbours(wanted map[kernel.NeighbourKey]string) {
	var writes []kernel.NeighbourWrite
	for k, mac := range wanted {
		delete(p.stale, k)
		n := kernel.Neighbour{Link: k.Link, Addr: k.Addr, MAC: mac, Permanent: true}
		if have, ok := p.neighbours[k]; !ok || have != n {
			if p.made[k] {
				p.status.Repairs++
			}
			writes = append(writes, kernel.NeighbourWrite{Neighbour: n})
		}
	}
	if len(writes) == 0 {
		return
	}
	errs, bytes := p.handle.WriteNeighbours(writes)
	p.count(len(writes), bytes)
	for i, w := range writes {
		if errs[i] == nil {
			p.neighbours[w.Neighbour.Key()] = w.Neighbour
			p.made[w.Neighbour.Key()] = true
			continue
		}
		// The entry belongs to the workload's route: that one is not done.
		for _, k := range p.keysOf(w.Neighbour) {
			p.failed[k] = errs[i].Error()
			p.dirty[k] = true
		}
	}
}

func (p *Plane) keysOf(n kernel.Neighbour) []kernel.RouteKey {
	var keys []kernel.RouteKey
	for k := range p.done {
		if k.Prefix.IsSingleIP() && k.Prefix.Addr() == n.Addr {
			keys = append(keys, k)
		}
	}
	return keys
}

// sweep deletes what is not wanted and the plane's to delete: routes through gateways before those on links. A
// predecessor's route with another metric goes once the wanted one stands; until then it would shadow nothing that
// works.
func (p *Plane) sweep(whole bool) {
	var unwanted []kernel.RouteKey
	for k := range p.dirty {
		if _, ok := p.wanted.winner(k); !ok {
			unwanted = append(unwanted, k)
		}
	}
	if !whole || len(unwanted) == 0 && len(p.stale) == 0 {
		return
	}
	names, err := p.names(unwanted)
	if err != nil {
		return // nothing is lost: the keys stay dirty
	}
	workload := map[int]bool{}
	for number, name := range names {
		workload[number] = hasPrefix(name, p.prefixes)
	}
	standing := p.standing(unwanted)
	var deletes []step
	for _, k := range unwanted {
		have, ok := p.actual[k]
		switch {
		case !ok:
			p.drop(k)
		case have.Protocol == Protocol, p.onWorkload(have, workload), predecessor(have.Protocol) && standing[k.Prefix]:
			rank := 0
			if len(have.NextHops) > 0 && have.NextHops[0].Gateway.IsValid() {
				rank = -1
			}
			deletes = append(deletes, step{key: k, want: want{rank: rank}, write: kernel.RouteWrite{Route: have, Operation: kernel.RouteDelete}})
		case predecessor(have.Protocol):
			delete(p.dirty, k) // stays known: settle looks for it
		default:
			p.drop(k)
		}
	}
	slices.SortFunc(deletes, func(a, b step) int { return cmp.Compare(a.want.rank, b.want.rank) })
	p.remove(deletes)
	p.sweepNeighbours(names)
}

// names looks up the interfaces of routes and neighbours that are in doubt, one by one: a list of all would make each
// change cost what the node has workloads. One that is gone is not among them.
func (p *Plane) names(unwanted []kernel.RouteKey) (map[int]string, error) {
	doubtful := map[int]bool{}
	for _, k := range unwanted {
		for _, hop := range p.actual[k].NextHops {
			doubtful[hop.Link] = true
		}
	}
	for k := range p.stale {
		doubtful[k.Link] = true
	}
	delete(doubtful, 0)
	names := make(map[int]string, len(doubtful))
	if len(doubtful) > manyLinks {
		links, err := p.handle.Links()
		for _, l := range links {
			names[l.Index] = l.Name
		}
		return names, err
	}
	for number := range doubtful {
		l, err := p.handle.LinkByIndex(number)
		if errors.Is(err, kernel.ErrNoLink) {
			continue
		}
		if err != nil {
			return nil, err
		}
		names[number] = l.Name
	}
	return names, nil
}

// standing says of which prefixes the plane has made a route, if there is a predecessor's among those not wanted.
func (p *Plane) standing(unwanted []kernel.RouteKey) map[netip.Prefix]bool {
	found := map[netip.Prefix]bool{}
	if !slices.ContainsFunc(unwanted, func(k kernel.RouteKey) bool { return predecessor(p.actual[k].Protocol) }) {
		return found
	}
	for k := range p.done {
		if _, ok := p.wanted.winner(k); ok {
			found[k.Prefix] = true
		}
	}
	return found
}

func (p *Plane) remove(deletes []step) {
	if len(deletes) == 0 {
		return
	}
	writes := make([]kernel.RouteWrite, len(deletes))
	for i, s := range deletes {
		writes[i] = s.write
	}
	errs, bytes := p.handle.WriteRoutes(writes)
	p.count(len(writes), bytes)
	for i, s := range deletes {
		if errs[i] != nil {
			p.failed[s.key] = errs[i].Error()
			continue
		}
		p.drop(s.key)
	}
}

func (p *Plane) drop(k kernel.RouteKey) {
	delete(p.actual, k)
	delete(p.done, k)
	delete(p.dirty, k)
	delete(p.failed, k)
	p.repairs.Forget(k)
	p.doubt(k)
}

// sweepNeighbours deletes those permanent entries in doubt, on workload interfaces, that no wanted route asks for.
func (p *Plane) sweepNeighbours(names map[int]string) {
	var writes []kernel.NeighbourWrite
	for k := range p.stale {
		delete(p.stale, k)
		n, ok := p.neighbours[k]
		if !ok {
			continue
		}
		if w, ok := p.macs[k.Addr]; ok && w.device == names[k.Link] {
			continue
		}
		if !hasPrefix(names[k.Link], p.prefixes) {
			delete(p.neighbours, k) // went with its interface
			delete(p.made, k)
			continue
		}
		writes = append(writes, kernel.NeighbourWrite{Neighbour: n, Delete: true})
	}
	if len(writes) == 0 {
		return
	}
	errs, bytes := p.handle.WriteNeighbours(writes)
	p.count(len(writes), bytes)
	for i, w := range writes {
		if errs[i] != nil {
			p.stale[w.Neighbour.Key()] = true
			continue
		}
		delete(p.neighbours, w.Neighbour.Key())
		delete(p.made, w.Neighbour.Key())
	}
}

// linkCache looks interfaces up once for each Apply: numbers change when an interface is made anew.
type linkCache struct {
	handle *kernel.Handle
	found  map[string]int
	err    error // the kernel cannot be asked
}

func (c *linkCache) number(name string) (int, error) {
	if n, ok := c.found[name]; ok {
		if n == 0 {
			return 0, fmt.Errorf("interface %s: %w", name, kernel.ErrNoLink)
		}
		return n, nil
	}
	l, err := c.handle.Link(name)
	if err != nil && !errors.Is(err, kernel.ErrNoLink) {
		c.err = err
	}
	c.found[name] = l.Index
	return l.Index, err
}
