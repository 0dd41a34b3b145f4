package proof

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/localize"
	"github.com/tortie-net/tortie/internal/intent/trace"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/nft"
	"github.com/tortie-net/tortie/internal/plane/planetest"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
	"github.com/tortie-net/tortie/internal/policy"
)

// wires is a packet lab with one interface for each workload that a universe may have on Node.
type wires struct {
	*planetest.Lab
	ports   map[netip.Addr]*planetest.Port // of workloads
	outside *planetest.Port
	plane   *nft.Plane
	has     map[intent.Ref]bool // the plane
	passed  map[flow]bool       // packets whose answers conntrack lets through
}

// flow is what conntrack tells packets by.
type flow struct {
	src, dst netip.AddrPort
	proto    uint8
}

func newWires(t *testing.T) *wires {
	t.Helper()
	w := &wires{
		Lab: planetest.NewLab(t), ports: map[netip.Addr]*planetest.Port{}, has: map[intent.Ref]bool{}, passed: map[flow]bool{},
	}
	for place := range cases.Small.Workloads {
		addrs := cases.Address(0, place)
		p := w.AddPort(t, fmt.Sprintf("cali%d", place), addrs[:]...)
		for _, a := range addrs {
			w.ports[a] = p
		}
	}
	w.outside = w.AddPort(t, "outside")
	var err error
	if w.plane, err = nft.New(w.Router.FD()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.plane.Close() })
	if err := w.plane.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w
}

// bind joins the workloads whose addresses are all their own to the lab's interfaces; who shares one is left out, since an
// address leads to one interface.
func (w *wires) bind(u *cases.Universe, l *localize.Localizer) map[netip.Addr]model.Key {
	bound := map[netip.Addr]model.Key{}
	for i, b := range u.Bindings() {
		port := w.ports[b.Addresses[0]]
		if port == nil || slices.ContainsFunc(b.Addresses, func(a netip.Addr) bool { return w.ports[a] != port || u.Doubtful[a] != "" }) {
			continue
		}
		b.Interface = port.Name
		l.Bind(b)
		for _, a := range b.Addresses {
			bound[a] = u.Bound()[i].Key
		}
	}
	return bound
}

// load makes the kernel what a node must look like.
func (w *wires) load(t *testing.T, changes []intent.KernelChange) {
	t.Helper()
	var list []intent.KernelChange
	now := map[intent.Ref]bool{}
	for _, c := range changes {
		switch o := c.Object.(type) {
		case *intent.Host: // packets that conntrack does not understand are policy's too, here
			h := *o
			h.DisableInvalidCheck, h.IPv6 = true, true
			c.Object = &h
		case *intent.Route, *intent.Sysctl, nil:
			continue
		}
		list = append(list, c)
		now[c.Ref] = true
	}
	for ref := range w.has {
		if !now[ref] {
			list = append(list, intent.KernelChange{Ref: ref})
		}
	}
	w.has = now
	if err := w.plane.Apply(context.Background(), list, true); err != nil {
		t.Fatal(err)
	}
	if s := w.plane.Status(); s.Pending != 0 || len(s.Failures) != 0 {
		t.Fatalf("%d pending, failures %v", s.Pending, s.Failures)
	}
}

// TestPolicyEqualsKernel: real packets, through the chains and sets that the plane makes of what calc and localize say, pass
// or not as the law says, and the counters of the rules show that they passed or not for the law's reason.
func TestPolicyEqualsKernel(t *testing.T) {
	seed, packets := setting(t, "TORTIE_PROOF_SEED", 1), setting(t, "TORTIE_PROOF_CASES", standard)
	w := newWires(t)
	sent, allowed := 0, 0
	for last := seed + packets/perUniverse/2; seed <= last; seed++ {
		u := cases.Generate(seed, cases.Small)
		n, l, law := newNode(calc.Span{Node: cases.Node}), localize.New(cases.Node), policy.New(u.Updates)
		n.apply(u.Updates...)
		c := calc.New(calc.Span{Node: cases.Node})
		c.Apply(u.Updates...)
		l.Apply(c.Flush()...)
		bound := w.bind(u, l)
		w.load(t, l.Flush())

		var probes []planetest.Probe
		var want []bool
		counts := map[intent.RuleID]uint64{}
		for _, p := range u.Packets(perUniverse) {
			from, ok := w.entrance(p.Packet, bound)
			if !ok {
				continue
			}
			verdict := n.both(t, u, law, p.Packet, bound, counts)
			probes, want = append(probes, planetest.Probe{From: from, Packet: p.Packet}), append(want, verdict)
			if w.passed[flowOf(p.Packet)] = w.passed[flowOf(p.Packet)] || verdict; verdict {
				allowed++
			}
		}
		before, err := w.plane.Counters()
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range w.Send(t, probes...) {
			if sent++; (got.To != "") != want[i] {
				t.Fatalf("TORTIE_PROOF_SEED=%d: %+v from %s: the law says %t, the kernel sent it to %q", seed, probes[i].Packet, probes[i].From.Name, want[i], got.To)
			}
		}
		after, err := w.plane.Counters()
		if err != nil {
			t.Fatal(err)
		}
		for id := range maps.Keys(after.Rules) {
			if got := after.Rules[id].Packets - before.Rules[id].Packets; got != counts[id] {
				t.Fatalf("TORTIE_PROOF_SEED=%d: rule %v counted %d packets, the law says %d", seed, id, got, counts[id])
			}
			delete(counts, id)
		}
		for id, k := range counts {
			t.Fatalf("TORTIE_PROOF_SEED=%d: rule %v has no counter, the law says %d packets", seed, id, k)
		}
	}
	t.Logf("%d packets of seeds up to %d, %d %% allowed", sent, seed-1, 100*allowed/max(sent, 1))
	if sent < int(packets)/40 || allowed < sent/5 || allowed > sent*4/5 {
		t.Errorf("%d of %d packets allowed: too few to prove anything", allowed, sent)
	}
}

// entrance is where a packet enters the router; false if the lab has no such place: an address of a workload that is not
// bound, of the router or its link, or one of a flow that conntrack would take for answered.
func (w *wires) entrance(p model.Packet, bound map[netip.Addr]model.Key) (*planetest.Port, bool) {
	for _, a := range []netip.Addr{p.Src, p.Dst} {
		_, isBound := bound[a]
		if w.ports[a] != nil && !isBound || routerNets[0].Contains(a) || routerNets[1].Contains(a) {
			return nil, false
		}
	}
	if p.Proto == model.ProtoICMP && p.ICMPType == 3 || p.Proto == model.ProtoICMPv6 && p.ICMPType == 1 {
		return nil, false // an error, which the lab takes for the answer to a packet
	}
	f := flowOf(p)
	if p.Src == p.Dst || w.passed[flow{f.dst, f.src, f.proto}] {
		return nil, false
	}
	_, src := bound[p.Src]
	_, dst := bound[p.Dst]
	switch {
	case src:
		return w.ports[p.Src], true
	case dst:
		return w.outside, true
	}
	return nil, false
}

var routerNets = [2]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:ff::/64")}

func flowOf(p model.Packet) flow {
	return flow{netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort), p.Proto}
}

// both is the law's verdict of the workloads at both ends (R3), with the rules that a packet matches on its way counted.
func (n *node) both(t *testing.T, u *cases.Universe, law *policy.Cluster, p model.Packet, bound map[netip.Addr]model.Key, counts map[intent.RuleID]uint64) bool {
	t.Helper()
	for _, end := range []struct {
		addr netip.Addr
		dir  model.Direction
	}{{p.Src, model.Egress}, {p.Dst, model.Ingress}} {
		key, ok := bound[end.addr]
		if !ok {
			continue
		}
		i := slices.IndexFunc(u.Local, func(e cases.Endpoint) bool { return e.Key == key })
		tiers, profiles, err := n.endpoint(u.Local[i])
		if err != nil {
			t.Fatal(err)
		}
		_, steps := trace.Explain(n.view, tiers, profiles, end.dir, &p)
		for _, s := range steps {
			if s.Event == trace.RuleMatched || s.Event == trace.PolicyInvalid {
				counts[n.ruleID(s, end.dir)]++
			}
		}
		if !law.Verdict(key, end.dir, p).Allowed {
			return false
		}
	}
	return true
}

// ruleID is the identity of the rule that a step is about; an invalid policy has one.
func (n *node) ruleID(s trace.Step, dir model.Direction) intent.RuleID {
	p, ok := n.objects[intent.Ref{Kind: intent.KindPolicy, ID: s.Policy}].(*intent.Policy)
	switch {
	case s.Event != trace.PolicyInvalid || !ok:
		return s.RuleID
	case dir == model.Ingress:
		return p.Ingress[0].ID
	}
	return p.Egress[0].ID
}
