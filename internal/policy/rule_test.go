package policy

import (
	"net/netip"
	"testing"

	"github.com/tortie-net/tortie/internal/model"
)

func nets(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func numbers(ranges ...uint16) []model.Port {
	var list []model.Port
	for i := 0; i < len(ranges); i += 2 {
		list = append(list, model.Port{Min: ranges[i], Max: ranges[i+1]})
	}
	return list
}

func icmp(proto, typ, code uint8) model.Packet {
	p := tcp("10.0.0.2", "10.0.0.1", 0)
	if proto == model.ProtoICMPv6 {
		p = tcp("fd00::2", "fd00::1", 0)
	}
	p.Proto, p.SrcPort, p.ICMPType, p.ICMPCode = proto, 0, typ, code
	return p
}

func with(p model.Packet, proto uint8) model.Packet { p.Proto = proto; return p }

// surroundings is what rules refer to: pods web and peer, a host, network sets, a service.
func surroundings() []model.Update {
	port := func(name string, proto uint8, number uint16) model.NamedPort {
		return model.NamedPort{Name: name, Protocol: proto, Port: number}
	}
	w := pod(web, map[string]string{"app": "web", model.LabelNamespace: "ns"}, []string{"kns.ns"}, "10.0.0.1", "fd00::1")
	w.Value.(*model.WorkloadEndpoint).Ports = []model.NamedPort{port("http", model.ProtoTCP, 80), port("dns", model.ProtoUDP, 53)}
	q := pod(peer, map[string]string{"app": "peer", model.LabelNamespace: "other"}, []string{"kns.other"}, "10.0.0.2", "fd00::2")
	q.Value.(*model.WorkloadEndpoint).Ports = []model.NamedPort{port("http", model.ProtoTCP, 8080), port("out", model.ProtoTCP, 40000)}
	set := func(kind model.Kind, ns, name string, profiles []string, list ...string) model.Update {
		labels := map[string]string{"set": name}
		if ns != "" {
			labels[model.LabelNamespace] = ns
		}
		key := model.Key{Kind: kind, Namespace: ns, Name: name}
		return model.Update{Key: key, Value: &model.NetworkSet{Key: key, Labels: labels, Profiles: profiles, Nets: nets(list...)}}
	}
	return []model.Update{
		w, q, namespace("ns", map[string]string{"env": "prod"}), namespace("other", nil),
		{Key: host, Value: &model.HostEndpoint{
			Name: "host", Labels: map[string]string{"role": "gw"}, ExpectedIPs: []netip.Addr{netip.MustParseAddr("172.16.0.1")},
			Ports: []model.NamedPort{port("ssh", model.ProtoTCP, 22)},
		}},
		set(model.KindNetworkSet, "ns", "local", []string{"kns.ns"}, "198.51.100.0/24", "2001:db8::/32"),
		set(model.KindGlobalNetworkSet, "", "global", nil, "203.0.113.0/24"),
		{Key: model.Key{Kind: model.KindEndpointSlice, Namespace: "ns", Name: "svc-1"}, Value: &model.EndpointSlice{
			Namespace: "ns", Name: "svc-1", Service: "svc", Ready: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
			Ports: []model.NamedPort{port("", model.ProtoTCP, 80), port("", model.ProtoSCTP, 0)},
		}},
		{Key: model.Key{Kind: model.KindEndpointSlice, Namespace: "ns", Name: "svc-2"}, Value: &model.EndpointSlice{
			Namespace: "ns", Name: "svc-2", Service: "svc", Ready: []netip.Addr{netip.MustParseAddr("10.0.0.3")},
			Ports: []model.NamedPort{port("", model.ProtoTCP, 81)},
		}},
	}
}

func TestRules(t *testing.T) {
	src := func(e model.Entity) model.Rule { return model.Rule{Src: e} }
	dst := func(e model.Entity) model.Rule { return model.Rule{Dst: e} }
	onTCP := func(r model.Rule) model.Rule { r.Protocol = model.ProtoTCP; return r }
	named := func(name string) []model.Port { return []model.Port{{Name: name}} }
	v6 := tcp("fd00::2", "fd00::1", 80)
	from := func(addr string) model.Packet { return tcp(addr, "10.0.0.1", 80) }
	to := func(addr string, port uint16) model.Packet { return tcp("10.0.0.2", addr, port) }
	echo := icmp(model.ProtoICMP, 8, 0)

	for _, c := range []struct {
		name   string
		rule   model.Rule
		packet model.Packet
		want   bool
	}{
		{"R69 empty rule", model.Rule{}, toWeb, true},
		{"R69 nets", src(model.Entity{Nets: nets("192.0.2.0/24", "10.0.0.2/32")}), toWeb, true},
		{"R69 nets, outside", src(model.Entity{Nets: nets("192.0.2.0/24")}), toWeb, false},
		{"R69 notNets", src(model.Entity{NotNets: nets("10.0.0.2/32")}), toWeb, false},
		{"R69 notNets, outside", src(model.Entity{NotNets: nets("10.0.0.3/32")}), toWeb, true},
		{"R69 nets and notNets", src(model.Entity{Nets: nets("10.0.0.0/24"), NotNets: nets("10.0.0.2/32")}), toWeb, false},
		{"R69 nets and selector", src(model.Entity{Nets: nets("10.0.0.0/24"), Selector: sel("app == 'x'")}), toWeb, false},
		{"R69 both sides", model.Rule{Src: model.Entity{Nets: nets("10.0.0.2/32")}, Dst: model.Entity{Nets: nets("10.0.0.9/32")}}, toWeb, false},

		{"R90 version 4", model.Rule{IPVersion: 4}, toWeb, true},
		{"R90 version 4, packet 6", model.Rule{IPVersion: 4}, v6, false},
		{"R90 version 6", model.Rule{IPVersion: 6}, v6, true},
		{"R90 version 6, packet 4", model.Rule{IPVersion: 6}, toWeb, false},
		{"R90 nets of the other family", dst(model.Entity{Nets: nets("10.0.0.0/8")}), v6, false},
		{"R90 notNets of the other family", dst(model.Entity{NotNets: nets("10.0.0.0/8")}), v6, false},
		{"R90 notNets of the other family, source", src(model.Entity{NotNets: nets("2001:db8::/32")}), toWeb, false},
		{"R90 notNets of both", dst(model.Entity{NotNets: nets("10.0.0.0/8", "2001:db8::/32")}), v6, true},
		{"R91 notNets of everything", src(model.Entity{NotNets: nets("0.0.0.0/0")}), toWeb, false},

		{"protocol", model.Rule{Protocol: model.ProtoTCP}, toWeb, true},
		{"protocol, other", model.Rule{Protocol: model.ProtoUDP}, toWeb, false},
		{"notProtocol", model.Rule{NotProtocol: model.ProtoTCP}, toWeb, false},
		{"notProtocol, other", model.Rule{NotProtocol: model.ProtoUDP}, toWeb, true},
		{"R93 type", model.Rule{Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 8}}, echo, true},
		{"R93 other type", model.Rule{Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 0}}, echo, false},
		{"R93 type and code", model.Rule{Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 3, HasCode: true, Code: 4}}, icmp(1, 3, 4), true},
		{"R93 type, other code", model.Rule{Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 3, HasCode: true, Code: 4}}, icmp(1, 3, 1), false},
		{"R93 notICMP", model.Rule{Protocol: model.ProtoICMP, NotICMP: model.ICMP{Set: true, Type: 8}}, echo, false},
		{"R93 notICMP, other code", model.Rule{Protocol: model.ProtoICMP, NotICMP: model.ICMP{Set: true, Type: 8, HasCode: true, Code: 1}}, echo, true},
		{"R93 ICMPv6", model.Rule{Protocol: model.ProtoICMPv6, ICMP: model.ICMP{Set: true, Type: 128}}, icmp(58, 128, 0), true},
		{"R93 ICMP is not TCP", model.Rule{ICMP: model.ICMP{Set: true}}, toWeb, false},
		{"R93 notICMP is not TCP", model.Rule{NotICMP: model.ICMP{Set: true}}, toWeb, false},
		{"R95 annotations alone match", model.Rule{Annotations: map[string]string{"a": "b"}}, toWeb, true},

		{"R66 selector, workload", src(model.Entity{Selector: sel("app == 'peer'")}), toWeb, true},
		{"R94 selector, IPv6", src(model.Entity{Selector: sel("app == 'peer'")}), v6, true},
		{"R66 selector, other", src(model.Entity{Selector: sel("app == 'web'")}), toWeb, false},
		{"R66 selector, host", src(model.Entity{Selector: sel("role == 'gw'")}), from("172.16.0.1"), true},
		{"R66 selector, network set", src(model.Entity{Selector: sel("set == 'global'")}), from("203.0.113.7"), true},
		{"R66 all() is known addresses only", src(model.Entity{Selector: sel("all()")}), from("192.0.2.1"), false},
		{"R66 all(), host", src(model.Entity{Selector: sel("all()")}), from("172.16.0.1"), true},
		{"R67 every namespace", src(model.Entity{Selector: sel("has(app)")}), toWeb, true},
		{"R65 folded notSelector", src(model.Entity{Selector: sel("has(app) && !(app == 'peer')")}), toWeb, false},
		{"R65 notSelector alone", src(model.Entity{NotSelector: sel("app == 'peer'")}), toWeb, false},
		{"R65 notSelector alone, unknown address", src(model.Entity{NotSelector: sel("app == 'peer'")}), from("192.0.2.1"), true},
		{"R64 own namespace besides notSelector", src(model.Entity{Selector: sel("projectcalico.org/namespace == 'ns' && !(app == 'x')")}), from("192.0.2.1"), false},
		{"R72 negative namespace selector, host", src(model.Entity{Selector: sel("pcns.env != 'prod'")}), from("172.16.0.1"), true},
		{"R72 negative namespace selector, global set", src(model.Entity{Selector: sel("pcns.env != 'prod'")}), from("203.0.113.7"), true},
		{"R72 negative namespace selector, in it", src(model.Entity{Selector: sel("pcns.env != 'prod'")}), from("10.0.0.1"), false},
		{"R73 network set inherits namespace labels", src(model.Entity{Selector: sel("pcns.env == 'prod' && set == 'local'")}), from("198.51.100.1"), true},
		{"R73 global network set has none", src(model.Entity{Selector: sel("has(pcns.projectcalico.org/name)")}), from("203.0.113.7"), false},

		{"R70 service, address and port", dst(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), toWeb, true},
		{"R70 service, second slice", dst(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), to("10.0.0.3", 81), true},
		{"R70 service, port of the other slice", dst(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), to("10.0.0.1", 81), false},
		{"R70 service, other protocol", dst(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), with(toWeb, model.ProtoUDP), false},
		{"R70 service, port without number", dst(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), with(to("10.0.0.1", 0), model.ProtoSCTP), false},
		{"R70 service, other namespace", dst(model.Entity{Service: &model.ServiceRef{Namespace: "other", Name: "svc"}}), toWeb, false},
		{"R70 service as source: addresses", src(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), from("10.0.0.3"), true},
		{"R70 service as source, other address", src(model.Entity{Service: &model.ServiceRef{Namespace: "ns", Name: "svc"}}), toWeb, false},

		{"R80 port", onTCP(dst(model.Entity{Ports: numbers(79, 79, 80, 80)})), toWeb, true},
		{"R80 lower end", onTCP(dst(model.Entity{Ports: numbers(80, 90)})), toWeb, true},
		{"R80 upper end", onTCP(dst(model.Entity{Ports: numbers(70, 80)})), toWeb, true},
		{"R80 outside", onTCP(dst(model.Entity{Ports: numbers(81, 90)})), toWeb, false},
		{"R80 source port", onTCP(src(model.Entity{Ports: numbers(40000, 40000)})), toWeb, true},
		{"R80 port and protocol", onTCP(dst(model.Entity{Ports: numbers(80, 80)})), with(toWeb, model.ProtoUDP), false},
		{"R80 number or name", onTCP(dst(model.Entity{Ports: append(numbers(1, 2), named("http")...)})), toWeb, true},
		{"R81 name", onTCP(dst(model.Entity{Ports: named("http")})), toWeb, true},
		{"R81 name, IPv6", onTCP(dst(model.Entity{Ports: named("http")})), v6, true},
		{"R81 number of another pod", onTCP(dst(model.Entity{Ports: named("http")})), to("10.0.0.1", 8080), false},
		{"R81 same name, other number", onTCP(dst(model.Entity{Ports: named("http")})), tcp("10.0.0.1", "10.0.0.2", 8080), true},
		{"R81 name, unknown address", onTCP(dst(model.Entity{Ports: named("http")})), to("192.0.2.1", 80), false},
		{"R81 name of a host's port", onTCP(dst(model.Entity{Ports: named("ssh")})), to("172.16.0.1", 22), true},
		{"R81 name, not selected", onTCP(dst(model.Entity{Selector: sel("app == 'peer'"), Ports: named("http")})), toWeb, false},
		{"R81 name of a source port", onTCP(src(model.Entity{Ports: named("out")})), toWeb, true},
		{"R82 name without protocol", dst(model.Entity{Ports: named("dns")}), with(to("10.0.0.1", 53), model.ProtoUDP), true},
		{"R82 name without protocol, other protocol", dst(model.Entity{Ports: named("dns")}), to("10.0.0.1", 53), false},
		{"R83 numbers match no ICMP", dst(model.Entity{Ports: numbers(0, 65535)}), echo, false},
		{"R83 notPorts match no ICMP", dst(model.Entity{NotPorts: numbers(80, 80)}), echo, false},
		{"R84 notPorts", onTCP(dst(model.Entity{NotPorts: numbers(80, 80)})), toWeb, false},
		{"R84 notPorts, other", onTCP(dst(model.Entity{NotPorts: numbers(81, 90)})), toWeb, true},
		{"R84 notPorts, name", onTCP(dst(model.Entity{NotPorts: append(numbers(1, 2), named("http")...)})), toWeb, false},
		{"R84 named notPorts only of what is selected", onTCP(dst(model.Entity{Selector: sel("app == 'web'"), NotPorts: named("http")})), to("10.0.0.1", 81), true},
		{"R84 named notPorts, not selected", onTCP(dst(model.Entity{Selector: sel("app == 'web'"), NotPorts: named("http")})), tcp("10.0.0.1", "10.0.0.2", 81), false},
		{"R85 number and selector", onTCP(dst(model.Entity{Selector: sel("app == 'peer'"), Ports: append(numbers(80, 80), named("http")...)})), toWeb, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rule.Action = model.Allow
			objects := append(surroundings(), policyIn("t", "p", 1, nil, c.rule))
			verdict, steps := New(objects).Trace(web, model.Ingress, c.packet)
			if verdict.Allowed != c.want {
				t.Errorf("matches: %t, want %t; steps %v", verdict.Allowed, c.want, steps)
			}
		})
	}
}

// R68: an address is selected until the last that shares it is not.
func TestSharedAddress(t *testing.T) {
	rule := model.Rule{Action: model.Allow, Src: model.Entity{Selector: sel("app == 'peer'")}}
	twin := model.Key{Kind: model.KindPod, Namespace: "ns", Name: "twin"}
	objects := append(surroundings(), policyIn("t", "p", 1, nil, rule), pod(twin, map[string]string{"app": "peer"}, nil, "10.0.0.2"))
	if !New(append(objects, model.Update{Key: peer})).Verdict(web, model.Ingress, toWeb).Allowed {
		t.Error("the address left the selection although a selected pod still has it")
	}
	if New(append(objects, model.Update{Key: peer}, model.Update{Key: twin})).Verdict(web, model.Ingress, toWeb).Allowed {
		t.Error("the address is selected although nobody has it")
	}
}

// R81, R84: where two endpoints share an address, only the selected one's named ports count.
func TestNamedPortOfTheUnselected(t *testing.T) {
	twin := pod(model.Key{Kind: model.KindPod, Namespace: "ns", Name: "twin"}, map[string]string{"app": "twin"}, nil, "10.0.0.1")
	name := []model.Port{{Name: "http"}} // web's
	for _, c := range []struct {
		side model.Entity
		want bool
	}{
		{model.Entity{Selector: sel("app == 'web'"), Ports: name}, true},
		{model.Entity{Selector: sel("app == 'twin'"), Ports: name}, false},
		{model.Entity{Selector: sel("app == 'web'"), NotPorts: name}, false},
		{model.Entity{Selector: sel("app == 'twin'"), NotPorts: name}, true},
	} {
		rule := model.Rule{Action: model.Allow, Protocol: model.ProtoTCP, Dst: c.side}
		cluster := New(append(surroundings(), twin, policyIn("t", "p", 1, nil, rule)))
		if got := cluster.Verdict(web, model.Ingress, toWeb).Allowed; got != c.want {
			t.Errorf("%v with ports %v and notPorts %v: %t, want %t", c.side.Selector, c.side.Ports, c.side.NotPorts, got, c.want)
		}
	}
}
