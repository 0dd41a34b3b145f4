package proof

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/localize"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest/cases"
)

// plane is what the planes of a node were told.
type plane map[intent.Ref]intent.Object

func (p plane) take(changes []intent.KernelChange) {
	for _, c := range changes {
		switch o := c.Object.(type) {
		case nil:
			delete(p, c.Ref)
		case *intent.SetDelta:
			n := map[intent.Member]bool{}
			for _, m := range p[c.Ref].(*intent.Set).Members {
				n[m] = true
			}
			for _, m := range o.Remove {
				delete(n, m)
			}
			for _, m := range o.Add {
				n[m] = true
			}
			set := *p[c.Ref].(*intent.Set)
			set.Members = nil
			for m := range n {
				set.Members = append(set.Members, m)
			}
			p[c.Ref] = &set
		default:
			p[c.Ref] = o
		}
	}
}

// differs says how the planes' sets are other than those of calc.
func (p plane) differs(want map[intent.Ref]map[intent.Member]bool) error {
	for ref, members := range want {
		set, ok := p[ref].(*intent.Set)
		if !ok {
			return fmt.Errorf("%v is missing", ref)
		}
		got := map[intent.Member]bool{}
		for _, m := range set.Members {
			got[m] = true
			if !members[m] {
				return fmt.Errorf("%v (%s) has %v", ref, set.Selector, m)
			}
		}
		for m := range members {
			if !got[m] {
				return fmt.Errorf("%v (%s) lacks %v", ref, set.Selector, m)
			}
		}
	}
	return nil
}

// TestEndpointBeforeAddress: what a node's planes are told when CNI binds addresses that calc does not know yet is what
// calc says once it knows them; and when the workloads are unbound again, what calc says of a cluster without them.
func TestEndpointBeforeAddress(t *testing.T) {
	seed, packets := setting(t, "TORTIE_PROOF_SEED", 1), setting(t, "TORTIE_PROOF_CASES", standard)
	t.Logf("TORTIE_PROOF_SEED=%d", seed)
	bound := 0
	for last := seed + packets/perUniverse/4; seed <= last; seed++ {
		u := cases.Generate(seed, sizeOf(seed))
		bindings := u.Bindings()
		unknown := blinded(u, bindings)
		bound += len(bindings)
		known := newNode(calc.Span{Node: cases.Node})
		known.apply(u.Updates...)

		l, p := localize.New(cases.Node), plane{}
		c := calc.New(calc.Span{Node: cases.Node})
		c.Apply(unknown...)
		changes := c.Flush()
		l.Apply(changes[:len(changes)/2]...)
		p.take(l.Flush())
		for i, b := range bindings {
			if l.Bind(b); i%2 == 0 {
				p.take(l.Flush())
			}
		}
		l.Apply(changes[len(changes)/2:]...)
		p.take(l.Flush())
		if err := p.differs(known.sets); err != nil {
			t.Fatalf("TORTIE_PROOF_SEED=%d: bound: %v", seed, err)
		}
		for _, b := range bindings {
			ref := intent.Ref{Kind: intent.KindLocalEndpoint, ID: b.Workload.String()}
			e, ok := p[ref].(*intent.LocalEndpoint)
			if !ok || e.Interface != b.Interface || len(e.Addresses) != len(b.Addresses) {
				t.Fatalf("TORTIE_PROOF_SEED=%d: %v is %v, was bound to %v", seed, ref, describe(e), b)
			}
		}
		for i, b := range bindings {
			if l.Unbind(b.Workload, "another") {
				t.Fatalf("TORTIE_PROOF_SEED=%d: %v let go for a container that is not its own", seed, b.Workload)
			}
			if !l.Unbind(b.Workload, b.ContainerID) {
				t.Fatalf("TORTIE_PROOF_SEED=%d: %v was not bound", seed, b.Workload)
			}
			if i > 3 && i < len(bindings)-1 {
				continue
			}
			p.take(l.Flush())
			without := newNode(calc.Span{Node: cases.Node})
			without.apply(blinded(u, bindings[:i+1])...)
			if err := p.differs(without.sets); err != nil {
				t.Fatalf("TORTIE_PROOF_SEED=%d: %v unbound: %v", seed, b.Workload, err)
			}
		}
		for ref := range p {
			if ref.Kind == intent.KindLocalEndpoint {
				t.Fatalf("TORTIE_PROOF_SEED=%d: %v is still there", seed, ref)
			}
		}
	}
	if bound == 0 {
		t.Error("nothing was bound")
	}
}

// blinded is the cluster's objects as if nobody but CNI knew the addresses of some workloads.
func blinded(u *cases.Universe, bindings []localize.Binding) []model.Update {
	out := slices.Clone(u.Updates)
	for i, o := range out {
		w, ok := o.Value.(*model.WorkloadEndpoint)
		if ok && slices.ContainsFunc(bindings, func(b localize.Binding) bool { return b.Workload == w.ID }) {
			blind := *w
			blind.Addresses, blind.AddressesFromIPAM = nil, false
			out[i].Value = &blind
		}
	}
	return out
}

// TestOnlyPlainBlocksAreRoutedToTheirNode: a block of another node is routed to the node's address where its pool sends
// packets as they are: never encapsulated, or across subnets only and the node is in ours.
func TestOnlyPlainBlocksAreRoutedToTheirNode(t *testing.T) {
	modes := []model.EncapMode{model.EncapNever, model.EncapAlways, model.EncapCrossSubnet}
	for _, text := range []string{"10.65.1.0/26", "fd65::1:0/122"} {
		block := netip.MustParsePrefix(text)
		for _, near := range []bool{true, false} {
			for i := range 9 {
				b := &intent.BlockRoute{ID: text, Prefix: block, Node: "n2", VXLAN: modes[i/3], IPIP: modes[i%3]}
				l, p := localize.New("n1"), plane{}
				own := &intent.NodeFacts{ID: "n1", IPv4: netip.MustParsePrefix("192.0.2.1/24"), IPv6: netip.MustParsePrefix("2001:db8::1/64")}
				other := &intent.NodeFacts{ID: "n2", IPv4: netip.MustParsePrefix("192.0.2.2/24"), IPv6: netip.MustParsePrefix("2001:db8::2/64")}
				if !near {
					other.IPv4, other.IPv6 = netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("2001:db8:1::2/64")
				}
				for _, o := range []intent.Object{&intent.Config{ID: "n1", IPv6: true, ProgramNoEncapRoutes: true}, own, other, b} {
					l.Apply(intent.Change{Ref: o.Ref(), Object: o})
				}
				p.take(l.Flush())
				always := b.VXLAN == model.EncapAlways || b.IPIP == model.EncapAlways
				plain := b.VXLAN == model.EncapNever && b.IPIP == model.EncapNever
				want := !always && (plain || near)
				if _, got := p[intent.Ref{Kind: intent.KindRoute, ID: text}]; got != want {
					t.Errorf("%s, node in our subnet: %t, VXLAN %d, IPIP %d: route %t, want %t", text, near, b.VXLAN, b.IPIP, got, want)
				}
			}
		}
	}
}
