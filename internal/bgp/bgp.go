package bgp

import (
	"context"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/intent"
)

// Config is the whole desired state of a speaker. Secrets maps the references of the peerings to their values.
type Config struct {
	intent.BGP
	Secrets map[string]string // "name/key" → password
}

// Advert is a prefix that this node announces with itself as next hop.
type Advert struct {
	Prefix    netip.Prefix
	LocalPref uint32
}

// Route is a learned best route. No next hops: withdrawn.
type Route struct {
	Prefix    netip.Prefix
	NextHops  []netip.Addr
	LocalPref uint32 // as received, 0 when absent
}

// Peer is how one session stands.
type Peer struct {
	Name       string
	Address    netip.Addr
	AS         uint32
	State      string // Idle, Connect, Active, OpenSent, OpenConfirm, Established
	Since      time.Time
	Received   int // prefixes
	Advertised int
	LastError  string
	Restarting bool // graceful restart under way
}

// Speaker is a BGP speaker. Safe for concurrent use.
type Speaker interface {
	// Set moves the speaker to the desired state: starts, stops and changes sessions. Sessions that do not change are
	// left alone.
	Set(ctx context.Context, c Config) error
	// Advertise replaces the whole set of announced prefixes.
	Advertise(ctx context.Context, adverts []Advert) error
	// Routes gives changes of learned best routes, coalesced; the first value after a (re)start of the speaker holds
	// all. The receiver must keep reading.
	Routes() <-chan []Route
	// Settled is closed when, after the start, every peering is Established and has sent its End-of-RIB, or the
	// graceful restart time has passed: only then may routes of an earlier run be swept.
	Settled() <-chan struct{}
	// Peers lists the sessions, sorted by name.
	Peers() []Peer
	// Close stops. With graceful restart the peers keep the routes for the restart time.
	Close() error
}
