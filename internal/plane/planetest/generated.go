package planetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// Case is an intent for workloads a, b and c (cali1 to cali3; addresses by Address) and what it means.
type Case struct {
	Objects []intent.Object
	Allowed func(model.Packet) bool
}

// Address is the address of workload n, 1 to 3, in the generated cases.
func Address(n int, ipv6 bool) netip.Addr {
	if ipv6 {
		return addr6(n)
	}
	return addr4(n)
}

// packetsPerCase is how many packets are sent through each generated case.
const packetsPerCase = 120

// Generated tries n cases that build makes from a seed, each reached by changes from the one before; every tenth by a
// restart too, which must write nothing. build nil makes intents directly and judges them by this package's own law.
func Generated(t *testing.T, s Subject, seed uint64, n int, build func(*rand.Rand) Case) {
	t.Logf("seed %d", seed)
	used := make(map[string]int)
	if build == nil {
		build = func(r *rand.Rand) Case {
			objects := randomIntent(r)
			return Case{objects, newLaw(objects, used).allowed}
		}
	}
	w := newWorld(t)
	p := s.open(t, w)
	var before []intent.Object
	sent, allowed := 0, 0
	for i := range n {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		c := build(r)
		if err := p.Apply(context.Background(), between(r, before, c.Objects), true); err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		before = c.Objects
		if i%10 == 9 {
			again := s.open(t, w)
			apply(t, again, c.Objects...)
			if writes := again.Status().Writes; writes != 0 {
				t.Errorf("case %d: a restart wrote %d messages", i, writes)
			}
		}
		var probes []Probe
		for range packetsPerCase {
			probes = append(probes, w.randomProbe(r))
		}
		for k, got := range w.Send(t, probes...) {
			want := c.Allowed(probes[k].Packet)
			if sent++; want {
				allowed++
			}
			if want != (got.To != "") {
				t.Errorf("case %d of seed %d: packet %+v: allowed %v, got to %q", i, seed, probes[k].Packet, want, got.To)
			}
		}
		if t.Failed() {
			for _, o := range c.Objects {
				t.Logf("%+v", o)
			}
			return
		}
	}
	t.Logf("%d cases, %d packets, %d %% allowed; rules that decided, by what they have: %v", n, sent, 100*allowed/max(sent, 1), used)
}

// between is the changes that lead from one intent to another, in any order within a kind; sets sometimes as deltas.
func between(r *rand.Rand, before, after []intent.Object) []intent.KernelChange {
	var out []intent.KernelChange
	old := make(map[intent.Ref]intent.Object)
	for _, o := range before {
		old[o.Ref()] = o
	}
	for _, o := range after {
		c := intent.KernelChange{Ref: o.Ref(), Object: o}
		if s, ok := o.(*intent.Set); ok && r.IntN(2) == 0 {
			if had, ok := old[o.Ref()].(*intent.Set); ok && had.Type == s.Type {
				c.Object = delta(had, s)
			}
		}
		delete(old, o.Ref())
		out = append(out, c)
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for ref := range old {
		out = append(out, intent.KernelChange{Ref: ref})
	}
	return out
}

func delta(from, to *intent.Set) *intent.SetDelta {
	d := &intent.SetDelta{ID: to.ID}
	for _, m := range to.Members {
		if !slices.Contains(from.Members, m) {
			d.Add = append(d.Add, m)
		}
	}
	for _, m := range from.Members {
		if !slices.Contains(to.Members, m) {
			d.Remove = append(d.Remove, m)
		}
	}
	return d
}

var places = []string{"a", "b", "c", "out"}

func (w *world) randomProbe(r *rand.Rand) Probe {
	from := r.IntN(len(places))
	to := (from + 1 + r.IntN(len(places)-1)) % len(places)
	family := r.IntN(2)
	src, dst := w.names[places[from]], w.names[places[to]]
	w.sources++
	if w.sources < 20000 {
		w.sources = 20000
	}
	p := model.Packet{Src: src.addr[family], Dst: dst.addr[family], SrcPort: w.sources, DstPort: randomPort(r)}
	switch r.IntN(5) {
	case 0, 1:
		p.Proto = model.ProtoTCP
	case 2, 3:
		p.Proto = model.ProtoUDP
	default:
		p.Proto, p.ICMPType, p.ICMPCode = model.ProtoICMP, []uint8{8, 13}[r.IntN(2)], uint8(r.IntN(2))
		if family == 1 {
			p.Proto, p.ICMPType = model.ProtoICMPv6, 128
		}
		p.SrcPort, p.DstPort = 0, 0
	}
	return Probe{From: w.Port(src.port), Packet: p}
}

func randomPort(r *rand.Rand) uint16 { return []uint16{22, 53, 80, 81, 443, 8080}[r.IntN(6)] }

// randomIntent is sets, policies in tiers, and three endpoints.
func randomIntent(r *rand.Rand) []intent.Object {
	objects := []intent.Object{host(func(h *intent.Host) { h.LogPrefix = "generated" }), open()}
	for i := range 4 {
		objects = append(objects, randomSet(r, i))
	}
	for i := range 2 {
		s := &intent.Set{ID: intent.SetID(fmt.Sprint("ports-", i)), Type: intent.SetAddrPorts}
		seen := make(map[intent.Member]bool)
		for range r.IntN(8) {
			a := Address(1+r.IntN(3), r.IntN(2) == 0)
			m := intent.Member{Prefix: netip.PrefixFrom(a, a.BitLen()), Proto: []uint8{tcp, udp}[r.IntN(2)], Port: randomPort(r)}
			if !seen[m] {
				seen[m] = true
				s.Members = append(s.Members, m)
			}
		}
		objects = append(objects, s)
	}
	var names []string
	for i := range 1 + r.IntN(6) {
		name := fmt.Sprint("p", i)
		p := policy(name, "", randomRules(r), randomRules(r))
		if r.IntN(8) == 0 {
			p.Staged = model.StagedSet
		}
		objects, names = append(objects, p), append(names, name)
	}
	for n := 1; n <= 3; n++ {
		e := endpoint(n)
		for i := range r.IntN(4) {
			e.Tiers = append(e.Tiers, tier(fmt.Sprint("tier", i), []model.Action{deny, pass, pass}[r.IntN(3)], some(r, names), some(r, names)))
		}
		objects = append(objects, e)
	}
	return objects
}

func some(r *rand.Rand, names []string) []string {
	out := slices.Clone(names)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:r.IntN(len(out)+1)]
}

var randomNets = nets("10.1.0.1/32", "10.1.0.2/31", "10.1.0.0/16", "10.0.0.0/8", "198.51.100.0/24", "0.0.0.0/0",
	"fd00::1/128", "fd00::2/127", "fd00::/64", "fc00::/7", "2001:db8:99::/48", "::/0")

func randomSet(r *rand.Rand, i int) *intent.Set {
	s := &intent.Set{ID: intent.SetID(fmt.Sprint("set-", i)), Type: intent.SetAddrs}
	add := func(p netip.Prefix) {
		if m := (intent.Member{Prefix: p.Masked()}); !slices.Contains(s.Members, m) {
			s.Members = append(s.Members, m)
		}
	}
	for range r.IntN(4) {
		a := Address(1+r.IntN(3), r.IntN(2) == 0)
		add(netip.PrefixFrom(a, a.BitLen()))
	}
	for range r.IntN(3) {
		add(randomNets[r.IntN(len(randomNets))])
	}
	return s
}

func randomRules(r *rand.Rand) []intent.Rule {
	out := make([]intent.Rule, r.IntN(4))
	for i := range out {
		out[i] = randomRule(r)
	}
	return out
}

func randomRule(r *rand.Rand) intent.Rule {
	rare := func() bool { return r.IntN(6) == 0 }
	rule := intent.Rule{Action: []model.Action{allow, allow, allow, deny, pass, log}[r.IntN(6)]}
	if rare() {
		rule.IPVersion = []uint8{4, 6}[r.IntN(2)]
	}
	switch r.IntN(6) {
	case 0, 1, 2:
		rule.Protocol = []uint8{tcp, udp}[r.IntN(2)]
	case 3:
		rule.NotProtocol = []uint8{tcp, udp, model.ProtoICMP, model.ProtoICMPv6}[r.IntN(4)]
	case 4:
		rule.Protocol = []uint8{model.ProtoICMP, model.ProtoICMPv6}[r.IntN(2)]
		m := model.ICMP{Set: true, Type: 8, HasCode: r.IntN(2) == 0, Code: uint8(r.IntN(2))}
		if rule.Protocol == model.ProtoICMPv6 {
			m.Type = 128
		}
		if r.IntN(2) == 0 {
			rule.ICMP = m
		} else {
			rule.NotICMP = m
		}
	}
	numbers := rule.Protocol == tcp || rule.Protocol == udp
	for _, e := range []*intent.Entity{&rule.Src, &rule.Dst} {
		randomEntity(r, e, numbers && e == &rule.Dst, rule.Protocol == 0 || numbers)
	}
	return rule
}

// randomEntity sets each field now and then; numbers and named say whether the rule's protocol allows ports (R82, R83).
func randomEntity(r *rand.Rand, e *intent.Entity, numbers, named bool) {
	rare := func() bool { return r.IntN(6) == 0 }
	someNets := func() (out []netip.Prefix) {
		for range 1 + r.IntN(3) {
			out = append(out, randomNets[r.IntN(len(randomNets))])
		}
		return out
	}
	set := func() intent.SetID { return intent.SetID(fmt.Sprint("set-", r.IntN(4))) }
	portSet := func() intent.SetID { return intent.SetID(fmt.Sprint("ports-", r.IntN(2))) }
	someRanges := func() (out []intent.PortRange) {
		for range 1 + r.IntN(3) {
			low := randomPort(r)
			out = append(out, intent.PortRange{Min: low, Max: low + uint16(r.IntN(3)*30)})
		}
		return out
	}
	if rare() {
		e.Nets = someNets()
	}
	if rare() {
		e.NotNets = someNets()
	}
	if rare() {
		e.Sets = append(e.Sets, set())
	}
	if rare() {
		e.NotSets = append(e.NotSets, set(), set())
	}
	if numbers && rare() {
		e.Ports = someRanges()
	}
	if numbers && rare() {
		e.NotPorts = someRanges()
	}
	if named && rare() {
		e.PortSets = append(e.PortSets, portSet(), portSet())
	}
	if named && rare() {
		e.NotPortSets = append(e.NotPortSets, portSet())
	}
}
