package gobgp

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/tortie-net/tortie/internal/bgp"
)

const (
	// quietPeer is how long a peer may be silent before Peers says so.
	quietPeer = 10 * time.Second
	// settleLook is how often settle looks at the peers, while it waits.
	settleLook = 100 * time.Millisecond
)

// status is what the server's events left, and what Peers, learn and settle need to read more. It has a lock of its own,
// because events must not wait for Set, which waits for the server.
type status struct {
	sync.Mutex
	server   *server.BgpServer
	served   bool // some server was started before
	config   bgp.Config
	missing  map[string]bgp.Peer
	names    map[string]string // by address
	events   map[string]event  // by address
	prefixes map[netip.Prefix]bool
	all      bool
	holding  bool // the server was started anew: what it has not learned again yet is not withdrawn

	dirtied chan struct{} // holds one token: something of prefixes, all changed
}

type event struct {
	since time.Time
	err   string
}

func (st *status) init() {
	st.names, st.events, st.prefixes = map[string]string{}, map[string]event{}, map[netip.Prefix]bool{}
	st.dirtied = make(chan struct{}, 1)
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// firstServer says whether no server has run in this process.
func (st *status) firstServer() bool {
	st.Lock()
	defer st.Unlock()
	return !st.served
}

// configure notes what learn needs to know of the configuration.
func (st *status) configure(c bgp.Config) {
	st.Lock()
	defer st.Unlock()
	st.config = c
}

// hold starts or ends the time in which nothing is withdrawn.
func (st *status) hold(on bool) {
	st.Lock()
	defer st.Unlock()
	st.holding, st.all = on, true
	token(st.dirtied)
}

// serve notes which server runs. When none does any more, nothing is learned any more.
func (st *status) serve(srv *server.BgpServer) {
	st.Lock()
	defer st.Unlock()
	st.server = srv
	st.served = st.served || srv != nil
	st.all = true
	token(st.dirtied)
}

func (st *status) setMissing(missing map[string]bgp.Peer) {
	st.Lock()
	defer st.Unlock()
	st.missing = missing
}

func (st *status) setPeers(peers map[string]*api.Peer) {
	st.Lock()
	defer st.Unlock()
	clear(st.names)
	for name, p := range peers {
		st.names[p.Conf.NeighborAddress] = name
		if _, ok := st.events[p.Conf.NeighborAddress]; !ok {
			st.events[p.Conf.NeighborAddress] = event{since: time.Now()}
		}
	}
	maps.DeleteFunc(st.events, func(addr string, _ event) bool { _, ok := st.names[addr]; return !ok })
}

func (st *status) changed(prefix netip.Prefix) {
	st.Lock()
	defer st.Unlock()
	st.prefixes[prefix] = true
	token(st.dirtied)
}

// work is what learn has to look at.
type work struct {
	server   *server.BgpServer
	config   bgp.Config
	prefixes []netip.Prefix
	all      bool // everything that was told
	holding  bool
}

// take empties the list of changed prefixes.
func (st *status) take() work {
	st.Lock()
	defer st.Unlock()
	w := work{st.server, st.config, slices.Collect(maps.Keys(st.prefixes)), st.all, st.holding}
	clear(st.prefixes)
	st.all = false
	return w
}

// session notes a change of a session's state.
func (st *status) session(e *apiutil.WatchEventMessage_PeerEvent, at time.Time) {
	if e.Type != apiutil.PEER_EVENT_STATE && e.Type != apiutil.PEER_EVENT_INIT {
		return
	}
	st.Lock()
	defer st.Unlock()
	addr := e.Peer.State.NeighborAddress.String()
	old := st.events[addr]
	now := event{since: at, err: old.err}
	if at.IsZero() {
		now.since = time.Now()
	}
	if e.Peer.State.SessionState == packet.BGP_FSM_ESTABLISHED {
		now.err = ""
	} else if reason := e.Peer.State.DisconnectReason; reason != api.PeerState_DISCONNECT_REASON_UNSPECIFIED {
		now.err = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(reason.String(), "DISCONNECT_REASON_"), "_", " "))
		if e.Peer.State.DisconnectMessage != "" {
			now.err += ": " + e.Peer.State.DisconnectMessage
		}
	}
	st.events[addr] = now
}

// Peers lists the sessions, sorted by name.
func (s *Speaker) Peers() []bgp.Peer { return s.sessions(true) }

// sessions is Peers; to count what is advertised the server goes through its table for each peer.
func (s *Speaker) sessions(advertised bool) []bgp.Peer {
	s.state.Lock()
	srv := s.state.server
	names, events := maps.Clone(s.state.names), maps.Clone(s.state.events)
	peers := slices.Collect(maps.Values(s.state.missing))
	s.state.Unlock()
	if srv != nil {
		// The only error is that the server has just stopped: then there are no sessions.
		_ = srv.ListPeer(context.Background(), &api.ListPeerRequest{EnableAdvertised: advertised}, func(p *api.Peer) {
			addr := p.State.GetNeighborAddress()
			if names[addr] == "" {
				return
			}
			peers = append(peers, peerStatus(names[addr], p, events[addr]))
		})
	}
	slices.SortFunc(peers, func(a, b bgp.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return peers
}

func peerStatus(name string, p *api.Peer, e event) bgp.Peer {
	out := bgp.Peer{Name: name, AS: p.Conf.GetPeerAsn(), State: stateName(p.State.GetSessionState()), Since: e.since, LastError: e.err}
	out.Address, _ = netip.ParseAddr(p.State.GetNeighborAddress())
	for _, family := range p.AfiSafis {
		out.Received += int(family.State.GetReceived())
		out.Advertised += int(family.State.GetAdvertised())
		out.Restarting = out.Restarting || family.MpGracefulRestart.GetState().GetRunning()
	}
	out.Restarting = out.Restarting || p.GracefulRestart.GetPeerRestarting()
	if out.State != "Established" && out.LastError == "" && time.Since(e.since) > quietPeer {
		out.LastError = "no connection: the peer is away, refuses, or has another password"
	}
	return out
}

func stateName(state api.PeerState_SessionState) string {
	switch state {
	case api.PeerState_SESSION_STATE_CONNECT:
		return "Connect"
	case api.PeerState_SESSION_STATE_ACTIVE:
		return "Active"
	case api.PeerState_SESSION_STATE_OPENSENT:
		return "OpenSent"
	case api.PeerState_SESSION_STATE_OPENCONFIRM:
		return "OpenConfirm"
	case api.PeerState_SESSION_STATE_ESTABLISHED:
		return "Established"
	default:
		return "Idle"
	}
}

// settle waits until every peering is Established and has sent its End-of-RIB, or for the restart time, and then does
// what was waiting for it.
func (s *Speaker) settle(limit time.Duration, then func()) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	look := time.NewTicker(settleLook)
	defer look.Stop()
	for done := false; !done; {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
			done = true
		case <-look.C:
			done = s.complete()
		}
	}
	// What is to be swept after this must have been told before: the receiver reads Routes in order.
	select {
	case <-s.ctx.Done():
	case <-time.After(4 * gather):
		then()
	}
}

// complete says whether all peerings have told what they know. A peer that does not speak graceful restart sends no
// End-of-RIB; it is waited for as long as the restart time, unless its peering wants no graceful restart at all.
func (s *Speaker) complete() bool {
	s.state.Lock()
	srv, wanted, missing := s.state.server, len(s.state.names), len(s.state.missing)
	s.state.Unlock()
	s.mu.Lock()
	ready := s.advertised && (s.config.Enabled == (srv != nil))
	s.mu.Unlock()
	if !ready || missing > 0 {
		return false
	}
	if srv == nil {
		return true
	}
	complete := 0
	err := srv.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		if p.State.GetSessionState() != api.PeerState_SESSION_STATE_ESTABLISHED {
			return
		}
		for _, family := range p.AfiSafis {
			restart := family.MpGracefulRestart
			if restart.GetConfig().GetEnabled() && !restart.GetState().GetEndOfRibReceived() {
				return
			}
		}
		complete++
	})
	return err == nil && complete >= wanted
}
