package planetest

import (
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
)

// testCase is an intent and what must become of packets.
type testCase struct {
	name    string
	objects []intent.Object
	expect  string
}

const (
	allow = model.Allow
	deny  = model.Deny
	pass  = model.Pass
	log   = model.Log

	tcp = model.ProtoTCP
	udp = model.ProtoUDP
)

// toB is a world in which policies are for b's ingress only, in tier default.
func toB(policies []*intent.Policy, others ...intent.Object) []intent.Object {
	objects := append([]intent.Object{host(), open(), endpoint(1), endpoint(3)}, others...)
	var names []string
	for _, p := range policies {
		objects = append(objects, p)
		names = append(names, p.Key.Name)
	}
	return append(objects, endpoint(2, tier("default", deny, names, nil)))
}

// oneRule is toB with one policy of one rule, which allows.
func oneRule(r intent.Rule, others ...intent.Object) []intent.Object {
	r.Action = allow
	return toB([]*intent.Policy{policy("p", "default", []intent.Rule{r}, nil)}, others...)
}

func ingress(rules ...intent.Rule) []*intent.Policy {
	return []*intent.Policy{policy("p", "default", rules, nil)}
}

func src(e intent.Entity) intent.Rule { return intent.Rule{Src: e} }

func dst(proto uint8, e intent.Entity) intent.Rule { return intent.Rule{Protocol: proto, Dst: e} }

func cases() []testCase {
	return append(append(endpointCases(), matchCases()...), tierCases()...)
}

// endpointCases is what holds whatever the rules say.
func endpointCases() []testCase {
	loneA := []intent.Object{host(), open(), endpoint(1)}
	toHost := func(action intent.EndpointToHost, rules ...intent.Rule) []intent.Object {
		return []intent.Object{host(func(h *intent.Host) { h.EndpointToHost = action }), open(),
			policy("p", "default", nil, rules), endpoint(1, tier("default", deny, nil, []string{"p"})), endpoint(2)}
	}
	return []testCase{
		{"no policy: the profile allows (R50)", toB(nil), "tcp a > b:80 = b\nudp b > out:53 = out\ntcp out > b:80 = b"},
		{"no policy and no profile: denied both ways (R53)", []intent.Object{host(), open(), endpoint(1),
			&intent.LocalEndpoint{ID: "b", Interface: "cali2"}}, "tcp a > b:80 = drop\ntcp b > a:80 = drop\ntcp b > out:80 = drop"},
		{"profile that nobody defined (R54)", []intent.Object{host(), endpoint(1), endpoint(2)}, "tcp a > b:80 = drop"},
		{"profile that is missing (R54)", []intent.Object{host(), &intent.Profile{ID: "open", Missing: true}, endpoint(1), endpoint(2)}, "tcp a > b:80 = drop"},
		{"Pass in a profile tries the next (R55)", []intent.Object{host(), open(),
			&intent.Profile{ID: "first", Ingress: []intent.Rule{{Action: pass}}}, endpoint(1),
			&intent.LocalEndpoint{ID: "b", Interface: "cali2", Profiles: []string{"first", "open"}}}, "tcp a > b:80 = b"},
		{"unknown interface (R4)", loneA, "tcp u > a:80 = drop\ntcp a > u:80 = drop\ntcp u > host:80 = drop\ntcp u > out:80 = drop\ntcp out > u:80 = drop\ntcp a > out:80 = out"},
		{"source that is not the workload's (R7)", toB(nil), "via c tcp a > b:80 = drop\nvia a tcp out > b:80 = drop\nvia c tcp a > host:80 = drop\ntcp c > b:80 = b"},
		{"source allowed by sourcePrefixes (R7)", []intent.Object{
			host(func(h *intent.Host) { h.WorkloadSourceSpoofAny = true }), open(), endpoint(2),
			&intent.LocalEndpoint{ID: "c", Interface: "cali3", Profiles: []string{"open"}, SourcePrefixes: nets("10.1.0.0/31", "fd00::/127")}},
			"via c tcp a > b:80 = b\nvia c tcp out > b:80 = drop"},
		{"sourcePrefixes without workloadSourceSpoofing (R7)", []intent.Object{host(), open(), endpoint(2),
			&intent.LocalEndpoint{ID: "c", Interface: "cali3", Profiles: []string{"open"}, SourcePrefixes: nets("10.1.0.0/31", "fd00::/127")}},
			"via c tcp a > b:80 = drop"},
		{"to the host: accept (R6)", toHost(intent.EndpointToHostAccept, intent.Rule{Action: allow}), "tcp a > host:80 = host\nicmp 8/0 a > host = host"},
		{"to the host: return (R6)", toHost(intent.EndpointToHostReturn, intent.Rule{Action: allow}), "udp a > host:80 = host"},
		{"to the host: drop (R6)", toHost(intent.EndpointToHostDrop, intent.Rule{Action: allow}), "tcp a > host:80 = drop\ntcp a > b:80 = b\ntcp out > host:80 = host"},
		{"to the host: egress policy first (R6)", toHost(intent.EndpointToHostAccept, intent.Rule{Action: deny, Protocol: tcp}, intent.Rule{Action: allow}),
			"tcp a > host:80 = drop\nudp a > host:80 = host"},
		{"to the host: neighbour discovery whatever the policy (R6)", toHost(intent.EndpointToHostDrop),
			"icmp 135/0 a6 > host6 = host\nicmp 136/0 a6 > host6 = host\nicmp 128/0 a6 > host6 = drop"},
		{"VXLAN and IPIP from workloads (R2)", toB(nil), "udp a > out:4789 = drop\nproto 4 a > out = drop\nudp a > out:4788 = out"},
		{"VXLAN and IPIP from workloads, allowed", []intent.Object{host(func(h *intent.Host) {
			h.AllowVXLANFromPods, h.AllowIPIPFromPods, h.VXLANPort = true, true, 4790
		}), open(), endpoint(1)}, "udp a > out:4790 = out\nproto 4 a > out = out"},
		{"VXLAN on another port", []intent.Object{host(func(h *intent.Host) { h.VXLANPort = 4790 }), open(), endpoint(1)}, "udp a > out:4790 = drop\nudp a > out:4789 = out"},
		{"reject instead of drop (R30)", append(toB(ingress(intent.Rule{Action: deny, Protocol: tcp})), host(func(h *intent.Host) { h.DenyReject = true })),
			"tcp a > b:80 = reject\nudp a > b:80 = reject"},
		{"natOutgoing (R102)", []intent.Object{host(), open(), endpoint(1), endpoint(2), endpoint(3),
			addrSet(string(intent.SetMasqueradePools), "10.1.0.0/31", "10.1.0.2/32", "fd00::/127", "fd00::2/128"),
			addrSet(string(intent.SetAllPools), "10.1.0.0/16", "fd00::/64"), addrSet(string(intent.SetHosts), "198.51.100.7/32", "2001:db8:99::7/128")},
			"tcp a > out:80 = out as host\nudp b > out:53 = out as host\ntcp a > b:80 = b as a\ntcp c > out:80 = out as c\nicmp 8/0 a > out = out as host"},
		{"natOutgoing but to hosts (R102)", []intent.Object{host(func(h *intent.Host) { h.NATExcludeHosts = true }), open(), endpoint(1),
			addrSet(string(intent.SetMasqueradePools), "10.1.0.0/16", "fd00::/64"), addrSet(string(intent.SetAllPools), "10.1.0.0/16", "fd00::/64"),
			addrSet(string(intent.SetHosts), "198.51.100.7/32", "2001:db8:99::7/128")}, "tcp a > out:80 = out as a"},
		{"both ends police (R3): egress denies", []intent.Object{host(), open(), policy("p", "default", nil, []intent.Rule{{Action: deny, Protocol: tcp}, {Action: allow}}),
			endpoint(1, tier("default", deny, nil, []string{"p"})), endpoint(2)}, "tcp a > b:80 = drop\nudp a > b:80 = b\ntcp b > a:80 = a"},
		{"both ends police (R3): ingress denies", []intent.Object{host(), open(), policy("p", "default", []intent.Rule{{Action: deny}}, []intent.Rule{{Action: allow}}),
			endpoint(1, tier("default", deny, nil, []string{"p"})), endpoint(2, tier("default", deny, []string{"p"}, nil))}, "tcp a > b:80 = drop\ntcp a > out:80 = out"},
	}
}

// matchCases is the fields of a rule.
func matchCases() []testCase {
	mixed := addrSet("mixed", 1, "198.51.100.0/24", "2001:db8:99::/64")
	return []testCase{
		{"default deny (R27)", toB(ingress()), "tcp a > b:80 = drop\nudp a > b:80 = drop\nicmp 8/0 a > b = drop\ntcp b > a:80 = a"},
		{"by set", oneRule(src(intent.Entity{Sets: []intent.SetID{"s"}}), addrSet("s", 1)), "tcp a > b:80 = b\ntcp c > b:80 = drop\ntcp out > b:80 = drop"},
		{"by two sets", oneRule(src(intent.Entity{Sets: []intent.SetID{"s", "r"}}), addrSet("s", 1, 3), addrSet("r", 1)), "tcp a > b:80 = b\ntcp c > b:80 = drop"},
		{"by a set of addresses and prefixes", oneRule(src(intent.Entity{Sets: []intent.SetID{"mixed"}}), mixed), "tcp a > b:80 = b\ntcp out > b:80 = b\ntcp c > b:80 = drop"},
		{"not in a set of addresses and prefixes", oneRule(src(intent.Entity{NotSets: []intent.SetID{"mixed"}}), mixed), "tcp a > b:80 = drop\ntcp out > b:80 = drop\ntcp c > b:80 = b"},
		{"nested prefixes in a set", oneRule(src(intent.Entity{Sets: []intent.SetID{"s"}}), addrSet("s", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/31", "fd00::/16", "fd00::/64")), "tcp a > b:80 = b\ntcp out > b:80 = drop"},
		{"prefixes of length 0", oneRule(src(intent.Entity{Sets: []intent.SetID{"s"}}), addrSet("s", "0.0.0.0/0", "::/0")), "tcp a > b:80 = b\ntcp out > b:80 = b"},
		{"empty set", oneRule(src(intent.Entity{Sets: []intent.SetID{"s"}}), addrSet("s")), "tcp a > b:80 = drop"},
		{"not in an empty set (R65)", oneRule(src(intent.Entity{NotSets: []intent.SetID{"s"}}), addrSet("s")), "tcp a > b:80 = b\ntcp out > b:80 = b"},
		{"a set that does not exist does not open", oneRule(src(intent.Entity{Sets: []intent.SetID{"nowhere"}})), "tcp a > b:80 = drop"},
		{"not in a set that does not exist does not open", oneRule(src(intent.Entity{NotSets: []intent.SetID{"nowhere"}})), "tcp a > b:80 = drop"},
		{"a Deny by a set that does not exist denies", toB(ingress(
			intent.Rule{Action: deny, Protocol: tcp, Src: intent.Entity{Sets: []intent.SetID{"nowhere"}}}, intent.Rule{Action: allow})),
			"tcp a > b:80 = drop\nudp a > b:80 = b"},
		{"one port", oneRule(dst(tcp, intent.Entity{Ports: ports(80, 80)})), "tcp a > b:80 = b\ntcp a > b:81 = drop\nudp a > b:80 = drop"},
		{"port range", oneRule(dst(udp, intent.Entity{Ports: ports(10, 20)})), "udp a > b:9 = drop\nudp a > b:10 = b\nudp a > b:20 = b\nudp a > b:21 = drop"},
		{"ports, unordered and overlapping", oneRule(dst(tcp, intent.Entity{Ports: ports(100, 200, 1, 1, 150, 300, 301, 301, 65535, 65535)})),
			"tcp a > b:1 = b\ntcp a > b:99 = drop\ntcp a > b:299 = b\ntcp a > b:301 = b\ntcp a > b:302 = drop\ntcp a > b:65535 = b"},
		{"SCTP port", oneRule(dst(model.ProtoSCTP, intent.Entity{Ports: ports(7, 7)})), "sctp a > b:7 = b\nsctp a > b:8 = drop"},
		{"not one port", oneRule(dst(tcp, intent.Entity{NotPorts: ports(80, 80)})), "tcp a > b:80 = drop\ntcp a > b:81 = b"},
		{"not a port range", oneRule(dst(tcp, intent.Entity{NotPorts: ports(80, 90)})), "tcp a > b:79 = b\ntcp a > b:85 = drop\ntcp a > b:91 = b"},
		{"not several ports", oneRule(dst(tcp, intent.Entity{NotPorts: ports(80, 80, 90, 99)})), "tcp a > b:80 = drop\ntcp a > b:95 = drop\ntcp a > b:89 = b"},
		{"source ports", oneRule(intent.Rule{Protocol: udp, Src: intent.Entity{Ports: ports(53, 53)}}), "udp a:53 > b:9999 = b\nudp a:54 > b:9999 = drop"},
		{"named port, without a protocol (R82)", oneRule(dst(0, intent.Entity{PortSets: []intent.SetID{"web"}}), portSet("web", tcp, 8080, 2)), "tcp a > b:8080 = b\nudp a > b:8080 = drop\ntcp a > b:80 = drop"},
		{"named port or number (R80)", oneRule(dst(tcp, intent.Entity{PortSets: []intent.SetID{"web"}, Ports: ports(22, 22)}), portSet("web", tcp, 8080, 2)), "tcp a > b:8080 = b\ntcp a > b:22 = b\ntcp a > b:23 = drop"},
		{"named port of the source", oneRule(intent.Rule{Src: intent.Entity{PortSets: []intent.SetID{"dns"}}}, portSet("dns", udp, 53, 1)), "udp a:53 > b:1000 = b\nudp c:53 > b:1000 = drop\nudp a:54 > b:1000 = drop"},
		{"not a named port (R84)", oneRule(dst(tcp, intent.Entity{NotPortSets: []intent.SetID{"web"}}), portSet("web", tcp, 8080, 2)), "tcp a > b:8080 = drop\ntcp a > b:80 = b"},
		{"nets of one family only (R90)", oneRule(src(intent.Entity{Nets: nets("10.1.0.0/24")})), "tcp a4 > b4:80 = b\ntcp a6 > b6:80 = drop"},
		{"nets of both", oneRule(src(intent.Entity{Nets: nets("10.1.0.0/31", "fd00::/127", "198.51.100.0/24", "2001:db8:99::7/128")})), "tcp a > b:80 = b\ntcp out > b:80 = b\ntcp c > b:80 = drop"},
		{"one net to the bit", oneRule(src(intent.Entity{Nets: nets("10.1.0.0/31", "fd00::/127")})), "tcp a > b:80 = b\ntcp c > b:80 = drop"},
		{"not nets (R69)", oneRule(src(intent.Entity{NotNets: nets("10.1.0.0/31", "fd00::/127")})), "tcp a > b:80 = drop\ntcp c > b:80 = b"},
		{"not several nets", oneRule(src(intent.Entity{NotNets: nets("10.1.0.0/31", "198.51.100.0/24", "fd00::/127", "2001:db8:99::/64")})), "tcp a > b:80 = drop\ntcp out > b:80 = drop\ntcp c > b:80 = b"},
		{"not any address (R91)", oneRule(src(intent.Entity{NotNets: nets("0.0.0.0/0", "fd00::9/128")})), "tcp a4 > b4:80 = drop\ntcp a6 > b6:80 = b"},
		{"nets and set (R69)", oneRule(src(intent.Entity{Nets: nets("10.1.0.0/24", "fd00::/64"), Sets: []intent.SetID{"s"}}), addrSet("s", 1, "198.51.100.0/24")), "tcp a > b:80 = b\ntcp out > b:80 = drop\ntcp c > b:80 = drop"},
		{"destination nets", oneRule(dst(0, intent.Entity{Nets: nets("10.1.0.2/32", "fd00::2/128")})), "tcp a > b:80 = b"},
		{"protocol", oneRule(intent.Rule{Protocol: udp}), "udp a > b:80 = b\ntcp a > b:80 = drop\nicmp 8/0 a > b = drop"},
		{"not a protocol", oneRule(intent.Rule{NotProtocol: udp}), "udp a > b:80 = drop\ntcp a > b:80 = b\nicmp 8/0 a > b = b"},
		{"any protocol by number", oneRule(intent.Rule{Protocol: 47}), "proto 47 a > b = b\nproto 50 a > b = drop"},
		{"IP version 4", oneRule(intent.Rule{IPVersion: 4}), "tcp a4 > b4:80 = b\ntcp a6 > b6:80 = drop"},
		{"IP version 6", oneRule(intent.Rule{IPVersion: 6}), "tcp a4 > b4:80 = drop\ntcp a6 > b6:80 = b"},
		{"ICMP type", oneRule(intent.Rule{Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 8}}), "icmp 8/0 a4 > b4 = b\nicmp 13/0 a4 > b4 = drop\nicmp 8/0 a6 > b6 = drop"},
		{"ICMP type and code", oneRule(intent.Rule{Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 8, HasCode: true, Code: 1}}), "icmp 8/1 a4 > b4 = b\nicmp 8/0 a4 > b4 = drop"},
		{"ICMPv6 type", oneRule(intent.Rule{Protocol: model.ProtoICMPv6, ICMP: model.ICMP{Set: true, Type: 128}}), "icmp 8/0 a6 > b6 = b\nicmp 8/0 a4 > b4 = drop"},
		{"not an ICMP type", oneRule(intent.Rule{Protocol: model.ProtoICMP, NotICMP: model.ICMP{Set: true, Type: 8}}), "icmp 8/0 a4 > b4 = drop\nicmp 13/0 a4 > b4 = b"},
		{"not an ICMP type and code", oneRule(intent.Rule{Protocol: model.ProtoICMP, NotICMP: model.ICMP{Set: true, Type: 8, HasCode: true, Code: 1}}), "icmp 8/1 a4 > b4 = drop\nicmp 8/0 a4 > b4 = b\nicmp 13/0 a4 > b4 = b"},
		{"not an ICMPv6 type and code", oneRule(intent.Rule{Protocol: model.ProtoICMPv6, NotICMP: model.ICMP{Set: true, Type: 128, HasCode: true, Code: 1}}), "icmp 128/1 a6 > b6 = drop\nicmp 128/0 a6 > b6 = b"},
		{"a rule that logs goes on (R23)", toB(ingress(intent.Rule{Action: log, Src: intent.Entity{Sets: []intent.SetID{"mixed"}}}, intent.Rule{Action: allow, Protocol: tcp}), mixed), "tcp a > b:80 = b\nudp a > b:80 = drop\ntcp c > b:80 = b"},
		{"first match decides (R23)", toB(ingress(intent.Rule{Action: deny, Protocol: tcp, Dst: intent.Entity{Ports: ports(22, 22)}}, intent.Rule{Action: allow, Protocol: tcp})), "tcp a > b:22 = drop\ntcp a > b:23 = b"},
	}
}

// tierCases is what policies and tiers make of rules.
func tierCases() []testCase {
	first := func(action model.Action, rules ...intent.Rule) []intent.Object {
		return []intent.Object{host(), open(), endpoint(1), policy("p", "first", rules, nil),
			policy("q", "default", []intent.Rule{{Action: allow, Protocol: tcp}}, nil), policy("r", "first", []intent.Rule{{Action: deny}}, nil),
			endpoint(2, tier("first", action, []string{"p"}, nil), tier("default", deny, []string{"q"}, nil))}
	}
	passOver := first(deny, intent.Rule{Action: pass, Protocol: tcp})
	passOver[len(passOver)-1] = endpoint(2, tier("first", deny, []string{"p", "r"}, nil), tier("default", deny, []string{"q"}, nil))
	staged := policy("s", "default", []intent.Rule{{Action: deny}}, nil)
	staged.Staged = model.StagedSet
	invalid := policy("p", "default", []intent.Rule{{Action: allow}}, nil)
	invalid.Invalid = "its selector cannot be parsed"
	return []testCase{
		{"two policies, first match (R23)", toB([]*intent.Policy{
			policy("p", "default", []intent.Rule{{Action: deny, Protocol: udp}}, nil), policy("q", "default", []intent.Rule{{Action: allow}}, nil)}),
			"udp a > b:80 = drop\ntcp a > b:80 = b"},
		{"end of a tier that denies (R24)", first(deny), "tcp a > b:80 = drop"},
		{"end of a tier that passes (R24)", first(pass), "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"Pass goes to the next tier (R23)", first(deny, intent.Rule{Action: pass, Protocol: tcp}), "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"Pass skips the rest of the tier (R23)", passOver, "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"Pass and then the next tier denies", first(deny, intent.Rule{Action: pass}), "udp a > b:80 = drop\ntcp a > b:80 = b"},
		{"Pass in the last tier: profiles (R25)", toB(ingress(intent.Rule{Action: pass, Protocol: tcp})), "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"last tier passes by default: profiles (R25)", []intent.Object{host(), open(), endpoint(1), policy("p", "base", []intent.Rule{{Action: deny, Protocol: udp}}, nil),
			endpoint(2, tier("base", pass, []string{"p"}, nil))}, "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"Pass twice in a row", []intent.Object{host(), open(), endpoint(1), policy("p", "first", []intent.Rule{{Action: pass}}, nil), policy("q", "second", []intent.Rule{{Action: pass, Protocol: tcp}}, nil),
			endpoint(2, tier("first", deny, []string{"p"}, nil), tier("second", deny, []string{"q"}, nil))}, "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"a direction without policies is open (R22)", []intent.Object{host(), open(), endpoint(1), policy("p", "default", nil, []intent.Rule{{Action: deny}}),
			endpoint(2, tier("default", deny, nil, []string{"p"}))}, "tcp a > b:80 = b\ntcp b > a:80 = drop"},
		{"a staged policy alone: the tier does not count (R24)", toB([]*intent.Policy{staged}), "tcp a > b:80 = b"},
		{"a staged policy beside another", toB([]*intent.Policy{staged, policy("q", "default", []intent.Rule{{Action: allow, Protocol: tcp}}, nil)}), "tcp a > b:80 = b\nudp a > b:80 = drop"},
		{"a policy that is not known denies", []intent.Object{host(), open(), endpoint(1), endpoint(2, tier("default", pass, []string{"lost"}, nil))}, "tcp a > b:80 = drop\ntcp b > a:80 = a"},
		{"an invalid policy isolates", toB([]*intent.Policy{invalid}), "tcp a > b:80 = drop\ntcp b > a:80 = a"},
	}
}
