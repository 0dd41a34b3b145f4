package trace

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

func TestStateFollowsChanges(t *testing.T) {
	s := NewState("n1")
	change := func(o intent.Object, nodes ...string) intent.Change {
		return intent.Change{Ref: o.Ref(), Object: o, Nodes: nodes}
	}
	gone := func(o intent.Object, nodes ...string) intent.Change { return intent.Change{Ref: o.Ref(), Nodes: nodes} }
	contains := func(addr string) bool {
		m := s.Set("s")
		return m != nil && m.Contains(netip.MustParseAddr(addr))
	}
	policy, profile := policyOf("p", do(model.Allow)), profileOf("x")

	s.Apply([]intent.Change{change(&intent.SetDelta{ID: "s", Add: []intent.Member{member("10.0.0.1/32")}})})
	if s.Set("s") != nil {
		t.Fatal("a delta alone made the set known")
	}
	s.Apply([]intent.Change{change(addrs("s", "10.0.0.1/32", "10.1.0.0/16", "fd00::/64")), change(policy), change(profile)})
	for addr, want := range map[string]bool{"10.0.0.1": true, "10.1.2.3": true, "fd00::7": true, "10.0.0.2": false, "fd01::": false} {
		if contains(addr) != want {
			t.Errorf("%s in the set: %t", addr, !want)
		}
	}
	s.Apply([]intent.Change{
		change(&intent.SetDelta{ID: "s", Remove: []intent.Member{member("10.1.0.0/16"), member("10.9.9.9/32")}, Add: []intent.Member{member("10.0.0.2/32")}}),
		change(addrs("s"), "n2"), // of another node
		gone(policy, "n2"),
	})
	for addr, want := range map[string]bool{"10.0.0.1": true, "10.0.0.2": true, "10.1.2.3": false, "fd00::7": true} {
		if contains(addr) != want {
			t.Errorf("%s in the set after the delta: %t", addr, !want)
		}
	}
	if s.Policy(policy.ID) != policy || s.Profile("x") != profile {
		t.Error("policy or profile lost")
	}
	s.Apply([]intent.Change{gone(addrs("s"), "n1"), gone(policy), gone(profile), change(&intent.Pool{ID: "pool"})})
	if s.Set("s") != nil || s.Policy(policy.ID) != nil || s.Profile("x") != nil {
		t.Error("removed objects are still known")
	}
}

// Against a plain list, with overlapping prefixes.
func TestSetMembers(t *testing.T) {
	prefix := rapid.Custom(func(t *rapid.T) intent.Member {
		if rapid.Bool().Draw(t, "v6") {
			addr := netip.AddrFrom16([16]byte{0: 0xfd, 15: rapid.Byte().Draw(t, "byte") & 7})
			return intent.Member{Prefix: netip.PrefixFrom(addr, rapid.IntRange(124, 128).Draw(t, "bits")).Masked()}
		}
		addr := netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "byte") & 7})
		return intent.Member{Prefix: netip.PrefixFrom(addr, rapid.IntRange(28, 32).Draw(t, "bits")).Masked()}
	})
	triple := rapid.Custom(func(t *rapid.T) intent.Member {
		return portMember(rapid.SampledFrom([]string{"10.0.0.1", "fd00::1"}).Draw(t, "addr"), rapid.SampledFrom([]uint8{6, 17}).Draw(t, "proto"),
			rapid.Uint16Range(1, 3).Draw(t, "port"))
	})
	rapid.Check(t, func(t *rapid.T) {
		setType, draw := intent.SetAddrs, prefix
		if rapid.Bool().Draw(t, "ports") {
			setType, draw = intent.SetAddrPorts, triple
		}
		start := rapid.SliceOfNDistinct(draw, 0, 6, rapid.ID).Draw(t, "members")
		s := stateOf(&intent.Set{ID: "s", Type: setType, Members: start})
		reference := map[intent.Member]bool{}
		for _, m := range start {
			reference[m] = true
		}
		for range rapid.IntRange(0, 6).Draw(t, "deltas") {
			delta := &intent.SetDelta{ID: "s", Remove: rapid.SliceOfN(draw, 0, 4).Draw(t, "remove"), Add: rapid.SliceOfN(draw, 0, 4).Draw(t, "add")}
			s.Put(delta.Ref(), delta)
			for _, m := range delta.Remove {
				delete(reference, m)
			}
			for _, m := range delta.Add {
				reference[m] = true
			}
		}
		probe := draw.Draw(t, "probe")
		if setType == intent.SetAddrPorts {
			if got := s.Set("s").ContainsPort(probe.Prefix.Addr(), probe.Proto, probe.Port); got != reference[probe] {
				t.Fatalf("%v in the set: %t", probe, got)
			}
			return
		}
		want := false
		for m := range reference {
			want = want || m.Prefix.Contains(probe.Prefix.Addr())
		}
		if got := s.Set("s").Contains(probe.Prefix.Addr()); got != want {
			t.Fatalf("%v in %v: %t", probe.Prefix.Addr(), reference, got)
		}
	})
}
