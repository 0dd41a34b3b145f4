package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/ipam"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/store"
)

// machine drives two nodes that share a store, next to a naive account of who has what.
type machine struct {
	store    *watched
	in       ipam.Inputs
	now      time.Time
	nodes    [2]*ipam.Allocator
	handles  bool
	owner    map[netip.Addr]string
	released map[netip.Addr]time.Time // cooling down since
	node     map[string]int           // by handle
	next     int
}

const coolSeconds = 30

func newMachine(t *rapid.T) *machine {
	m := &machine{store: newStore(), now: time.Unix(1_800_000_000, 0), owner: map[netip.Addr]string{},
		released: map[netip.Addr]time.Time{}, node: map[string]int{}}
	m.in = inputs(pool("four", "10.1.0.0/28", 30), pool("six", "fd00::/125", 127))
	m.in.Reservations = []netip.Prefix{netip.MustParsePrefix("10.1.0.5/32")}
	m.store.steps = rapid.Bool().Draw(t, "steps")
	m.handles = rapid.Bool().Draw(t, "handles")
	if rapid.Bool().Draw(t, "cooldown") {
		m.in.Config.CooldownSeconds = coolSeconds
	}
	for i := range m.nodes {
		m.start(i)
	}
	return m
}

func (m *machine) start(i int) {
	m.nodes[i] = ipam.New(m.store, fmt.Sprint("n", i), ipam.Options{Handles: m.handles, Clock: func() time.Time { return m.now }})
	m.nodes[i].SetInputs(m.in)
}

func (m *machine) cools(addr netip.Addr) bool {
	at, ok := m.released[addr]
	return ok && m.in.Config.CooldownSeconds > 0 && m.now.Sub(at) < coolSeconds*time.Second
}

func (m *machine) free(addr netip.Addr) bool {
	_, taken := m.owner[addr]
	return !taken && !m.cools(addr)
}

// room says whether any address of a family can be had by somebody.
func (m *machine) room(p *model.IPPool) bool {
	for addr := p.CIDR.Addr(); p.CIDR.Contains(addr); addr = addr.Next() {
		if m.free(addr) && !slices.ContainsFunc(m.in.Reservations, func(r netip.Prefix) bool { return r.Contains(addr) }) {
			return true
		}
	}
	return false
}

func (m *machine) take(t *rapid.T, n int, handle string, addrs []netip.Addr, automatic bool) {
	for _, addr := range addrs {
		if !m.free(addr) {
			t.Fatalf("%s for %s: had by %q, cooling %v", addr, handle, m.owner[addr], m.cools(addr))
		}
		if automatic && m.in.Reservations[0].Contains(addr) {
			t.Fatalf("%s is reserved", addr)
		}
		m.owner[addr] = handle
	}
	m.node[handle] = n
}

func (m *machine) assign(t *rapid.T) {
	n := rapid.IntRange(0, 1).Draw(t, "node")
	m.next++
	r := ipam.Request{Handle: fmt.Sprint("h", m.next), Want4: rapid.Bool().Draw(t, "4"), Want6: rapid.Bool().Draw(t, "6")}
	if !r.Want4 && !r.Want6 {
		r.Want4 = true
	}
	addrs, err := m.nodes[n].Assign(context.Background(), r)
	want := (!r.Want4 || m.room(m.in.Pools[0])) && (!r.Want6 || m.room(m.in.Pools[1]))
	if errors.Is(err, ipam.ErrNoAddress) && (!want || m.in.Config.StrictAffinity) {
		return
	}
	if err != nil || !want {
		t.Fatalf("assign %+v: %v, %v; room %v", r, addrs, err, want)
	}
	m.take(t, n, r.Handle, addrs, true)
}

func (m *machine) exactly(t *rapid.T) {
	n := rapid.IntRange(0, 1).Draw(t, "node")
	p := rapid.SampledFrom(m.in.Pools).Draw(t, "pool")
	addr := p.CIDR.Addr()
	for range rapid.IntRange(0, 7).Draw(t, "ordinal") {
		addr = addr.Next()
	}
	m.next++
	handle := fmt.Sprint("h", m.next)
	addrs, err := m.nodes[n].Assign(context.Background(), ipam.Request{Handle: handle, Addresses: []netip.Addr{addr}})
	switch {
	case err == nil:
		m.take(t, n, handle, addrs, false)
	case m.free(addr) && !m.in.Config.StrictAffinity:
		t.Fatalf("%s is free: %v", addr, err)
	}
}

func (m *machine) release(t *rapid.T) {
	if len(m.node) == 0 {
		return
	}
	handles := make([]string, 0, len(m.node))
	for h := range m.node {
		handles = append(handles, h)
	}
	slices.Sort(handles)
	m.drop(t, rapid.SampledFrom(handles).Draw(t, "handle"))
}

func (m *machine) drop(t *rapid.T, handle string) {
	if err := m.nodes[m.node[handle]].Release(context.Background(), handle); err != nil {
		t.Fatal(err)
	}
	for addr, h := range m.owner {
		if h == handle {
			delete(m.owner, addr)
			m.released[addr] = m.now
		}
	}
	delete(m.node, handle)
}

// check compares the store with the account.
func (m *machine) check(t *rapid.T) {
	objects, _, err := m.store.List(context.Background(), store.Query{Kinds: []model.Kind{model.KindBlock}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range objects {
		b := o.Value.(*model.Block)
		for ordinal, i := range b.Allocations {
			addr := b.Addr(ordinal)
			switch {
			case i < 0 || !b.Attributes[i].ReleasedAt.IsZero():
				if h, ok := m.owner[addr]; ok {
					t.Fatalf("%s is free in the store but belongs to %s", addr, h)
				}
			case m.owner[addr] != b.Attributes[i].Handle:
				t.Fatalf("%s belongs to %q in the store, not to %q", addr, b.Attributes[i].Handle, m.owner[addr])
			default:
				n++
			}
		}
	}
	if n != len(m.owner) {
		t.Fatalf("%d allocations in the store, want %d", n, len(m.owner))
	}
}

// TestMachine: whatever two nodes do in turn, the store and a naive account agree.
func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"assign":  m.assign,
			"exactly": m.exactly,
			"release": m.release,
			"restart": func(t *rapid.T) { m.start(rapid.IntRange(0, 1).Draw(t, "node")) },
			"time":    func(t *rapid.T) { m.now = m.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "s")) * time.Second) },
			"strict": func(t *rapid.T) {
				m.in.Config.StrictAffinity = !m.in.Config.StrictAffinity
				m.nodes[0].SetInputs(m.in)
				m.nodes[1].SetInputs(m.in)
			},
			"gc": func(t *rapid.T) {
				if _, err := m.nodes[0].GC(context.Background(), func(h string, _ map[string]string, addr netip.Addr) bool {
					return m.owner[addr] == h
				}); err != nil {
					t.Fatal(err)
				}
			},
			"": m.check,
		})
	})
}
