package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/tortie-net/tortie/internal/bgp"
	"github.com/tortie-net/tortie/internal/intent"
)

// speaking keeps the BGP speaker at what the intent says, and brings what it learns back.
type speaking struct {
	log     *slog.Logger
	core    *core
	speaker bgp.Speaker

	mu      sync.Mutex
	config  *intent.BGP
	adverts []netip.Prefix
	learned map[netip.Prefix]bool
	wake    chan struct{}
}

func newSpeaking(c *core, s bgp.Speaker, log *slog.Logger) *speaking {
	return &speaking{log: log, core: c, speaker: s, learned: map[netip.Prefix]bool{}, wake: make(chan struct{}, 1)}
}

// want takes the desired state; called with the core's lock held.
func (s *speaking) want(config *intent.BGP, adverts []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reflect.DeepEqual(config, s.config) && slices.Equal(adverts, s.adverts) {
		return
	}
	s.config, s.adverts = config, adverts
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run serves until ctx ends.
func (s *speaking) run(ctx context.Context) {
	var settled <-chan struct{}
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := s.speaker.Close(); err != nil {
				s.log.Warn("close the BGP speaker", "err", err)
			}
			return
		case routes := <-s.speaker.Routes():
			s.note(routes)
			s.core.learn(routes)
			continue
		case <-settled:
			settled = nil
			s.core.settle()
			continue
		case <-s.wake:
		case <-retry.C:
		}
		s.mu.Lock()
		config, adverts := s.config, s.adverts
		s.mu.Unlock()
		if config == nil {
			continue
		}
		if !config.Enabled {
			s.core.settle()
		}
		if err := s.apply(ctx, *config, adverts); err != nil {
			s.log.Warn("BGP speaker cannot be set; trying again", "err", err)
			retry.Reset(2 * time.Second)
			continue
		}
		if config.Enabled && settled == nil {
			settled = s.speaker.Settled()
		}
	}
}

func (s *speaking) apply(ctx context.Context, config intent.BGP, prefixes []netip.Prefix) error {
	if err := s.speaker.Set(ctx, bgp.Config{BGP: config}); err != nil {
		return err
	}
	if !config.Enabled {
		return nil
	}
	adverts := make([]bgp.Advert, 0, len(prefixes))
	for _, p := range prefixes {
		a := bgp.Advert{Prefix: p, LocalPref: config.LocalPref4}
		if p.Addr().Is6() {
			a.LocalPref = config.LocalPref6
		}
		adverts = append(adverts, a)
	}
	return s.speaker.Advertise(ctx, adverts)
}

func (s *speaking) note(routes []bgp.Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range routes {
		if len(r.NextHops) == 0 {
			delete(s.learned, r.Prefix)
		} else {
			s.learned[r.Prefix] = true
		}
	}
}

// counts are the numbers of announced and learned prefixes.
func (s *speaking) counts() (adverts, learned int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.adverts), len(s.learned)
}
