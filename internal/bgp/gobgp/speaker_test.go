package gobgp

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/bgp"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// patience bounds every wait.
const patience = 15 * time.Second

// listener is a speaker whose routes are collected.
type listener struct {
	*Speaker
	t *testing.T

	mu        sync.Mutex
	table     map[netip.Prefix]bgp.Route
	withdrawn []netip.Prefix
}

func run(t *testing.T, c bgp.Config, prefixes ...string) *listener {
	t.Helper()
	l := &listener{Speaker: New(nil), t: t, table: map[netip.Prefix]bgp.Route{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case routes := <-l.Routes():
				l.note(routes)
			case <-l.ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	l.advertise(prefixes...)
	l.set(c)
	return l
}

func (l *listener) note(routes []bgp.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range routes {
		if len(r.NextHops) == 0 {
			delete(l.table, r.Prefix)
			l.withdrawn = append(l.withdrawn, r.Prefix)
		} else {
			l.table[r.Prefix] = r
		}
	}
}

func (l *listener) advertise(prefixes ...string) {
	l.t.Helper()
	var adverts []bgp.Advert
	for _, p := range prefixes {
		adverts = append(adverts, bgp.Advert{Prefix: netip.MustParsePrefix(p), LocalPref: 2147482623})
	}
	if err := l.Advertise(context.Background(), adverts); err != nil {
		l.t.Fatal(err)
	}
}

func (l *listener) set(c bgp.Config) {
	l.t.Helper()
	if err := l.Set(context.Background(), c); err != nil {
		l.t.Fatal(err)
	}
}

// text is "prefix next hop[,next hop] localpref" for each learned route.
func (l *listener) text() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, p := range slices.SortedFunc(maps.Keys(l.table), netip.Prefix.Compare) {
		var hops []string
		for _, h := range l.table[p].NextHops {
			hops = append(hops, h.String())
		}
		out = append(out, fmt.Sprintf("%s %s %d", p, strings.Join(hops, ","), l.table[p].LocalPref))
	}
	return out
}

func (l *listener) learns(want ...string) {
	l.t.Helper()
	eventually(l.t, func() string {
		if got := l.text(); !slices.Equal(got, want) {
			return fmt.Sprintf("%s learned\n%s\nwant\n%s\npeers %+v", l.config.ID, strings.Join(got, "\n"), strings.Join(want, "\n"), l.Peers())
		}
		return ""
	})
}

func (l *listener) withdrawals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.withdrawn)
}

func eventually(t *testing.T, wrong func() string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		message := wrong()
		if message == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(message)
		}
	}
}

func (l *listener) established(names ...string) {
	l.t.Helper()
	eventually(l.t, func() string {
		var got []string
		for _, p := range l.Peers() {
			if p.State == "Established" {
				got = append(got, p.Name)
			}
		}
		if !slices.Equal(got, names) {
			return fmt.Sprintf("%s: established %v, want %v: %+v", l.config.ID, got, names, l.Peers())
		}
		return ""
	})
}

func (l *listener) peer(name string) bgp.Peer {
	for _, p := range l.Peers() {
		if p.Name == name {
			return p
		}
	}
	return bgp.Peer{}
}

// TestMesh: three nodes exchange prefixes in both families, equal ones are taken from both, and what is withdrawn goes.
func TestMesh(t *testing.T) {
	a := run(t, configure(1, 2, 3), "10.1.0.0/26", "fd00:1::/122")
	b := run(t, configure(2, 1, 3), "10.2.0.0/26", "fd00:2::/122", "10.9.9.9/32")
	c := run(t, configure(3, 1, 2), "10.3.0.0/26", "10.9.9.9/32")
	a.learns("10.2.0.0/26 192.0.2.2 2147482623", "10.3.0.0/26 192.0.2.3 2147482623",
		"10.9.9.9/32 192.0.2.2,192.0.2.3 2147482623", "fd00:2::/122 2001:db8::2 2147482623")
	b.learns("10.1.0.0/26 192.0.2.1 2147482623", "10.3.0.0/26 192.0.2.3 2147482623", "fd00:1::/122 2001:db8::1 2147482623")
	c.learns("10.1.0.0/26 192.0.2.1 2147482623", "10.2.0.0/26 192.0.2.2 2147482623",
		"fd00:1::/122 2001:db8::1 2147482623", "fd00:2::/122 2001:db8::2 2147482623")
	for _, l := range []*listener{a, b, c} {
		select {
		case <-l.Settled():
		case <-time.After(patience):
			t.Errorf("%s is not settled: %+v", l.config.ID, l.Peers())
		}
	}
	if p := a.peer("Mesh_192_0_2_2"); p.Received != 2 || p.Advertised != 1 || p.AS != as || p.Address != v4(2) {
		t.Errorf("peer: %+v", p)
	}
	b.advertise("10.2.0.0/26", "10.2.0.64/26")
	a.learns("10.2.0.0/26 192.0.2.2 2147482623", "10.2.0.64/26 192.0.2.2 2147482623", "10.3.0.0/26 192.0.2.3 2147482623",
		"10.9.9.9/32 192.0.2.3 2147482623")
	// A node leaves the mesh: its routes go at once, the others' session is not touched.
	since := a.peer("Mesh_192_0_2_3").Since
	a.set(configure(1, 3))
	a.learns("10.3.0.0/26 192.0.2.3 2147482623", "10.9.9.9/32 192.0.2.3 2147482623")
	a.established("Mesh_192_0_2_3", "Mesh_2001_db8__3")
	if got := a.peer("Mesh_192_0_2_3").Since; !got.Equal(since) {
		t.Error("a change of one peering broke another's session")
	}
	off := configure(3)
	off.Enabled = false
	c.set(off)
	a.learns()
}

// TestExternalPassiveAndReflector: sessions between AS numbers, with a passive side, and a reflector between clients.
func TestExternalPassiveAndReflector(t *testing.T) {
	ca, cb, cc := configure(1, 2), configure(2, 1, 3), configure(3, 2)
	for i := range ca.Peerings { // 1 is another AS
		cb.Peerings[i].AS = 65001
	}
	ca.AS = 65001
	for i := 2; i < 4; i++ {
		cb.Peerings[i].RRClient, cb.Peerings[i].ClusterID = true, "1.2.3.4"
	}
	a, b, c := run(t, ca, "10.1.0.0/26", "fd00:1::/122"), run(t, cb), run(t, cc, "10.3.0.0/26")
	b.learns("10.1.0.0/26 192.0.2.1 0", "10.3.0.0/26 192.0.2.3 2147482623", "fd00:1::/122 2001:db8::1 0")
	a.learns("10.3.0.0/26 192.0.2.2 0")
	c.learns("10.1.0.0/26 192.0.2.1 100", "fd00:1::/122 2001:db8::1 100")
}

// TestPasswords: equal ones work, also after they changed or went; a missing one keeps its session down and no other.
func TestPasswords(t *testing.T) {
	ca, cb := configure(1, 2, 3), configure(2, 1)
	ref := model.SecretRef{Name: "bgp", Key: "mesh"}
	ca.Peerings, cb.Peerings = []intent.Peering{ca.Peerings[0], ca.Peerings[2]}, cb.Peerings[:1]
	ca.Peerings[0].Password, cb.Peerings[0].Password = ref, ref
	ca.Peerings[1].Password = model.SecretRef{Name: "gone", Key: "x"}
	ca.Secrets["bgp/mesh"], cb.Secrets["bgp/mesh"] = "hunter2", "hunter2"
	a := &listener{Speaker: New(nil), t: t}
	t.Cleanup(func() { _ = a.Close() })
	a.advertise()
	err := a.Set(context.Background(), ca)
	if err == nil || !strings.Contains(err.Error(), `"Mesh_192_0_2_3" with 192.0.2.3: password gone/x is not known`) || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("missing password: %v", err)
	}
	b := run(t, cb)
	a.established("Mesh_192_0_2_2")
	if p := a.peer("Mesh_192_0_2_3"); p.State != "Idle" || !strings.Contains(p.LastError, "gone/x") {
		t.Errorf("peer without password: %+v", p)
	}
	// Without it on both sides.
	ca.Peerings, cb.Peerings = slices.Clone(ca.Peerings[:1]), slices.Clone(cb.Peerings)
	ca.Peerings[0].Password, cb.Peerings[0].Password = model.SecretRef{}, model.SecretRef{}
	a.set(ca)
	b.set(cb)
	a.established("Mesh_192_0_2_2")
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for _, c := range []struct {
		change func(*bgp.Config)
		want   string
	}{
		{func(c *bgp.Config) { c.AS = 0 }, "AS number 0"},
		{func(c *bgp.Config) { c.IPv4, c.IPv6 = netip.Addr{}, netip.Addr{} }, "no address to speak from"},
		{func(c *bgp.Config) { c.IPv4 = netip.MustParseAddr("198.51.100.1") }, "port 1790 on [198.51.100.1 2001:db8::1]"},
		{func(c *bgp.Config) { c.IPv6 = netip.Addr{} }, `node "n1" has no address of this family`},
		{func(c *bgp.Config) { c.Peerings[0].AS = 0 }, `peering "Mesh_192_0_2_2" with 192.0.2.2: AS number 0`},
		{func(c *bgp.Config) { c.Peerings[0].Address = c.IPv4 }, "own address"},
		{func(c *bgp.Config) { c.Peerings = append(c.Peerings, c.Peerings[0]); c.Peerings[2].Name = "twice" }, `peering "twice": peering "Mesh_192_0_2_2" has the same address`},
	} {
		config := configure(1, 2)
		c.change(&config)
		s := New(nil)
		if err := s.Advertise(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Set(context.Background(), config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Set(context.Background(), config); err == nil {
			t.Error("a closed speaker was set")
		}
	}
}

// TestKilledSpeaker: a process that is killed keeps its routes at its peers until it has announced them again; one that
// does not come back loses them after the restart time.
func TestKilledSpeaker(t *testing.T) {
	c := configure(2, 1)
	short := configure(1, 2)
	for i := range c.Peerings {
		c.Peerings[i].Restart = 6 * time.Second
	}
	a := run(t, short)
	p := process{Config: c, Prefixes: []string{"10.2.0.0/26", "fd00:2::/122"}}
	all := []string{"10.2.0.0/26 192.0.2.2 2147482623", "fd00:2::/122 2001:db8::2 2147482623"}
	first := start(t, p)
	a.learns(all...)
	kill(first)
	eventually(t, func() string {
		if !a.peer("Mesh_192_0_2_2").Restarting {
			return fmt.Sprintf("%+v", a.Peers())
		}
		return ""
	})
	second := start(t, p)
	a.established("Mesh_192_0_2_2", "Mesh_2001_db8__2")
	eventually(t, func() string {
		if a.peer("Mesh_192_0_2_2").Restarting {
			return fmt.Sprintf("%+v", a.Peers())
		}
		return ""
	})
	if n := a.withdrawals(); n != 0 {
		t.Errorf("%d routes were withdrawn: %v", n, a.withdrawn)
	}
	a.learns(all...)
	kill(second)
	a.learns()
}
