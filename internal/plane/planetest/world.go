package planetest

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane"
)

// Policer is what the contract is about: a policy plane.
type Policer interface {
	plane.Plane
	plane.Watcher
	// CloseFirst makes the plane's objects, if none are there, with no more than the drop for unknown interfaces.
	CloseFirst(ctx context.Context, prefixes []string) error
	// RulePackets is how many packets each rule has matched.
	RulePackets() (map[intent.RuleID]uint64, error)
	// Close ends the plane and leaves what it made: an agent that stops.
	Close() error
}

// Damage is something that somebody else may do to the plane's objects.
type Damage struct {
	Name string
	Do   func(t testing.TB, ns *kernel.Namespace)
}

// Subject is a plane under test.
type Subject struct {
	Open   func(t testing.TB, ns *kernel.Namespace) Policer
	Damage []Damage
}

// world is a lab with three workloads a, b and c on interfaces cali1 to cali3, an interface cali9 that no endpoint has
// (u), the host itself, and the world outside (out). Each has an address of both families.
type world struct {
	*Lab
	names   map[string]place
	sources uint16
}

type place struct {
	port string
	addr [2]netip.Addr
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{Lab: NewLab(t), names: map[string]place{
		"host": {"host", [2]netip.Addr{HostIPv4, HostIPv6}},
		"out":  {"eth0", [2]netip.Addr{Outside4, Outside6}},
	}, sources: 20000}
	for name, n := range map[string]int{"a": 1, "b": 2, "c": 3, "u": 9} {
		addrs := [2]netip.Addr{addr4(n), addr6(n)}
		w.names[name] = place{fmt.Sprintf("cali%d", n), addrs}
		w.AddPort(t, w.names[name].port, addrs[:]...)
	}
	return w
}

func addr4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}) }

func addr6(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(n >> 8), 15: byte(n)})
}

// expectation is one probe in words: "tcp a > b:80 = b". Both families are tried, unless a name ends in 4 or 6.
//
//	[via c] tcp|udp|sctp a[:port] > b:port = b|drop|reject|out as host
//	[via c] icmp TYPE/CODE a > b = …       (8 is 128 in IPv6)
//	[via c] proto N a > b = …
type expectation struct {
	text   string
	probe  Probe
	to     string
	as     netip.Addr
	reject bool
}

// expect reads expectations, one a line.
func (w *world) expect(t testing.TB, text string) []expectation {
	t.Helper()
	var out []expectation
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		for family := range 2 {
			e, ok, err := w.parseLine(line, family)
			if err != nil {
				t.Fatalf("expectation %q: %v", line, err)
			}
			if ok {
				out = append(out, e)
			}
		}
	}
	return out
}

func (w *world) parseLine(line string, family int) (expectation, bool, error) {
	e := expectation{text: fmt.Sprintf("%s (IPv%d)", line, 4+2*family)}
	left, right, ok := strings.Cut(line, " = ")
	words := strings.Fields(left)
	via := ""
	if ok && words[0] == "via" {
		via, words = words[1], words[2:]
	}
	p := &e.probe.Packet
	kind := words[0]
	words = words[1:]
	var fields []string
	if kind == "icmp" || kind == "proto" {
		fields, words = strings.Split(words[0], "/"), words[1:]
	}
	if !ok || len(words) != 3 || words[1] != ">" {
		return e, false, fmt.Errorf("not of the form: tcp a > b:80 = b")
	}
	src, srcPort, okSrc := w.place(words[0], family)
	dst, dstPort, okDst := w.place(words[2], family)
	if !okSrc || !okDst {
		return e, false, nil
	}
	p.Src, p.Dst, p.SrcPort, p.DstPort = src.addr[family], dst.addr[family], srcPort, dstPort
	if p.SrcPort == 0 {
		w.sources++
		p.SrcPort = w.sources
	}
	if err := setProtocol(p, kind, fields, family); err != nil {
		return e, false, err
	}
	if via == "" {
		e.probe.From = w.Port(src.port)
	} else {
		e.probe.From = w.Port(w.names[via].port)
	}
	to, as, _ := strings.Cut(right, " as ")
	switch to {
	case "drop":
	case "reject":
		e.reject = true
	default:
		e.to = w.names[to].port
	}
	if as != "" {
		e.as = w.names[as].addr[family]
	}
	return e, true, nil
}

// Port is the port of that name, nil if there is none.
func (l *Lab) Port(name string) *Port {
	for _, p := range l.ports {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func setProtocol(p *model.Packet, kind string, fields []string, family int) error {
	var numbers []uint8
	for _, f := range fields {
		n, err := strconv.ParseUint(f, 10, 8)
		if err != nil {
			return err
		}
		numbers = append(numbers, uint8(n))
	}
	switch kind {
	case "tcp":
		p.Proto = model.ProtoTCP
	case "udp":
		p.Proto = model.ProtoUDP
	case "sctp":
		p.Proto = model.ProtoSCTP
	case "proto":
		p.Proto = numbers[0]
	case "icmp":
		p.Proto, p.ICMPType, p.ICMPCode = model.ProtoICMP, numbers[0], numbers[1]
		if family == 1 {
			p.Proto = model.ProtoICMPv6
			if p.ICMPType == 8 {
				p.ICMPType = 128
			}
		}
	default:
		return fmt.Errorf("unknown protocol %q", kind)
	}
	return nil
}

// place reads "a", "a:80" or "a4"; false if it is not of the family.
func (w *world) place(text string, family int) (place, uint16, bool) {
	name, portText, _ := strings.Cut(text, ":")
	port, _ := strconv.ParseUint(portText, 10, 16)
	if trimmed, only := strings.CutSuffix(name, "4"); only {
		return w.names[trimmed], uint16(port), family == 0
	}
	if trimmed, only := strings.CutSuffix(name, "6"); only {
		return w.names[trimmed], uint16(port), family == 1
	}
	return w.names[name], uint16(port), true
}

// check sends what is expected of and compares.
func (w *world) check(t testing.TB, text string) {
	t.Helper()
	list := w.expect(t, text)
	probes := make([]Probe, len(list))
	for i, e := range list {
		probes[i] = e.probe
	}
	for i, got := range w.Send(t, probes...) {
		e := list[i]
		if got.To != e.to || got.Rejected != e.reject && e.to != "host" || e.as.IsValid() && got.Src != e.as {
			t.Errorf("%s: got to %q from %v, rejected %v", e.text, got.To, got.Src, got.Rejected)
		}
	}
}

// apply gives the plane objects as the whole intent's changes.
func apply(t testing.TB, p Policer, objects ...intent.Object) {
	t.Helper()
	if err := p.Apply(context.Background(), changes(objects), true); err != nil {
		t.Fatalf("apply: %v", err)
	}
	if s := p.Status(); s.Pending != 0 || len(s.Failures) != 0 {
		t.Fatalf("after apply: %d pending, failures %v", s.Pending, s.Failures)
	}
}

func changes(objects []intent.Object) []intent.KernelChange {
	out := make([]intent.KernelChange, len(objects))
	for i, o := range objects {
		out[i] = intent.KernelChange{Ref: o.Ref(), Object: o}
	}
	return out
}

func remove(t testing.TB, p Policer, refs ...intent.Ref) {
	t.Helper()
	var list []intent.KernelChange
	for _, r := range refs {
		list = append(list, intent.KernelChange{Ref: r})
	}
	if err := p.Apply(context.Background(), list, true); err != nil {
		t.Fatalf("apply removal: %v", err)
	}
}

// The objects of cases.

func host(edit ...func(*intent.Host)) *intent.Host {
	h := &intent.Host{Config: intent.Config{IPv6: true, EndpointToHost: intent.EndpointToHostAccept}}
	for _, f := range edit {
		f(h)
	}
	return h
}

// policy is a network policy of namespace n; its rules get identities.
func policy(name, tier string, ingress, egress []intent.Rule) *intent.Policy {
	p := &intent.Policy{Key: model.Key{Kind: model.KindNetworkPolicy, Namespace: "n", Name: name}, Tier: tier, Ingress: ingress, Egress: egress}
	p.ID = p.Key.String()
	number(p.ID+" in", ingress)
	number(p.ID+" out", egress)
	return p
}

func number(owner string, rules []intent.Rule) {
	for i := range rules {
		rules[i].Index = i
		rules[i].ID = ruleID(owner, i)
	}
}

func ruleID(owner string, index int) intent.RuleID {
	h := uint64(14695981039346656037)
	for _, b := range []byte(owner + strconv.Itoa(index)) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return intent.RuleID(h)
}

func refID(name string) string { return "NetworkPolicy/n/" + name }

// tier names policies for both directions.
func tier(name string, end model.Action, ingress, egress []string) intent.Tier {
	t := intent.Tier{Name: name, DefaultAction: end}
	for _, p := range ingress {
		t.Ingress = append(t.Ingress, refID(p))
	}
	for _, p := range egress {
		t.Egress = append(t.Egress, refID(p))
	}
	return t
}

// open is the profile that allows everything.
func open() *intent.Profile {
	p := &intent.Profile{ID: "open", Ingress: []intent.Rule{{Action: model.Allow}}, Egress: []intent.Rule{{Action: model.Allow}}}
	number("open in", p.Ingress)
	number("open out", p.Egress)
	return p
}

// endpoint is one of a, b, c with tiers and the profile open.
func endpoint(n int, tiers ...intent.Tier) *intent.LocalEndpoint {
	return &intent.LocalEndpoint{
		ID: fmt.Sprintf("k8s/n/w%d/eth0", n), Interface: fmt.Sprintf("cali%d", n),
		Addresses: []netip.Addr{addr4(n), addr6(n)}, Tiers: tiers, Profiles: []string{"open"},
	}
}

// addrSet is a set of workloads' addresses (numbers) and prefixes (texts).
func addrSet(id string, members ...any) *intent.Set {
	s := &intent.Set{ID: intent.SetID(id), Type: intent.SetAddrs}
	for _, m := range members {
		switch m := m.(type) {
		case int:
			s.Members = append(s.Members, intent.Member{Prefix: netip.PrefixFrom(addr4(m), 32)}, intent.Member{Prefix: netip.PrefixFrom(addr6(m), 128)})
		case string:
			s.Members = append(s.Members, intent.Member{Prefix: netip.MustParsePrefix(m)})
		}
	}
	return s
}

func portSet(id string, proto uint8, port uint16, workloads ...int) *intent.Set {
	s := &intent.Set{ID: intent.SetID(id), Type: intent.SetAddrPorts}
	for _, n := range workloads {
		for _, a := range []netip.Addr{addr4(n), addr6(n)} {
			s.Members = append(s.Members, intent.Member{Prefix: netip.PrefixFrom(a, a.BitLen()), Proto: proto, Port: port})
		}
	}
	return s
}

func nets(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func ports(pairs ...uint16) (out []intent.PortRange) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, intent.PortRange{Min: pairs[i], Max: pairs[i+1]})
	}
	return out
}
