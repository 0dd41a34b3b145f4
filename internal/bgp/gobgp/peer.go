package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"google.golang.org/protobuf/proto"

	"github.com/tortie-net/tortie/internal/bgp"
	"github.com/tortie-net/tortie/internal/intent"
)

// Timers of a session, in seconds.
const (
	connectRetry = 2 // the least that the server knows
	idleHold     = 1 // after a session broke
	holdTime     = 90
	// deferral is how long a restarted speaker waits for the End-of-RIB of its peers before it announces. What this node
	// announces of itself does not depend on them; a reflector's clients would lose what it has not yet heard again.
	deferral          = 1
	reflectorDeferral = 30
	maxRestart        = 4095 // what RFC 4724 has room for

	stuck = 4 * time.Second // in OpenSent or OpenConfirm: something went wrong
)

// setPeers adds, removes and replaces sessions; one whose configuration has not changed is not touched. mu is held.
func (s *Speaker) setPeers() error {
	r := s.running
	desired := map[string]*api.Peer{}
	missing := map[string]bgp.Peer{} // peerings that cannot be had
	byAddress := map[string]string{}
	var errs []error
	for i := range s.config.Peerings {
		p := &s.config.Peerings[i]
		peer, err := peerOf(&s.config, p, r.first)
		if other, taken := byAddress[p.Address.String()]; taken && err == nil {
			err = fmt.Errorf("bgp: peering %q: peering %q has the same address %s", p.Name, other, p.Address)
		}
		if err != nil {
			errs = append(errs, err)
			missing[p.Name] = bgp.Peer{Name: p.Name, Address: p.Address, AS: p.AS, State: "Idle", LastError: err.Error()}
			continue
		}
		byAddress[p.Address.String()] = p.Name
		desired[p.Name] = peer
	}
	s.state.setMissing(missing)
	for _, name := range sortedNames(r.peers) { // first, for an address may pass from one peering to another
		if old := r.peers[name]; desired[name] == nil || !samePeer(desired[name], old) {
			if err := s.removePeer(old); err != nil {
				errs = append(errs, fmt.Errorf("bgp: peering %q: remove: %w", name, err))
				continue
			}
			delete(r.peers, name)
		}
	}
	for _, name := range sortedNames(desired) {
		if r.peers[name] != nil {
			continue
		}
		if err := r.server.AddPeer(s.ctx, &api.AddPeerRequest{Peer: desired[name]}); err != nil {
			errs = append(errs, fmt.Errorf("bgp: peering %q with %s: %w", name, desired[name].Conf.NeighborAddress, err))
			continue
		}
		r.peers[name] = desired[name]
	}
	s.state.setPeers(r.peers)
	r.first = false
	return errors.Join(errs...)
}

// samePeer compares but for what is only said once after a start.
func samePeer(a, b *api.Peer) bool {
	a, b = proto.Clone(a).(*api.Peer), proto.Clone(b).(*api.Peer)
	for _, p := range []*api.Peer{a, b} {
		if p.GracefulRestart != nil {
			p.GracefulRestart.LocalRestarting = false
		}
	}
	return proto.Equal(a, b)
}

// removePeer ends a session. The password is taken back first: the kernel keeps it on the listening socket, and would
// refuse the same peer without one.
func (s *Speaker) removePeer(p *api.Peer) error {
	if p.Conf.AuthPassword != "" {
		bare := proto.Clone(p).(*api.Peer)
		bare.Conf.AuthPassword, bare.Conf.AdminDown = "", true
		if _, err := s.running.server.UpdatePeer(context.Background(), &api.UpdatePeerRequest{Peer: bare}); err != nil {
			return err
		}
	}
	return s.running.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: p.Conf.NeighborAddress})
}

// peerOf is a peering in the server's words. restarting: the peers may still hold what an earlier process announced.
func peerOf(c *bgp.Config, p *intent.Peering, restarting bool) (*api.Peer, error) {
	local := c.IPv4
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if p.Address.Is6() {
		local = c.IPv6
		family.Afi = api.Family_AFI_IP6
	}
	switch {
	case !p.Address.IsValid():
		return nil, fmt.Errorf("bgp: peering %q: has no address", p.Name)
	case !local.IsValid():
		return nil, fmt.Errorf("bgp: peering %q with %s: node %q has no address of this family", p.Name, p.Address, c.ID)
	case p.Address == local:
		return nil, fmt.Errorf("bgp: peering %q: %s is this node's own address", p.Name, p.Address)
	case p.AS == 0:
		return nil, fmt.Errorf("bgp: peering %q with %s: AS number 0: must be 1 to 4294967295", p.Name, p.Address)
	}
	peer := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: p.Address.String(), PeerAsn: p.AS, LocalAsn: p.LocalAS},
		Timers: &api.Timers{Config: &api.TimersConfig{
			ConnectRetry: connectRetry, IdleHoldTimeAfterReset: idleHold, HoldTime: holdTime, KeepaliveInterval: holdTime / 3,
		}},
		Transport:       &api.Transport{LocalAddress: local.String(), PassiveMode: p.Passive, RemotePort: uint32(p.Port)},
		EbgpMultihop:    &api.EbgpMultihop{Enabled: true, MultihopTtl: 255},
		GracefulRestart: gracefulRestart(p, restarting),
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: p.Restart > 0}},
		}},
	}
	if p.Password.Name != "" {
		ref := p.Password.Name + "/" + p.Password.Key
		password, ok := c.Secrets[ref]
		if !ok || password == "" {
			return nil, fmt.Errorf("bgp: peering %q with %s: password %s is not known; the session stays down without it",
				p.Name, p.Address, ref)
		}
		peer.Conf.AuthPassword = password
	}
	if p.RRClient {
		peer.RouteReflector = &api.RouteReflector{RouteReflectorClient: true, RouteReflectorClusterId: p.ClusterID}
	}
	return peer, nil
}

func gracefulRestart(p *intent.Peering, restarting bool) *api.GracefulRestart {
	if p.Restart <= 0 {
		return nil
	}
	wait := uint32(deferral)
	if p.RRClient {
		wait = reflectorDeferral
	}
	return &api.GracefulRestart{
		Enabled: true, RestartTime: uint32(min(max(p.Restart/time.Second, 1), maxRestart)), NotificationEnabled: true,
		LocalRestarting: restarting, DeferralTime: wait,
	}
}

// unstick makes anew what hangs halfway to Established. When both sides connect at the same moment, the server does not
// always agree with its peer on which connection is to live (RFC 4271 §6.8), and then waits for as long as the hold time.
func (s *Speaker) unstick() {
	tick := time.NewTicker(stuck / 4)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range s.sessions(false) {
			if (p.State == "OpenSent" || p.State == "OpenConfirm") && time.Since(p.Since) > stuck {
				s.renew(p)
			}
		}
	}
}

// renew replaces a session that still stands as it was seen.
func (s *Speaker) renew(seen bgp.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil || s.running.peers[seen.Name] == nil {
		return
	}
	for _, p := range s.sessions(false) {
		if p.Name != seen.Name || p.State != seen.State || !p.Since.Equal(seen.Since) {
			continue
		}
		peer := s.running.peers[seen.Name]
		delete(s.running.peers, seen.Name) // when it cannot be added, the next Set tries again
		err := s.removePeer(peer)
		if err == nil {
			err = s.running.server.AddPeer(s.ctx, &api.AddPeerRequest{Peer: peer})
		}
		if err != nil {
			s.log.Warn("bgp: session hangs and cannot be renewed", "peering", seen.Name, "error", err)
			return
		}
		s.running.peers[seen.Name] = peer
	}
}

// restartTime is how long peers may take to send their routes again after this speaker's start.
func restartTime(c bgp.Config) time.Duration {
	longest := time.Duration(0)
	for _, p := range c.Peerings {
		longest = max(longest, p.Restart)
	}
	if longest == 0 {
		return 120 * time.Second
	}
	return longest
}

// own says that an address is one of this node's.
func own(c *bgp.Config, addr netip.Addr) bool { return addr == c.IPv4 || addr == c.IPv6 }
