package gobgp

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/tortie-net/tortie/internal/bgp"
)

// advertiseGrace is how long sessions wait for the first Advertise.
const advertiseGrace = 5 * time.Second

// Speaker implements bgp.Speaker.
type Speaker struct {
	log     *slog.Logger
	routes  chan []bgp.Route
	settled chan struct{}
	stop    context.CancelFunc // ends the goroutines
	ctx     context.Context
	wg      sync.WaitGroup

	mu         sync.Mutex // held while the server is changed
	closed     bool
	configured bool // Set was called
	config     bgp.Config
	adverts    map[netip.Prefix]bgp.Advert
	advertised bool // Advertise was called, or is not waited for any more
	running    *running

	state status
}

// running is one life of the server: a change of AS, router ID or listening address needs another.
type running struct {
	server *server.BgpServer
	global *api.Global
	peers  map[string]*api.Peer // by peering name, as given to the server
	sent   map[netip.Prefix]announcement
	cancel context.CancelFunc // of the watch
	ending *atomic.Bool       // mutes the server's log
	first  bool               // of this process: peers may still hold our routes
}

var _ bgp.Speaker = (*Speaker)(nil)

// New makes a speaker that does nothing until Set. log is slog.Default when nil; of the server it gets warnings only.
func New(log *slog.Logger) *Speaker {
	if log == nil {
		log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Speaker{
		log: log, routes: make(chan []bgp.Route), settled: make(chan struct{}), ctx: ctx, stop: stop,
		adverts: map[netip.Prefix]bgp.Advert{},
	}
	s.state.init()
	s.wg.Add(2)
	go func() { defer s.wg.Done(); s.learn() }()
	go func() { defer s.wg.Done(); s.unstick() }()
	return s
}

// errClosed is what every call after Close returns.
var errClosed = errors.New("bgp: speaker is closed")

// Set moves the speaker to a configuration. A peering that cannot be had (its secret is missing, its address is another
// one's) is left out and named in the error and by Peers; the others work.
func (s *Speaker) Set(ctx context.Context, c bgp.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	first := !s.configured
	s.configured, s.config = true, c
	if first {
		s.begin(c)
	}
	return s.apply(ctx)
}

// begin starts what counts from the first configuration: the wait for Advertise, and the one for routes.
func (s *Speaker) begin(c bgp.Config) {
	if !s.advertised {
		timer := time.AfterFunc(advertiseGrace, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.closed || s.advertised {
				return
			}
			s.advertised = true
			if err := s.apply(s.ctx); err != nil {
				s.log.Warn("bgp: sessions start without own prefixes", "error", err)
			}
		})
		context.AfterFunc(s.ctx, func() { timer.Stop() })
	}
	if !c.Enabled {
		close(s.settled)
		return
	}
	s.wg.Add(1)
	go func() { defer s.wg.Done(); s.settle(restartTime(c), func() { close(s.settled) }) }()
}

// Advertise replaces the set of own prefixes; only what differs is sent.
func (s *Speaker) Advertise(ctx context.Context, adverts []bgp.Advert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	clear(s.adverts)
	for _, a := range adverts {
		if !a.Prefix.IsValid() {
			return fmt.Errorf("bgp: advertise %v: not a prefix", a.Prefix)
		}
		a.Prefix = a.Prefix.Masked()
		s.adverts[a.Prefix] = a
	}
	s.advertised = true
	return s.apply(ctx)
}

// apply brings the server to the desired state: server, then own prefixes, then sessions. mu is held.
func (s *Speaker) apply(ctx context.Context) error {
	if !s.configured {
		return nil
	}
	s.state.configure(s.config)
	if !s.config.Enabled {
		s.shutdown(false)
		s.state.hold(false)
		s.state.setMissing(nil)
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("bgp: %w", err)
	}
	global, err := globalOf(s.config)
	if err != nil {
		return err
	}
	if s.running != nil && !sameGlobal(s.running.global, global) {
		s.state.hold(true)
		s.shutdown(true)
		s.wg.Add(1)
		limit := restartTime(s.config)
		go func() { defer s.wg.Done(); s.settle(limit, func() { s.state.hold(false) }) }()
	}
	if s.running == nil {
		if err := s.start(global); err != nil {
			return err
		}
	}
	errs := []error{s.announce()}
	if s.advertised {
		errs = append(errs, s.setPeers())
	}
	return errors.Join(errs...)
}

// start runs a server. mu is held.
func (s *Speaker) start(global *api.Global) error {
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	ending := new(atomic.Bool)
	r := &running{
		server: server.NewBgpServer(server.LoggerOption(slog.New(quiet{s.log.Handler(), ending}), level)), ending: ending,
		global: global, peers: map[string]*api.Peer{}, sent: map[netip.Prefix]announcement{}, first: s.state.firstServer(),
	}
	go r.server.Serve() // ends with Stop
	if err := r.server.StartBgp(s.ctx, &api.StartBgpRequest{Global: global}); err != nil {
		r.server.Stop()
		return fmt.Errorf("bgp: start with AS %d, router ID %s, port %d on %v: %w",
			global.Asn, global.RouterId, global.ListenPort, global.ListenAddresses, err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r.cancel = cancel
	if err := s.watch(ctx, r.server); err != nil {
		cancel()
		r.server.Stop()
		return fmt.Errorf("bgp: watch: %w", err)
	}
	s.running = r
	s.state.serve(r.server)
	return nil
}

// shutdown ends the server. Gracefully, sessions just drop, so that peers with graceful restart keep our routes;
// otherwise they are told to forget them. mu is held.
func (s *Speaker) shutdown(graceful bool) {
	r := s.running
	if r == nil {
		return
	}
	s.running = nil
	s.state.serve(nil)
	if err := r.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: graceful}); err != nil {
		s.log.Warn("bgp: stop", "error", err)
	}
	r.cancel()
	r.ending.Store(true) // Stop complains that StopBgp was here already
	r.server.Stop()      // what StopBgp leaves: the server's other goroutines
}

// Routes gives learned routes. Nothing is sent for the time between two values that ends as it began.
func (s *Speaker) Routes() <-chan []bgp.Route { return s.routes }

// Settled is closed when all that an earlier run learned has been learned again, or will not be.
func (s *Speaker) Settled() <-chan struct{} { return s.settled }

// Close stops the speaker without a word to the peers: those with graceful restart keep our routes for the restart time,
// the others drop them. To leave for good, Set a configuration that is not Enabled first.
func (s *Speaker) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.shutdown(true)
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
	return nil
}

// unicast is the families that the server keeps tables for, numbered as in oc.AfiSafiType: IPv4 and IPv6 unicast. Without
// it GoBGP makes tables for every family that it knows: half of a small agent's heap.
var unicast = []uint32{0, 1}

// globalOf is the server's own part of a configuration.
func globalOf(c bgp.Config) (*api.Global, error) {
	if c.AS == 0 {
		return nil, fmt.Errorf("bgp: node %q: AS number 0: must be 1 to 4294967295", c.ID)
	}
	global := &api.Global{Asn: c.AS, RouterId: routerID(c).String(), ListenPort: int32(c.ListenPort), UseMultiplePaths: true, Families: unicast}
	if global.ListenPort == 0 {
		global.ListenPort = 179
	}
	for _, addr := range []netip.Addr{c.IPv4, c.IPv6} {
		switch {
		case !addr.IsValid(): // and on a host without IPv6 there is nothing to listen on
		case c.BindNodeIP:
			global.ListenAddresses = append(global.ListenAddresses, addr.String())
		case addr.Is4():
			global.ListenAddresses = append(global.ListenAddresses, "0.0.0.0")
		default:
			global.ListenAddresses = append(global.ListenAddresses, "::")
		}
	}
	if global.ListenAddresses == nil {
		return nil, fmt.Errorf("bgp: node %q has no address to speak from", c.ID)
	}
	return global, nil
}

// routerID is the configured one, or for a node without IPv4 a number made of its name.
func routerID(c bgp.Config) netip.Addr {
	switch {
	case c.RouterID.Is4():
		return c.RouterID
	case c.IPv4.Is4():
		return c.IPv4
	}
	h := fnv.New32a()
	h.Write([]byte(c.ID))
	sum := h.Sum32() | 1 // never 0
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

func sameGlobal(a, b *api.Global) bool {
	return a.Asn == b.Asn && a.RouterId == b.RouterId && a.ListenPort == b.ListenPort &&
		slices.Equal(a.ListenAddresses, b.ListenAddresses)
}

// sortedNames of a map, for errors that read the same each time.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// quiet is a log handler for the server, whose everyday messages are no news.
type quiet struct {
	slog.Handler
	muted *atomic.Bool
}

// Enabled lets warnings and errors pass.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && !q.muted.Load() && q.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the threshold.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.muted}
}

// WithGroup keeps the threshold.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.muted} }
