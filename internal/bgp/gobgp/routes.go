package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/tortie-net/tortie/internal/bgp"
)

const (
	// gather is how long changes of best paths are collected before they are read: a full table arrives in many pieces.
	gather = 5 * time.Millisecond
	// lookups bounds how many prefixes one reading of the table names; more read all of it.
	lookups = 256
)

// announcement is what was last given to the server for a prefix.
type announcement struct {
	localPref uint32
	nextHop   netip.Addr
}

// announce sends what differs between the own prefixes and those that the server has. mu is held.
func (s *Speaker) announce() error {
	r := s.running
	var add, remove []*apiutil.Path
	desired := make(map[netip.Prefix]announcement, len(s.adverts))
	for prefix, a := range s.adverts {
		nextHop := s.config.IPv4
		if prefix.Addr().Is6() {
			nextHop = s.config.IPv6
		}
		if !nextHop.IsValid() {
			continue // no session of this family either
		}
		desired[prefix] = announcement{a.LocalPref, nextHop}
		if old, ok := r.sent[prefix]; ok && old == desired[prefix] {
			continue
		}
		path, err := pathOf(prefix, desired[prefix])
		if err != nil {
			return err
		}
		add = append(add, path)
	}
	for prefix, old := range r.sent {
		if _, ok := desired[prefix]; ok {
			continue
		}
		path, err := pathOf(prefix, old)
		if err != nil {
			return err
		}
		remove = append(remove, path)
	}
	if len(add) > 0 {
		if _, err := r.server.AddPath(apiutil.AddPathRequest{Paths: add}); err != nil {
			return fmt.Errorf("bgp: advertise %d prefixes: %w", len(add), err)
		}
	}
	if len(remove) > 0 {
		if err := r.server.DeletePath(apiutil.DeletePathRequest{Paths: remove}); err != nil {
			return fmt.Errorf("bgp: withdraw %d prefixes: %w", len(remove), err)
		}
	}
	r.sent = desired
	return nil
}

// pathOf is an own prefix in the server's words.
func pathOf(prefix netip.Prefix, a announcement) (*apiutil.Path, error) {
	nlri, err := packet.NewIPAddrPrefix(prefix)
	if err != nil {
		return nil, fmt.Errorf("bgp: advertise %s: %w", prefix, err)
	}
	attrs := []packet.PathAttributeInterface{packet.NewPathAttributeOrigin(0)}
	if a.localPref != 0 {
		attrs = append(attrs, packet.NewPathAttributeLocalPref(a.localPref))
	}
	family := packet.RF_IPv4_UC
	if prefix.Addr().Is4() {
		nextHop, err := packet.NewPathAttributeNextHop(a.nextHop)
		if err != nil {
			return nil, fmt.Errorf("bgp: advertise %s: next hop %s: %w", prefix, a.nextHop, err)
		}
		attrs = append(attrs, nextHop)
	} else {
		family = packet.RF_IPv6_UC
		reach, err := packet.NewPathAttributeMpReachNLRI(family, []packet.PathNLRI{{NLRI: nlri}}, a.nextHop)
		if err != nil {
			return nil, fmt.Errorf("bgp: advertise %s: next hop %s: %w", prefix, a.nextHop, err)
		}
		attrs = append(attrs, reach)
	}
	return &apiutil.Path{Family: family, Nlri: nlri, Attrs: attrs}, nil
}

// watch has the server say which prefixes and sessions change. What they are now is read when it is wanted.
func (s *Speaker) watch(ctx context.Context, srv *server.BgpServer) error {
	return srv.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnBestPath: func(paths []*apiutil.Path, _ time.Time) {
			for _, p := range paths {
				if prefix, ok := prefixOf(p.Nlri); ok {
					s.state.changed(prefix)
				}
			}
		},
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, at time.Time) { s.state.session(e, at) },
	}, server.WatchBestPath(true), server.WatchPeer())
}

func prefixOf(nlri packet.NLRI) (netip.Prefix, bool) {
	p, ok := nlri.(*packet.IPAddrPrefix)
	if !ok {
		return netip.Prefix{}, false
	}
	return p.Prefix, true
}

// learn turns changed prefixes into values of Routes, until the speaker closes. It remembers what it has told, and tells
// only differences; while it holds (the server was started anew) it withdraws nothing.
func (s *Speaker) learn() {
	told := map[netip.Prefix]bgp.Route{}
	dirty := map[netip.Prefix]bool{}
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.state.dirtied:
		}
		select { // more will follow
		case <-s.ctx.Done():
			return
		case <-time.After(gather):
		}
		w := s.state.take()
		for _, p := range w.prefixes {
			dirty[p] = true
		}
		if w.all {
			for p := range told {
				dirty[p] = true
			}
		}
		if len(dirty) == 0 {
			continue
		}
		now, err := read(w.server, &w.config, dirty)
		if err != nil { // the server stops; another will say what there is, or none
			continue
		}
		var changes []bgp.Route
		for p := range dirty {
			route, exists := now[p]
			old, had := told[p]
			switch {
			case exists && (!had || !equalRoute(old, route)):
				told[p] = route
				changes = append(changes, route)
			case !exists && had && !w.holding:
				delete(told, p)
				changes = append(changes, bgp.Route{Prefix: p})
			}
		}
		clear(dirty)
		if len(changes) == 0 {
			continue
		}
		slices.SortFunc(changes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
		select {
		case s.routes <- changes:
		case <-s.ctx.Done():
			return
		}
	}
}

func equalRoute(a, b bgp.Route) bool {
	return a.LocalPref == b.LocalPref && slices.Equal(a.NextHops, b.NextHops)
}

// read gives the learned best routes among some prefixes.
func read(srv *server.BgpServer, c *bgp.Config, wanted map[netip.Prefix]bool) (map[netip.Prefix]bgp.Route, error) {
	out := map[netip.Prefix]bgp.Route{}
	if srv == nil {
		return out, nil
	}
	for _, family := range []packet.Family{packet.RF_IPv4_UC, packet.RF_IPv6_UC} {
		var which []*apiutil.LookupPrefix
		n := 0
		for p := range wanted {
			if p.Addr().Is4() != (family == packet.RF_IPv4_UC) {
				continue
			}
			n++
			which = append(which, &apiutil.LookupPrefix{Prefix: p.String()})
		}
		if n == 0 {
			continue
		}
		if n > lookups {
			which = nil
		}
		err := srv.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: family, Prefixes: which},
			func(nlri packet.NLRI, paths []*apiutil.Path) {
				prefix, ok := prefixOf(nlri)
				if !ok || !wanted[prefix] {
					return
				}
				if route := routeOf(prefix, paths, c); route.NextHops != nil {
					out[prefix] = route
				}
			})
		if err != nil {
			return nil, errors.Join(errors.New("bgp: read table"), err)
		}
	}
	return out, nil
}

// routeOf is the best path, and with it those that are as good, but for those that lead back here.
func routeOf(prefix netip.Prefix, paths []*apiutil.Path, c *bgp.Config) bgp.Route {
	route := bgp.Route{Prefix: prefix}
	for i, p := range paths {
		if !p.Best || p.Withdrawal {
			continue
		}
		if !p.PeerAddress.IsValid() || p.PeerAddress.IsUnspecified() {
			if i == 0 {
				return route // our own
			}
			continue
		}
		nextHop, localPref := attributesOf(p)
		if !nextHop.IsValid() || own(c, nextHop) || slices.Contains(route.NextHops, nextHop) {
			continue
		}
		if route.NextHops == nil {
			route.LocalPref = localPref
		}
		route.NextHops = append(route.NextHops, nextHop)
	}
	slices.SortFunc(route.NextHops, netip.Addr.Compare)
	return route
}

func attributesOf(p *apiutil.Path) (nextHop netip.Addr, localPref uint32) {
	for _, attribute := range p.Attrs {
		switch a := attribute.(type) {
		case *packet.PathAttributeNextHop:
			nextHop = a.Value
		case *packet.PathAttributeMpReachNLRI:
			nextHop = a.Nexthop
		case *packet.PathAttributeLocalPref:
			localPref = a.Value
		}
	}
	return nextHop.Unmap(), localPref
}
