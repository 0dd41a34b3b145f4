package ipam

import (
	"net/netip"
	"sync"
	"time"
)

// cooldowns measures how long released addresses have cooled. The stored time of release is another clock's wall time:
// it only says how old a release was when this process first saw it; from there on the monotonic clock counts, so that
// setting the time neither shortens nor prolongs a cool-down that this process watches.
type cooldowns struct {
	sync.Mutex
	seen map[netip.Addr]coolingSince
}

type coolingSince struct {
	releasedAt time.Time     // as stored: identifies the release
	seen       time.Time     // when first seen here
	age        time.Duration // at that moment, never negative
}

// over says whether an address released at a time has cooled for the configured duration. Once true it is forgotten.
func (c *cooldowns) over(addr netip.Addr, releasedAt, now time.Time, cooldown time.Duration) bool {
	c.Lock()
	defer c.Unlock()
	s, ok := c.seen[addr]
	if !ok || !s.releasedAt.Equal(releasedAt) {
		s = coolingSince{releasedAt: releasedAt, seen: now, age: max(0, now.Sub(releasedAt.Round(0)))}
		if c.seen == nil {
			c.seen = map[netip.Addr]coolingSince{}
		}
		c.seen[addr] = s
	}
	if now.Sub(s.seen)+s.age < cooldown {
		return false
	}
	delete(c.seen, addr)
	return true
}

// releaseTime is what to store as the time of a release: whole seconds, rounded up, so that no reader takes the release
// for older than it is. Zero without a cool-down.
func releaseTime(now time.Time, cooldown time.Duration) time.Time {
	if cooldown <= 0 {
		return time.Time{}
	}
	return now.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second)
}

// begin notes a release that this process does itself: its age is zero now, whatever the stored time says.
func (c *cooldowns) begin(addr netip.Addr, releasedAt, now time.Time) {
	c.Lock()
	defer c.Unlock()
	if c.seen == nil {
		c.seen = map[netip.Addr]coolingSince{}
	}
	c.seen[addr] = coolingSince{releasedAt: releasedAt, seen: now}
}

// coolingTime is the configured cool-down.
func (a *Allocator) coolingTime() time.Duration {
	return time.Duration(a.inputs.Load().Config.CooldownSeconds) * time.Second
}

// expired is the test that expire asks, at a moment.
func (a *Allocator) expired(now time.Time) func(netip.Addr, time.Time) bool {
	cooldown := a.coolingTime()
	return func(addr netip.Addr, at time.Time) bool { return a.cooldown.over(addr, at, now, cooldown) }
}
