package nft

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/kernel/nftnl"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/plane/planetest"
)

func newNamespace(t testing.TB) *kernel.Namespace {
	t.Helper()
	ns, err := kernel.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

func open(t testing.TB, ns *kernel.Namespace) *Plane {
	t.Helper()
	p, err := New(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// nftCommand runs nft as a user would.
func nftCommand(t testing.TB, ns *kernel.Namespace, args ...string) string {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command("nft", args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func change(objects ...intent.Object) []intent.KernelChange {
	var out []intent.KernelChange
	for _, o := range objects {
		out = append(out, intent.KernelChange{Ref: o.Ref(), Object: o})
	}
	return out
}

func apply(t testing.TB, p *Plane, objects ...intent.Object) {
	t.Helper()
	if err := p.Apply(context.Background(), change(objects...), true); err != nil {
		t.Fatal(err)
	}
}

func members(prefixes ...string) []intent.Member {
	var out []intent.Member
	for _, s := range prefixes {
		out = append(out, intent.Member{Prefix: netip.MustParsePrefix(s)})
	}
	return out
}

// everything is an intent that uses every field of a rule.
func everything() []intent.Object {
	nets := func(list ...string) (out []netip.Prefix) {
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	rules := []intent.Rule{
		{ID: 1, Index: 0, Action: model.Allow, Protocol: model.ProtoTCP, Src: intent.Entity{Sets: []intent.SetID{"clients"}},
			Dst: intent.Entity{Ports: []intent.PortRange{{Min: 80, Max: 80}, {Min: 8000, Max: 8100}}, PortSets: []intent.SetID{"web-ports"}}},
		{ID: 2, Index: 1, Action: model.Deny, Src: intent.Entity{Nets: nets("10.0.0.0/8", "192.168.0.0/16", "fd00::/8"), NotNets: nets("10.1.2.3/32", "fd00::1/128")}},
		{ID: 3, Index: 2, Action: model.Log, Src: intent.Entity{Sets: []intent.SetID{"mixed"}, NotSets: []intent.SetID{"clients"}}},
		{ID: 4, Index: 3, Action: model.Pass, Protocol: model.ProtoICMP, ICMP: model.ICMP{Set: true, Type: 8}, NotICMP: model.ICMP{Set: true, Type: 8, HasCode: true, Code: 3}},
		{ID: 5, Index: 4, Action: model.Allow, Protocol: model.ProtoUDP, Src: intent.Entity{NotPorts: []intent.PortRange{{Min: 1, Max: 9}}, Ports: []intent.PortRange{{Min: 5, Max: 5}}},
			Dst: intent.Entity{NotPorts: []intent.PortRange{{Min: 7, Max: 7}, {Min: 10, Max: 20}}, NotPortSets: []intent.SetID{"web-ports"}}},
		{ID: 6, Index: 5, Action: model.Allow, NotProtocol: model.ProtoTCP, IPVersion: 4, Dst: intent.Entity{Nets: nets("0.0.0.0/0")}},
		{ID: 7, Index: 6, Action: model.Allow},
	}
	tiers := []intent.Tier{
		{Name: "security", DefaultAction: model.Pass, Ingress: []string{"NetworkPolicy/ns1/np1"}},
		{Name: "default", DefaultAction: model.Deny, Ingress: []string{"NetworkPolicy/ns1/np1"}, Egress: []string{"NetworkPolicy/ns1/np1"}},
	}
	return []intent.Object{
		&intent.Host{Config: intent.Config{InterfacePrefixes: []string{"cali", "tap"}, LogPrefix: "%t %k %n %p", LogRate: "10/minute", LogBurst: 3,
			NATExcludeHosts: true, NATPortRange: intent.PortRange{Min: 2000, Max: 3000}, WorkloadSourceSpoofAny: true,
			NATOutgoingAddress: netip.MustParseAddr("192.0.2.9")}},
		&intent.Set{ID: "clients", Type: intent.SetAddrs, Members: members("10.1.0.1/32", "10.1.0.2/32", "fd00::2/128")},
		&intent.Set{ID: "mixed", Type: intent.SetAddrs, Members: members("10.2.0.0/16", "10.2.3.0/24", "10.3.0.0/17", "10.3.128.0/17", "10.9.0.1/32", "fd01::/16", "224.0.0.0/3", "ff00::/8", "fe00::/8")},
		&intent.Set{ID: "web-ports", Type: intent.SetAddrPorts, Members: []intent.Member{
			{Prefix: netip.MustParsePrefix("10.1.0.1/32"), Proto: 6, Port: 8080}, {Prefix: netip.MustParsePrefix("fd00::2/128"), Proto: 17, Port: 53}}},
		&intent.Set{ID: intent.SetMasqueradePools, Type: intent.SetAddrs, Members: members("10.1.0.0/16", "10.8.0.1/32", "fd00::/64")},
		&intent.Set{ID: intent.SetAllPools, Type: intent.SetAddrs, Members: members("10.0.0.0/8", "10.1.0.0/16", "fd00::/64")},
		&intent.Set{ID: intent.SetHosts, Type: intent.SetAddrs, Members: members("192.0.2.1/32")},
		&intent.Policy{ID: "NetworkPolicy/ns1/np1", Key: model.Key{Kind: model.KindNetworkPolicy, Namespace: "ns1", Name: "np1"}, Tier: "default", Ingress: rules, Egress: rules[:2]},
		&intent.Profile{ID: "kns.ns1", Ingress: []intent.Rule{{ID: 20, Action: model.Allow}}, Egress: []intent.Rule{{ID: 21, Action: model.Allow}}},
		&intent.LocalEndpoint{ID: "ep1", Interface: "cali1", Tiers: tiers, Profiles: []string{"kns.ns1"}, SourcePrefixes: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("fd99::/64")}},
		&intent.LocalEndpoint{ID: "ep2", Interface: "cali2", Tiers: tiers, Profiles: []string{"kns.ns1"}},
	}
}

// What nft prints of the table is what nft itself would make: loaded elsewhere, it prints the same.
func TestReadsWell(t *testing.T) {
	ns, other := newNamespace(t), newNamespace(t)
	p := open(t, ns)
	apply(t, p, everything()...)
	text := nftCommand(t, ns, "list", "ruleset")
	file := filepath.Join(t.TempDir(), "ruleset.nft")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nftCommand(t, other, "-f", file)
	if diff := cmp.Diff(text, nftCommand(t, other, "list", "ruleset")); diff != "" {
		t.Errorf("nft does not read back what it prints (-printed +read back):\n%s", diff)
	}
	for _, want := range []string{
		`ip saddr @s/clients.4 tcp dport @ports-`, `fib saddr . iif oif exists accept`, `jump ingress/NetworkPolicy/ns1/np1`,
		`comment "NetworkPolicy/ns1/np1 ingress 0 0000000000000001 `, `log prefix "default NetworkPolicy np1 ns1/np1: "`,
		`"cali1" : jump to/ns1/np1-`, `masquerade to :2000-3000`, `snat ip to 192.0.2.9:2000-3000`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the ruleset does not say %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "chain" || f[0] == "set" || f[0] == "map") && strings.HasPrefix(f[1], "cali") {
			t.Errorf("a name begins with cali: %s", line)
		}
	}
}

// Another table, and what others have in ours beside, never changes by what we do to ours.
func TestForeignTablesStay(t *testing.T) {
	ns := newNamespace(t)
	nftCommand(t, ns, "add table ip kube-proxy; add chain ip kube-proxy services; add rule ip kube-proxy services ip daddr 10.96.0.1 accept; add table ip tortie; add set ip tortie x { type ipv4_addr; }")
	before := nftCommand(t, ns, "list", "table", "ip", "kube-proxy") + nftCommand(t, ns, "list", "table", "ip", "tortie")
	p := open(t, ns)
	apply(t, p, everything()...)
	nftCommand(t, ns, "add chain inet tortie forward-to { type filter hook forward priority 1; policy drop; }")
	nftCommand(t, ns, "delete table inet tortie")
	if err := p.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	apply(t, p)
	if after := nftCommand(t, ns, "list", "table", "ip", "kube-proxy") + nftCommand(t, ns, "list", "table", "ip", "tortie"); after != before {
		t.Errorf("foreign tables changed:\n%s", cmp.Diff(before, after))
	}
}

// What the kernel refuses stops nothing else, and stays closed.
func TestRefused(t *testing.T) {
	ns := newNamespace(t)
	p := open(t, ns)
	apply(t, p, &intent.Host{})
	p.rules.desireChain("ingress/bad", &chain{rules: []rule{{match: nftnl.Lookup(nftnl.Reg, "no-such-set", false), action: decide(nftnl.Accept), label: "bad"}}})
	err := p.Apply(context.Background(), change(everything()...), true)
	var refused *nftnl.Error
	if !errors.As(err, &refused) || refused.Kind != "rule" || refused.Name != "ingress/bad" || !errors.Is(err, unix.ENOENT) {
		t.Fatalf("error %v, want one that names rule, chain and reason", err)
	}
	text := nftCommand(t, ns, "list", "ruleset")
	if !strings.Contains(text, "chain to/ns1/np1-") {
		t.Error("the other objects are not there")
	}
	bad := nftCommand(t, ns, "list", "chain", "inet", "tortie", "ingress/bad")
	if !strings.Contains(bad, "drop") || strings.Contains(bad, "accept") {
		t.Errorf("the refused chain must drop:\n%s", bad)
	}
	if s := p.Status(); s.Failures["ingress/bad"] == "" || s.Pending == 0 {
		t.Errorf("status: %d pending, failures %v", s.Pending, s.Failures)
	}
	before := p.Status().Writes
	apply(t, p, &intent.SetDelta{ID: "clients", Add: members("10.1.0.77/32")})
	if n := p.Status().Writes - before; n != 1 {
		t.Errorf("a member cost %d messages beside a refused chain, want 1", n)
	}
	if err := p.Apply(context.Background(), nil, true); err == nil {
		t.Error("a repeated Apply must try the refused chain again, and say so")
	}
	p.rules.desireChain("ingress/bad", &chain{})
	apply(t, p)
	if s := p.Status(); len(s.Failures) != 0 || s.Pending != 0 {
		t.Errorf("after mending: %d pending, failures %v", s.Pending, s.Failures)
	}
}

// A host with IPv6 switched off is policed like another, and an intent of both families stays where it is put.
func TestIPv6Off(t *testing.T) {
	lab := planetest.NewLab(t)
	if err := (kernel.Sysctls{Namespace: lab.Router}).Write("net/ipv6/conf/all/disable_ipv6", "1"); err != nil {
		t.Fatal(err)
	}
	p := open(t, lab.Router)
	apply(t, p, everything()...)
	again := open(t, lab.Router)
	apply(t, again, everything()...)
	if n := again.Status().Writes; n != 0 {
		t.Errorf("a restart wrote %d messages", n)
	}
}

// What one change writes does not grow with what it does not concern (design §4).
func TestCostIsFlat(t *testing.T) {
	cost := func(policies int) map[string]uint64 {
		p := open(t, newNamespace(t))
		apply(t, p, load(policies)...)
		set, pol := loadPolicy(policies + 1)
		out := make(map[string]uint64)
		for _, step := range []struct {
			name    string
			objects []intent.Object
		}{
			{"member", []intent.Object{&intent.SetDelta{ID: "set-7", Add: loadMembers(1<<20, 1)}}},
			{"policy for a new endpoint", []intent.Object{set, pol, loadEndpoint(200, intent.Tier{Name: "default", Ingress: []string{pol.ID}})}},
			{"policy that changes", []intent.Object{&intent.Policy{ID: pol.ID, Key: pol.Key, Tier: pol.Tier, Ingress: []intent.Rule{{ID: 5, Action: model.Deny}}}}},
		} {
			before := p.Status()
			apply(t, p, step.objects...)
			after := p.Status()
			out[step.name+", messages"], out[step.name+", bytes"] = after.Writes-before.Writes, after.Bytes-before.Bytes
		}
		return out
	}
	few, many := cost(10), cost(1000)
	for name, n := range few {
		if m := many[name]; n == 0 || m > n+n/10 {
			t.Errorf("%s: %d with 10 policies, %d with 1,000; must be within 10 %%", name, n, m)
		}
	}
	t.Log(many)
}

// Endpoints that move together to a group that is new take their chain along: one transaction. What cannot, because a
// packet under way would meet rules that are not its endpoint's, takes two. Either way a restart finds all as it must be.
func TestMovesTogether(t *testing.T) {
	policy := func(name string) *intent.Policy {
		key := model.Key{Kind: model.KindNetworkPolicy, Namespace: "n", Name: name}
		return &intent.Policy{ID: key.String(), Key: key, Tier: "default", Ingress: []intent.Rule{{ID: 9, Action: model.Allow, Protocol: model.ProtoTCP}}}
	}
	at := func(n int, policies ...string) *intent.LocalEndpoint {
		var t intent.Tier
		for _, p := range policies {
			t.Name, t.Ingress = "default", append(t.Ingress, "NetworkPolicy/n/"+p)
		}
		return loadEndpoint(n, t)
	}
	gone := func(o intent.Object) intent.KernelChange { return intent.KernelChange{Ref: o.Ref()} }
	for _, c := range []struct {
		name         string
		before       []intent.Object
		change       []intent.KernelChange
		transactions uint32
	}{
		{"a policy begins to select", []intent.Object{at(1), at(2)}, change(at(1, "p"), at(2, "p")), 1},
		{"a policy ends to select", []intent.Object{at(1, "p", "q"), at(2, "p", "q")}, change(at(1, "q"), at(2, "q")), 1},
		{"policies replaced", []intent.Object{at(1, "p")}, change(at(1, "q")), 1},
		{"two groups, each its own way", []intent.Object{at(1, "p"), at(2, "q")}, change(at(1, "p", "r"), at(2, "q", "r")), 1},
		{"one leaves meanwhile", []intent.Object{at(1), at(2)}, append(change(at(1, "p")), gone(at(2))), 1},
		{"to a group that is there", []intent.Object{at(1, "p"), at(2, "q")}, change(at(1, "q")), 1},
		{"two change places", []intent.Object{at(1, "p"), at(2, "q")}, change(at(1, "q"), at(2, "p")), 1},
		{"one of two", []intent.Object{at(1), at(2)}, change(at(1, "p")), 2},
		{"a group parts", []intent.Object{at(1), at(2)}, change(at(1, "p"), at(2, "q")), 2},
		{"two groups meet", []intent.Object{at(1, "p"), at(2, "q")}, change(at(1, "r"), at(2, "r")), 2},
		{"one comes to it", []intent.Object{at(1)}, change(at(1, "p"), at(2, "p")), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := newNamespace(t)
			p := open(t, ns)
			objects := []intent.Object{&intent.Host{}, &intent.Profile{ID: "open", Ingress: []intent.Rule{{ID: 1, Action: model.Allow}}}, policy("p"), policy("q"), policy("r")}
			apply(t, p, append(objects, c.before...)...)
			before, _ := p.conn.Generation()
			if err := p.Apply(context.Background(), c.change, true); err != nil {
				t.Fatal(err)
			}
			if after, _ := p.conn.Generation(); after-before != c.transactions {
				t.Errorf("%d transactions, want %d", after-before, c.transactions)
			}
			again := open(t, ns)
			all := append(change(append(objects, c.before...)...), c.change...)
			if err := again.Apply(context.Background(), all, true); err != nil {
				t.Fatal(err)
			}
			if n := again.Status().Writes; n != 0 {
				t.Errorf("a restart wrote %d messages:\n%s", n, nftCommand(t, ns, "list", "table", "inet", table))
			}
		})
	}
}

// A flow that has the conntrack mark of cut ones is ended, even though it is established.
func TestCut(t *testing.T) {
	lab := planetest.NewLab(t)
	a, b := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")
	from, to := lab.AddPort(t, "cali1", a), lab.AddPort(t, "cali2", b)
	p := open(t, lab.Router)
	apply(t, p, &intent.Host{}, &intent.Profile{ID: "open", Ingress: []intent.Rule{{Action: model.Allow}}, Egress: []intent.Rule{{Action: model.Allow}}},
		&intent.LocalEndpoint{ID: "a", Interface: "cali1", Profiles: []string{"open"}}, &intent.LocalEndpoint{ID: "b", Interface: "cali2", Profiles: []string{"open"}})
	there := planetest.Probe{From: from, Packet: model.Packet{Src: a, Dst: b, Proto: model.ProtoUDP, SrcPort: 1000, DstPort: 53}}
	back := planetest.Probe{From: to, Packet: model.Packet{Src: b, Dst: a, Proto: model.ProtoUDP, SrcPort: 53, DstPort: 1000}}
	other := planetest.Probe{From: from, Packet: model.Packet{Src: a, Dst: b, Proto: model.ProtoUDP, SrcPort: 1001, DstPort: 53}}
	check := func(when string, want ...string) {
		t.Helper()
		for i, got := range lab.Send(t, there, back, other) {
			if got.To != want[i] {
				t.Errorf("%s: packet %d got to %q, want %q", when, i, got.To, want[i])
			}
		}
	}
	check("before", "cali2", "cali1", "cali2")
	nftCommand(t, lab.Router, fmt.Sprintf("add table inet cutter; add chain inet cutter c { type filter hook prerouting priority 0; }; add rule inet cutter c udp sport 1000 ct mark set %#x", CutMark(0)))
	check("cut", "", "", "cali2")
}

// Packets leave as unmarked as they came, through any number of tiers that were passed.
func TestLeavesNoMark(t *testing.T) {
	lab := planetest.NewLab(t)
	a, b := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")
	from := lab.AddPort(t, "cali1", a)
	lab.AddPort(t, "cali2", b)
	p := open(t, lab.Router)
	objects := everything()
	pass := &intent.Policy{ID: "NetworkPolicy/ns1/np1", Key: model.Key{Kind: model.KindNetworkPolicy, Namespace: "ns1", Name: "np1"}, Ingress: []intent.Rule{
		{Action: model.Log, Src: intent.Entity{Sets: []intent.SetID{"mixed"}}}, {Action: model.Pass}}}
	tiers := []intent.Tier{{Name: "one", Ingress: []string{pass.ID}}, {Name: "two", Ingress: []string{pass.ID}}}
	apply(t, p, append(objects, pass, &intent.LocalEndpoint{ID: "ep1", Interface: "cali1", Profiles: []string{"kns.ns1"}},
		&intent.LocalEndpoint{ID: "ep2", Interface: "cali2", Profiles: []string{"kns.ns1"}, Tiers: tiers})...)
	nftCommand(t, lab.Router, "add table inet judge; add chain inet judge c { type filter hook postrouting priority 300; }; add rule inet judge c meta mark != 0 drop")
	got := lab.Send(t, planetest.Probe{From: from, Packet: model.Packet{Src: a, Dst: b, Proto: model.ProtoUDP, SrcPort: 1000, DstPort: 53}})
	if got[0].To != "cali2" {
		t.Errorf("the packet got to %q: it carries a mark, or was denied", got[0].To)
	}
}
