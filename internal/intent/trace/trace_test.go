package trace

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

func addrs(id intent.SetID, prefixes ...string) *intent.Set {
	s := &intent.Set{ID: id, Type: intent.SetAddrs}
	for _, p := range prefixes {
		s.Members = append(s.Members, member(p))
	}
	return s
}

func member(prefix string) intent.Member { return intent.Member{Prefix: netip.MustParsePrefix(prefix)} }

func portMember(addr string, proto uint8, port uint16) intent.Member {
	a := netip.MustParseAddr(addr)
	return intent.Member{Prefix: netip.PrefixFrom(a, a.BitLen()), Proto: proto, Port: port}
}

// policyOf is a global policy with the same rules in both directions.
func policyOf(name string, rules ...intent.Rule) *intent.Policy {
	key := model.Key{Kind: model.KindGlobalNetworkPolicy, Name: name}
	numbered := make([]intent.Rule, len(rules))
	for i, r := range rules {
		r.Index, r.ID = i, intent.RuleID(i+1)
		numbered[i] = r
	}
	return &intent.Policy{ID: key.String(), Key: key, Ingress: numbered, Egress: numbered}
}

func stagedOf(name string, action model.StagedAction, rules ...intent.Rule) *intent.Policy {
	p := policyOf(name, rules...)
	p.Key.Kind = model.KindStagedGlobalNetworkPolicy
	p.ID, p.Staged = p.Key.String(), action
	return p
}

func profileOf(name string, rules ...intent.Rule) *intent.Profile {
	for i := range rules {
		rules[i].Index = i
	}
	return &intent.Profile{ID: name, Ingress: rules, Egress: rules}
}

func tierOf(name string, end model.Action, policies ...*intent.Policy) intent.Tier {
	t := intent.Tier{Name: name, DefaultAction: end}
	for _, p := range policies {
		t.Ingress = append(t.Ingress, p.ID)
		t.Egress = append(t.Egress, p.ID)
	}
	return t
}

func stateOf(objects ...intent.Object) *State {
	s := NewState("")
	for _, o := range objects {
		s.Put(o.Ref(), o)
	}
	return s
}

func do(a model.Action) intent.Rule { return intent.Rule{Action: a} }

func tcp(src, dst string, port uint16) *model.Packet {
	return &model.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: model.ProtoTCP, SrcPort: 40000, DstPort: port}
}

func nets(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// say is a verdict in short, as in "allow a/p1#0", "deny profile kns.ns#0", "deny a#-1".
func say(v model.Verdict) string {
	word := map[bool]string{true: "allow", false: "deny"}[v.Allowed]
	name := v.Tier
	if v.Policy != "" {
		name += "/" + v.Policy[strings.LastIndex(v.Policy, "/")+1:]
	}
	if v.Profile != "" {
		name = "profile " + v.Profile
	}
	return fmt.Sprintf("%s %s#%d", word, name, v.Rule)
}

// agree gives the verdict on which Evaluate and Explain must agree, and the steps.
func agree(t testing.TB, v View, tiers []intent.Tier, profiles []string, dir model.Direction, p *model.Packet) (model.Verdict, []Step) {
	t.Helper()
	verdict := Evaluate(v, tiers, profiles, dir, p)
	explained, steps := Explain(v, tiers, profiles, dir, p)
	if explained != verdict {
		t.Fatalf("Evaluate: %s, Explain: %s", say(verdict), say(explained))
	}
	if len(steps) == 0 {
		t.Fatal("Explain gives no step")
	}
	last := steps[len(steps)-1]
	if last.Tier != verdict.Tier || last.Policy != verdict.Policy || last.Profile != verdict.Profile || last.Rule != verdict.Rule {
		t.Fatalf("the verdict is %s, the last step %v", say(verdict), last)
	}
	return verdict, steps
}

func TestTiersAndProfiles(t *testing.T) {
	udp := intent.Rule{Action: model.Deny, Protocol: model.ProtoUDP}
	allow, deny, pass, logs := policyOf("allow", do(model.Allow)), policyOf("deny", do(model.Deny)), policyOf("pass", do(model.Pass)), policyOf("log", do(model.Log))
	none, second := policyOf("none", udp), policyOf("second", udp, do(model.Log), do(model.Allow))
	staged := stagedOf("staged", model.StagedSet, do(model.Deny))
	invalid := policyOf("invalid", do(model.Allow))
	invalid.Invalid = "bad CIDR"
	odd := policyOf("odd", do(model.Action(7)))
	view := stateOf(allow, deny, pass, logs, none, second, staged, invalid, odd,
		profileOf("open", do(model.Allow)), profileOf("shut", do(model.Deny)), profileOf("passing", do(model.Pass), do(model.Deny)),
		profileOf("empty"), &intent.Profile{ID: "undefined", Missing: true, Ingress: []intent.Rule{do(model.Allow)}})
	unknown := policyOf("unknown", do(model.Allow))
	open := []string{"open"}

	for _, c := range []struct {
		name     string
		tiers    []intent.Tier
		profiles []string
		want     string
	}{
		{"R53 nothing", nil, nil, "deny #-1"},
		{"R53 profile", nil, open, "allow profile open#0"},
		{"R53 list order", nil, []string{"empty", "shut", "open"}, "deny profile shut#0"},
		{"R53 end of profiles", nil, []string{"empty"}, "deny #-1"},
		{"R54 profile that nobody defined", nil, []string{"undefined", "open"}, "deny profile undefined#0"},
		{"R54 profile unknown to the view", nil, []string{"nowhere", "open"}, "deny profile nowhere#-1"},
		{"R55 Pass ends one profile", nil, []string{"passing", "open"}, "allow profile open#0"},
		{"R22 no policy in this direction", []intent.Tier{{Name: "a", DefaultAction: model.Deny}}, open, "allow profile open#0"},
		{"R23 first match", []intent.Tier{tierOf("a", model.Deny, none, second, deny)}, nil, "allow a/second#2"},
		{"R23 Log goes on", []intent.Tier{tierOf("a", model.Deny, logs, deny)}, open, "deny a/deny#0"},
		{"R23 Pass", []intent.Tier{tierOf("a", model.Deny, pass, deny), tierOf("b", model.Deny, allow)}, nil, "allow b/allow#0"},
		{"R24 end denies", []intent.Tier{tierOf("a", model.Deny, none)}, open, "deny a#-1"},
		{"R24 end passes", []intent.Tier{tierOf("a", model.Pass, none), tierOf("b", model.Deny, deny)}, open, "deny b/deny#0"},
		{"R24 staged only", []intent.Tier{tierOf("a", model.Deny, staged)}, open, "allow profile open#0"},
		{"R24 staged decides nothing", []intent.Tier{tierOf("a", model.Deny, staged, allow)}, nil, "allow a/allow#0"},
		{"R25 Pass in the last tier", []intent.Tier{tierOf("a", model.Deny, pass)}, open, "allow profile open#0"},
		{"invalid policy isolates", []intent.Tier{tierOf("a", model.Deny, invalid, allow)}, open, "deny a/invalid#0"},
		{"policy unknown to the view", []intent.Tier{tierOf("a", model.Pass, unknown, allow)}, open, "deny a/unknown#-1"},
		{"policy unknown, decided before", []intent.Tier{tierOf("a", model.Pass, allow, unknown)}, nil, "allow a/allow#0"},
		{"unknown action denies", []intent.Tier{tierOf("a", model.Pass, odd, allow)}, open, "deny a/odd#0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, dir := range []model.Direction{model.Ingress, model.Egress} {
				verdict, steps := agree(t, view, c.tiers, c.profiles, dir, tcp("10.0.0.2", "10.0.0.1", 80))
				if say(verdict) != c.want {
					t.Errorf("%v: %s, want %s; steps %v", dir, say(verdict), c.want, steps)
				}
			}
		})
	}
}

func TestDirections(t *testing.T) {
	p := policyOf("p")
	p.Ingress, p.Egress = []intent.Rule{do(model.Allow)}, []intent.Rule{do(model.Deny)}
	tier := intent.Tier{Name: "a", DefaultAction: model.Deny, Egress: []string{p.ID}}
	profile := &intent.Profile{ID: "x", Ingress: []intent.Rule{do(model.Deny)}, Egress: []intent.Rule{do(model.Allow)}}
	view, packet := stateOf(p, profile), tcp("10.0.0.2", "10.0.0.1", 80)
	for _, c := range []struct {
		dir  model.Direction
		want string
	}{{model.Ingress, "deny profile x#0"}, {model.Egress, "deny a/p#0"}} {
		if v, _ := agree(t, view, []intent.Tier{tier}, []string{"x"}, c.dir, packet); say(v) != c.want {
			t.Errorf("%v: %s, want %s", c.dir, say(v), c.want)
		}
	}
	tier.Ingress = []string{p.ID}
	if v, _ := agree(t, view, []intent.Tier{tier}, nil, model.Ingress, packet); say(v) != "allow a/p#0" {
		t.Error(say(v))
	}
	if v, _ := agree(t, view, nil, []string{"x"}, model.Egress, packet); say(v) != "allow profile x#0" {
		t.Error(say(v))
	}
}

func TestRules(t *testing.T) {
	view := stateOf(
		addrs("peers", "10.0.0.2/32", "fd00::2/128"), addrs("net", "192.0.2.0/24", "2001:db8::/32"), addrs("empty"),
		&intent.Set{ID: "http", Type: intent.SetAddrPorts, Members: []intent.Member{
			portMember("10.0.0.1", model.ProtoTCP, 80), portMember("fd00::1", model.ProtoTCP, 80), portMember("10.0.0.1", model.ProtoUDP, 53),
		}})
	src := func(e intent.Entity) intent.Rule { return intent.Rule{Src: e} }
	dst := func(e intent.Entity) intent.Rule { return intent.Rule{Dst: e} }
	sets := func(ids ...intent.SetID) []intent.SetID { return ids }
	ranges := func(r ...intent.PortRange) []intent.PortRange { return r }
	p4, p6, other := tcp("10.0.0.2", "10.0.0.1", 80), tcp("fd00::2", "fd00::1", 80), tcp("192.0.2.7", "10.0.0.1", 81)
	dns := tcp("10.0.0.2", "10.0.0.1", 53)
	dns.Proto = model.ProtoUDP
	echo := &model.Packet{Src: p4.Src, Dst: p4.Dst, Proto: model.ProtoICMP, ICMPType: 8}
	frag := &model.Packet{Src: p4.Src, Dst: p4.Dst, Proto: model.ProtoICMP, ICMPType: 3, ICMPCode: 4}
	echo6 := &model.Packet{Src: p6.Src, Dst: p6.Dst, Proto: model.ProtoICMPv6, ICMPType: 128}

	for _, c := range []struct {
		name   string
		rule   intent.Rule
		packet *model.Packet
		failed Criterion
	}{
		{"empty", intent.Rule{}, p4, 0},
		{"R90 version 4", intent.Rule{IPVersion: 4}, p4, 0},
		{"R90 version 4", intent.Rule{IPVersion: 4}, p6, CriterionIPVersion},
		{"R90 version 6", intent.Rule{IPVersion: 6}, p4, CriterionIPVersion},
		{"R90 version 6", intent.Rule{IPVersion: 6}, p6, 0},
		{"R90 nets", src(intent.Entity{Nets: nets("10.0.0.0/8")}), p6, CriterionFamily},
		{"R90 notNets", dst(intent.Entity{NotNets: nets("2001:db8::/32")}), p4, CriterionFamily},
		{"R90 notNets of both", dst(intent.Entity{NotNets: nets("2001:db8::/32", "192.0.2.0/24")}), p4, 0},
		{"protocol", intent.Rule{Protocol: model.ProtoTCP}, p4, 0},
		{"protocol", intent.Rule{Protocol: model.ProtoUDP}, p4, CriterionProtocol},
		{"notProtocol", intent.Rule{NotProtocol: model.ProtoUDP}, p4, 0},
		{"notProtocol", intent.Rule{NotProtocol: model.ProtoTCP}, p4, CriterionNotProtocol},
		{"R93 type", intent.Rule{ICMP: model.ICMP{Set: true, Type: 8}}, echo, 0},
		{"R93 type, IPv6", intent.Rule{ICMP: model.ICMP{Set: true, Type: 128}}, echo6, 0},
		{"R93 type", intent.Rule{ICMP: model.ICMP{Set: true, Type: 8}}, frag, CriterionICMP},
		{"R93 code", intent.Rule{ICMP: model.ICMP{Set: true, Type: 3, HasCode: true, Code: 4}}, frag, 0},
		{"R93 code", intent.Rule{ICMP: model.ICMP{Set: true, Type: 3, HasCode: true, Code: 0}}, frag, CriterionICMP},
		{"R93 not ICMP at all", intent.Rule{ICMP: model.ICMP{Set: true}}, p4, CriterionICMP},
		{"R93 notICMP", intent.Rule{NotICMP: model.ICMP{Set: true, Type: 8}}, echo, CriterionNotICMP},
		{"R93 notICMP", intent.Rule{NotICMP: model.ICMP{Set: true, Type: 8}}, frag, 0},
		{"R93 notICMP, not ICMP at all", intent.Rule{NotICMP: model.ICMP{Set: true, Type: 8}}, p4, CriterionNotICMP},

		{"R69 nets", src(intent.Entity{Nets: nets("192.0.2.0/24", "10.0.0.2/32")}), p4, 0},
		{"R69 nets", src(intent.Entity{Nets: nets("192.0.2.0/24")}), p4, CriterionSourceNets},
		{"R69 nets", dst(intent.Entity{Nets: nets("192.0.2.0/24")}), p4, CriterionDestinationNets},
		{"R69 notNets", src(intent.Entity{NotNets: nets("10.0.0.0/24")}), p4, CriterionSourceNotNets},
		{"R69 notNets", dst(intent.Entity{NotNets: nets("10.0.0.0/24")}), p4, CriterionDestinationNotNets},
		{"R69 nets and set", src(intent.Entity{Nets: nets("10.0.0.0/24"), Sets: sets("net")}), p4, CriterionSourceSet},

		{"R66 address", src(intent.Entity{Sets: sets("peers")}), p4, 0},
		{"R94 address, IPv6", src(intent.Entity{Sets: sets("peers")}), p6, 0},
		{"R66 address, not in it", dst(intent.Entity{Sets: sets("peers")}), p4, CriterionDestinationSet},
		{"R66 prefix", src(intent.Entity{Sets: sets("net")}), other, 0},
		{"R66 prefix, not in it", src(intent.Entity{Sets: sets("net")}), p4, CriterionSourceSet},
		{"R66 empty set", src(intent.Entity{Sets: sets("empty")}), p4, CriterionSourceSet},
		{"all sets", src(intent.Entity{Sets: sets("peers", "net")}), p4, CriterionSourceSet},
		{"R65 notSet", src(intent.Entity{NotSets: sets("net")}), p4, 0},
		{"R65 notSet", src(intent.Entity{NotSets: sets("net")}), other, CriterionSourceNotSet},
		{"R65 no notSet of several", dst(intent.Entity{NotSets: sets("net", "peers")}), tcp("10.0.0.9", "10.0.0.2", 80), CriterionDestinationNotSet},

		{"R80 range", dst(intent.Entity{Ports: ranges(intent.PortRange{Min: 1, Max: 2}, intent.PortRange{Min: 80, Max: 81})}), p4, 0},
		{"R80 range", dst(intent.Entity{Ports: ranges(intent.PortRange{Min: 81, Max: 90})}), p4, CriterionDestinationPorts},
		{"R80 source", src(intent.Entity{Ports: ranges(intent.PortRange{Min: 40000, Max: 40000})}), p4, 0},
		{"R80 source", src(intent.Entity{Ports: ranges(intent.PortRange{Min: 80, Max: 80})}), p4, CriterionSourcePorts},
		{"R80 range or set: range", dst(intent.Entity{Ports: ranges(intent.PortRange{Min: 80, Max: 80}), PortSets: sets("empty")}), p4, 0},
		{"R80 range or set: set", dst(intent.Entity{Ports: ranges(intent.PortRange{Min: 1, Max: 1}), PortSets: sets("http")}), p4, 0},
		{"R80 range or set: none", dst(intent.Entity{Ports: ranges(intent.PortRange{Min: 1, Max: 1}), PortSets: sets("http")}), other, CriterionDestinationPorts},
		{"R81 any of the sets", dst(intent.Entity{PortSets: sets("empty", "http")}), p6, 0},
		{"R82 protocol of the member", dst(intent.Entity{PortSets: sets("http")}), dns, 0},
		{"R81 other side", src(intent.Entity{PortSets: sets("http")}), p4, CriterionSourcePorts},
		{"R83 no ports", dst(intent.Entity{Ports: ranges(intent.PortRange{Min: 0, Max: 65535})}), echo, CriterionPortless},
		{"R83 no ports, not", src(intent.Entity{NotPorts: ranges(intent.PortRange{Min: 1, Max: 2})}), echo, CriterionPortless},
		{"R84 notPorts", dst(intent.Entity{NotPorts: ranges(intent.PortRange{Min: 80, Max: 80})}), p4, CriterionDestinationNotPorts},
		{"R84 notPorts", dst(intent.Entity{NotPorts: ranges(intent.PortRange{Min: 81, Max: 90})}), p4, 0},
		{"R84 notPorts by set", dst(intent.Entity{NotPortSets: sets("http")}), p4, CriterionDestinationNotPorts},
		{"R84 notPorts by set", dst(intent.Entity{NotPortSets: sets("http")}), other, 0},
		{"R84 notPorts, source", src(intent.Entity{NotPorts: ranges(intent.PortRange{Min: 40000, Max: 40000})}), p4, CriterionSourceNotPorts},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, action := range []model.Action{model.Allow, model.Deny} {
				c.rule.Action = action
				p := policyOf("p", c.rule)
				view.Put(p.Ref(), p)
				verdict, steps := agree(t, view, []intent.Tier{tierOf("a", model.Pass, p)}, nil, model.Ingress, c.packet)
				if want := c.failed == CriterionNone; (verdict.Policy != "") != want || verdict.Allowed != (want && action == model.Allow) {
					t.Errorf("%v: %s, want match %t", action, say(verdict), want)
				}
				if steps[0].Failed != c.failed {
					t.Errorf("%v failed %v, want %v", action, steps[0].Failed, c.failed)
				}
			}
		})
	}
}

func TestUnknownSets(t *testing.T) {
	gone := []intent.SetID{"gone"}
	for _, c := range []struct {
		name string
		side intent.Entity
		want map[model.Action]string
	}{
		{"set", intent.Entity{Sets: gone}, nil},
		{"notSet", intent.Entity{NotSets: gone}, nil},
		{"port set", intent.Entity{PortSets: gone}, nil},
		{"not port set", intent.Entity{NotPortSets: gone}, nil},
		{"another criterion fails", intent.Entity{Sets: gone, Nets: nets("192.0.2.0/24")}, map[model.Action]string{
			model.Deny: "allow a/p#1", model.Pass: "allow a/p#1"}},
		{"the range decides", intent.Entity{PortSets: gone, Ports: []intent.PortRange{{Min: 80, Max: 80}}}, map[model.Action]string{
			model.Allow: "allow a/p#0", model.Pass: "allow profile open#0"}},
	} {
		// Behind the rule in question stands a rule that allows.
		want := map[model.Action]string{model.Allow: "allow a/p#1", model.Deny: "deny a/p#0", model.Pass: "deny a/p#0", model.Log: "allow a/p#1"}
		for action, text := range c.want {
			want[action] = text
		}
		for action, text := range want {
			p := policyOf("p", intent.Rule{Action: action, Dst: c.side}, do(model.Allow))
			v, steps := agree(t, stateOf(p, profileOf("open", do(model.Allow))), []intent.Tier{tierOf("a", model.Deny, p)}, []string{"open"},
				model.Ingress, tcp("10.0.0.2", "10.0.0.1", 80))
			if say(v) != text {
				t.Errorf("%s, %v: %s, want %s", c.name, action, say(v), text)
			}
			if c.want == nil && !steps[0].SetMissing {
				t.Errorf("%s, %v: step %q does not say that the set is unknown", c.name, action, steps[0])
			}
		}
	}
}

func TestExplainText(t *testing.T) {
	p := policyOf("web", intent.Rule{Action: model.Allow, Dst: intent.Entity{Ports: []intent.PortRange{{Min: 443, Max: 443}}}},
		intent.Rule{Action: model.Allow, Src: intent.Entity{Sets: []intent.SetID{"s1"}}},
		intent.Rule{Action: model.Allow, Src: intent.Entity{Sets: []intent.SetID{"s2"}}}, do(model.Log))
	invalid := policyOf("bad")
	invalid.Invalid = "x"
	staged := stagedOf("soon", model.StagedSet)
	view := stateOf(addrs("s1"), p, staged, invalid, profileOf("kns.ns", intent.Rule{Action: model.Deny, Protocol: model.ProtoUDP}))
	packet := tcp("10.0.0.2", "10.0.0.1", 80)
	text := func(tiers []intent.Tier, profiles ...string) []string {
		_, steps := agree(t, view, tiers, profiles, model.Ingress, packet)
		var lines []string
		for _, s := range steps {
			lines = append(lines, s.String())
		}
		return lines
	}
	for _, c := range []struct{ got, want []string }{
		{text([]intent.Tier{tierOf("default", model.Pass, staged, p)}, "kns.ns"), []string{
			"tier default, policy StagedGlobalNetworkPolicy/soon, staged, not enforced",
			"tier default, policy GlobalNetworkPolicy/web, rule 0: Allow: no match: destination.ports",
			"tier default, policy GlobalNetworkPolicy/web, rule 1: Allow: no match: source.selector (set s1)",
			"tier default, policy GlobalNetworkPolicy/web, rule 2: Allow: no match: source.selector (set s2 is unknown)",
			"tier default, policy GlobalNetworkPolicy/web, rule 3: matched: Log",
			"tier default, no rule matched: Pass",
			"profile kns.ns, rule 0: Deny: no match: protocol",
			"end of profiles: Deny",
		}},
		{text([]intent.Tier{tierOf("default", model.Deny, invalid)}), []string{"tier default, policy GlobalNetworkPolicy/bad, invalid: Deny"}},
		{text([]intent.Tier{tierOf("default", model.Deny, policyOf("x"))}), []string{"tier default, policy GlobalNetworkPolicy/x, missing: Deny"}},
		{text(nil, "nowhere"), []string{"profile nowhere, missing: Deny"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestStaged(t *testing.T) {
	enforced, last := policyOf("p", do(model.Allow)), policyOf("last", do(model.Deny))
	set, remove := stagedOf("p", model.StagedSet, do(model.Deny)), stagedOf("p", model.StagedDelete, do(model.Deny))
	added, ignore, learn := stagedOf("new", model.StagedSet, do(model.Pass)), stagedOf("i", model.StagedIgnore, do(model.Deny)), stagedOf("l", model.StagedLearn, do(model.Deny))
	open := []string{"open"}
	for _, c := range []struct {
		name     string
		policies []*intent.Policy
		want     []string
	}{
		{"none", []*intent.Policy{enforced}, nil},
		{"Set replaces the enforced one", []*intent.Policy{enforced, set}, []string{"deny a/p#0 changes"}},
		{"Delete removes the enforced one", []*intent.Policy{remove, enforced, last}, []string{"deny a/last#0 changes"}},
		{"Delete of the only one", []*intent.Policy{remove, enforced}, []string{"allow profile open#0"}},
		{"Set of a new one", []*intent.Policy{added, last}, []string{"allow profile open#0 changes"}},
		{"behind the deciding one", []*intent.Policy{enforced, added}, []string{"allow a/p#0"}},
		{"each by itself", []*intent.Policy{added, enforced, set}, []string{"allow profile open#0", "deny a/p#0 changes"}},
		{"Ignore and Learn", []*intent.Policy{ignore, learn, enforced}, nil},
	} {
		view := stateOf(profileOf("open", do(model.Allow)))
		for _, p := range c.policies {
			view.Put(p.Ref(), p)
		}
		var got []string
		for _, s := range Staged(view, []intent.Tier{tierOf("a", model.Deny, c.policies...)}, open, model.Egress, tcp("10.0.0.2", "10.0.0.1", 80)) {
			text := say(s.Verdict)
			if s.Changes {
				text += " changes"
			}
			if !strings.HasPrefix(s.Policy, "Staged") || s.Tier != "a" || s.Action == "" {
				t.Errorf("%s: %+v names no staged policy", c.name, s)
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
