package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
)

// How long a route that could not be made waits for the next try when nothing happens that may help: doubled from
// retryFirst to retryMost.
const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// watcher turns notifications into words on the damage channel. A word that finds the channel full is dropped: the
// reader has one to come that leads to the same comparison.
type watcher struct {
	plane  *Plane
	sub    *kernel.Subscription
	damage chan string
	kick   chan bool
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

func newWatcher(p *Plane, ns *kernel.Namespace) (*watcher, error) {
	sub, err := kernel.Subscribe(ns, p.handle.Sender(), kernel.GroupLinks, kernel.GroupRoutes4, kernel.GroupRoutes6,
		kernel.GroupNeighbours, kernel.GroupAddresses4, kernel.GroupAddresses6)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{plane: p, sub: sub, damage: make(chan string, 16), kick: make(chan bool, 1), stop: stop}
	w.ended.Go(w.receive)
	w.ended.Go(func() { w.retries(ctx) })
	return w, nil
}

func (w *watcher) close() error {
	w.stop()
	err := w.sub.Close()
	w.ended.Wait()
	return err
}

func (w *watcher) say(word string) {
	select {
	case w.damage <- word:
	default:
	}
}

// retry tells whether something could not be made.
func (w *watcher) retry(failing bool) {
	select {
	case <-w.kick:
	default:
	}
	w.kick <- failing
}

func (w *watcher) retries(ctx context.Context) {
	wait := retryFirst
	timer := time.NewTimer(wait)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case failing := <-w.kick:
			if !failing {
				wait = retryFirst
				timer.Stop()
				continue
			}
			timer.Reset(wait)
			wait = min(2*wait, retryMost)
		case <-timer.C:
			w.say("try again what could not be made")
		}
	}
}

func (w *watcher) receive() {
	for {
		events, err := w.sub.Receive()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, kernel.ErrOverrun):
			w.say("notifications were lost: compare all")
			continue
		case err != nil:
			w.say(err.Error())
			time.Sleep(retryFirst) // an error that stays must not become a busy loop
			continue
		}
		for _, e := range events {
			if word := w.judge(e); word != "" {
				w.say(word)
			}
		}
	}
}

// judge says what an event that the plane did not cause means for it; empty: nothing.
func (w *watcher) judge(e kernel.Event) string {
	p := w.plane
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Route != nil:
		return p.judgeRoute(*e.Route, e.Gone)
	case e.Neighbour != nil:
		return p.judgeNeighbour(*e.Neighbour, e.Gone)
	case e.Link != nil:
		return p.judgeLink(*e.Link, e.Gone)
	case e.Address && p.waiting:
		return "an address changed: try again what could not be made"
	}
	return ""
}

func (p *Plane) judgeRoute(r kernel.Route, gone bool) string {
	if _, ok := p.wanted.winner(r.Key()); ok {
		return fmt.Sprintf("%v was changed", r)
	}
	if gone {
		return ""
	}
	if r.Protocol == Protocol {
		return fmt.Sprintf("%v of Tortie's protocol appeared", r)
	}
	if p.onWorkload(r, p.numbers) {
		return fmt.Sprintf("%v appeared on a workload's interface", r)
	}
	if p.waiting {
		return fmt.Sprintf("%v appeared: try again what could not be made", r)
	}
	return ""
}

func (p *Plane) judgeNeighbour(n kernel.Neighbour, gone bool) string {
	want, ok := p.macs[n.Addr]
	if ok && (gone || !n.Permanent || n.MAC != want.mac) {
		return fmt.Sprintf("%v was changed", n)
	}
	return ""
}

func (p *Plane) judgeLink(l kernel.Link, gone bool) string {
	if gone {
		delete(p.numbers, l.Index)
	}
	used := p.devices[l.Name] > 0
	// A route without an interface may go by any that is not a workload's.
	used = used || p.devices[""] > 0 && !hasPrefix(l.Name, p.prefixes)
	switch {
	case used && (gone || !l.Up):
		return fmt.Sprintf("interface %s went down", l.Name)
	case used && p.waiting:
		return fmt.Sprintf("interface %s is up: try again what could not be made", l.Name)
	}
	return ""
}
