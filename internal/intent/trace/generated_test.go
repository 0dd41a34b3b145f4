package trace

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

func drawEntity(t *rapid.T) intent.Entity {
	var e intent.Entity
	some := func() bool { return rapid.IntRange(0, 4).Draw(t, "some") == 0 }
	setIDs := rapid.SliceOfN(rapid.SampledFrom([]intent.SetID{"s0", "s1", "s2"}), 1, 2)
	portIDs := rapid.SliceOfN(rapid.SampledFrom([]intent.SetID{"t0", "t1"}), 1, 2)
	if some() {
		e.Sets = setIDs.Draw(t, "sets")
	}
	if some() {
		e.NotSets = setIDs.Draw(t, "notSets")
	}
	if some() {
		e.PortSets = portIDs.Draw(t, "portSets")
	}
	if some() {
		e.NotPortSets = portIDs.Draw(t, "notPortSets")
	}
	if some() {
		e.Ports = []intent.PortRange{{Min: rapid.Uint16Range(1, 3).Draw(t, "port"), Max: 3}}
	}
	return e
}

func drawRules(t *rapid.T) []intent.Rule {
	actions := rapid.SampledFrom([]model.Action{model.Allow, model.Allow, model.Deny, model.Pass, model.Log})
	rules := make([]intent.Rule, rapid.IntRange(0, 3).Draw(t, "rules"))
	for i := range rules {
		rules[i] = intent.Rule{Action: actions.Draw(t, "action"), Src: drawEntity(t), Dst: drawEntity(t), Index: i}
	}
	return rules
}

// Evaluate and Explain agree, and what the view does not know never allows: with any object removed from it, no denied
// packet becomes an allowed one.
func TestGenerated(t *testing.T) {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "addr") & 3})
	})
	port := rapid.Uint16Range(1, 3)
	rapid.Check(t, func(t *rapid.T) {
		var objects []intent.Object
		for i := range 3 {
			s := &intent.Set{ID: intent.SetID(fmt.Sprint("s", i)), Type: intent.SetAddrs}
			for _, a := range rapid.SliceOfN(addr, 0, 4).Draw(t, "members") {
				s.Members = append(s.Members, intent.Member{Prefix: netip.PrefixFrom(a, 32)})
			}
			objects = append(objects, s)
		}
		for i := range 2 {
			s := &intent.Set{ID: intent.SetID(fmt.Sprint("t", i)), Type: intent.SetAddrPorts}
			for _, a := range rapid.SliceOfN(addr, 0, 4).Draw(t, "members") {
				s.Members = append(s.Members, intent.Member{Prefix: netip.PrefixFrom(a, 32), Proto: model.ProtoTCP, Port: port.Draw(t, "port")})
			}
			objects = append(objects, s)
		}
		var tiers []intent.Tier
		for i := range rapid.IntRange(0, 3).Draw(t, "tiers") {
			var policies []*intent.Policy
			for j := range rapid.IntRange(0, 3).Draw(t, "policies") {
				p := policyOf(fmt.Sprint("p", i, j), drawRules(t)...)
				p.Staged = rapid.SampledFrom([]model.StagedAction{"", "", model.StagedSet}).Draw(t, "staged")
				policies, objects = append(policies, p), append(objects, p)
			}
			end := rapid.SampledFrom([]model.Action{model.Deny, model.Pass}).Draw(t, "end")
			tiers = append(tiers, tierOf(fmt.Sprint("tier", i), end, policies...))
		}
		profiles := []string{"x", "y"}
		for _, name := range profiles {
			objects = append(objects, profileOf(name, drawRules(t)...))
		}
		packet := &model.Packet{Src: addr.Draw(t, "src"), Dst: addr.Draw(t, "dst"), Proto: model.ProtoTCP, SrcPort: port.Draw(t, "sport"), DstPort: port.Draw(t, "dport")}
		check := func(view View) model.Verdict {
			verdict := Evaluate(view, tiers, profiles, model.Ingress, packet)
			explained, steps := Explain(view, tiers, profiles, model.Ingress, packet)
			last := steps[len(steps)-1]
			if explained != verdict || last.Tier != verdict.Tier || last.Policy != verdict.Policy || last.Profile != verdict.Profile || last.Rule != verdict.Rule {
				t.Fatalf("Evaluate: %s, Explain: %s, %v", say(verdict), say(explained), steps)
			}
			return verdict
		}
		whole := check(stateOf(objects...))
		for i, removed := range objects {
			view := stateOf(objects...)
			view.Put(objects[i].Ref(), nil)
			if v := check(view); v.Allowed && !whole.Allowed {
				t.Fatalf("%s, but without %v: %s", say(whole), removed.Ref(), say(v))
			}
		}
	})
}

// fifty is 50 rules over 10 policies, each with a port and a set of 1,000 addresses; only the last rule matches.
func fifty() (*State, []intent.Tier, *model.Packet) {
	s, packet := NewState(""), tcp("10.0.0.2", "10.0.0.1", 80)
	tier := intent.Tier{Name: "default", DefaultAction: model.Deny}
	for i := range 10 {
		var rules []intent.Rule
		for j := range 5 {
			set := &intent.Set{ID: intent.SetID(fmt.Sprintf("s:%020d", i*5+j)), Type: intent.SetAddrs}
			for k := range 1000 {
				set.Members = append(set.Members, intent.Member{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(k >> 8), byte(k)}), 32)})
			}
			if i == 9 && j == 4 {
				set.Members = append(set.Members, member("10.0.0.2/32"))
			}
			s.Put(set.Ref(), set)
			ports := []intent.PortRange{{Min: uint16(80 + 1000*(j%2)), Max: uint16(80 + 1000*(j%2))}} // every other one fits
			if j == 4 {
				ports = []intent.PortRange{{Min: 443, Max: 443}, {Min: 80, Max: 80}}
			}
			rules = append(rules, intent.Rule{Action: model.Allow, Protocol: model.ProtoTCP, Src: intent.Entity{Sets: []intent.SetID{set.ID}}, Dst: intent.Entity{Ports: ports}})
		}
		p := policyOf(fmt.Sprint("p", i), rules...)
		s.Put(p.Ref(), p)
		tier.Ingress = append(tier.Ingress, p.ID)
	}
	return s, []intent.Tier{tier}, packet
}

func TestEvaluateAllocatesNothing(t *testing.T) {
	s, tiers, packet := fifty()
	if v := Evaluate(s, tiers, nil, model.Ingress, packet); say(v) != "allow default/p9#4" {
		t.Fatal(say(v))
	}
	if n := testing.AllocsPerRun(100, func() { Evaluate(s, tiers, nil, model.Ingress, packet) }); n != 0 {
		t.Errorf("%v allocations per evaluation", n)
	}
}

func BenchmarkEvaluate50Rules(b *testing.B) {
	s, tiers, packet := fifty()
	b.ReportAllocs()
	for b.Loop() {
		Evaluate(s, tiers, nil, model.Ingress, packet)
	}
}

func BenchmarkExplain50Rules(b *testing.B) {
	s, tiers, packet := fifty()
	b.ReportAllocs()
	for b.Loop() {
		Explain(s, tiers, nil, model.Ingress, packet)
	}
}
