package policy

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// The workload under test is web (10.0.0.1, fd00::1); peer is 10.0.0.2 and fd00::2; 192.0.2.1 belongs to nobody.
var (
	web  = model.Key{Kind: model.KindPod, Namespace: "ns", Name: "web"}
	peer = model.Key{Kind: model.KindPod, Namespace: "other", Name: "peer"}
	host = model.Key{Kind: model.KindHostEndpoint, Name: "host"}
)

func pod(key model.Key, labels map[string]string, profiles []string, addrs ...string) model.Update {
	w := &model.WorkloadEndpoint{
		ID:   model.WorkloadID{Orchestrator: "k8s", Namespace: key.Namespace, Workload: key.Name, Endpoint: "eth0"},
		Node: "n1", Labels: labels, Profiles: profiles, UID: "uid-" + key.Name,
	}
	for _, a := range addrs {
		w.Addresses = append(w.Addresses, netip.MustParseAddr(a))
	}
	return model.Update{Key: key, Value: w}
}

func tierNamed(name string, order float64, end model.Action) model.Update {
	return model.Update{Key: model.Key{Kind: model.KindTier, Name: name}, Value: &model.Tier{Name: name, Order: order, DefaultAction: end}}
}

func sel(text string) *selector.Selector {
	s, err := selector.Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

// policyIn is a global policy for every endpoint, both directions, with the same rules in both.
func policyIn(tier, name string, order float64, change func(*model.Policy), rules ...model.Rule) model.Update {
	p := &model.Policy{
		Key:  model.Key{Kind: model.KindGlobalNetworkPolicy, Name: name},
		Tier: tier, Order: order, Subject: selector.All(), Ingress: rules, Egress: rules, AppliesIngress: true, AppliesEgress: true,
	}
	if change != nil {
		change(p)
	}
	return model.Update{Key: p.Key, Value: p}
}

func do(a model.Action) model.Rule { return model.Rule{Action: a} }

func profileNamed(name string, labels map[string]string, rules ...model.Rule) model.Update {
	return model.Update{Key: model.Key{Kind: model.KindProfile, Name: name}, Value: &model.Profile{Name: name, Labels: labels, Ingress: rules, Egress: rules}}
}

func namespace(name string, labels map[string]string) model.Update {
	return model.Update{Key: model.Key{Kind: model.KindNamespace, Name: name}, Value: &model.Namespace{Name: name, Labels: labels}}
}

func tcp(src, dst string, port uint16) model.Packet {
	return model.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: model.ProtoTCP, SrcPort: 40000, DstPort: port}
}

var toWeb = tcp("10.0.0.2", "10.0.0.1", 80)

// say is a verdict in short: "allow tier/policy#rule", "deny profile name#rule", "deny tier#end".
func say(v model.Verdict) string {
	word := "deny"
	if v.Allowed {
		word = "allow"
	}
	rule := "#end"
	if v.Rule >= 0 {
		rule = fmt.Sprintf("#%d", v.Rule)
	}
	switch {
	case v.Policy != "":
		return word + " " + v.Tier + "/" + v.Policy[strings.LastIndex(v.Policy, "/")+1:] + rule
	case v.Tier != "":
		return word + " " + v.Tier + rule
	case v.Profile != "":
		return word + " profile " + v.Profile + rule
	}
	return word + " " + rule
}

func TestTiersAndProfiles(t *testing.T) {
	inf := math.Inf(1)
	only := func(dir model.Direction) func(*model.Policy) {
		return func(p *model.Policy) { p.AppliesIngress, p.AppliesEgress = dir == model.Ingress, dir == model.Egress }
	}
	staged := func(p *model.Policy) { p.Staged = model.StagedSet }
	a := tierNamed("a", 1, model.Deny)
	b := tierNamed("b", 2, model.Deny)
	allowB := policyIn("b", "pb", 1, nil, do(model.Allow))
	tcpOnly := model.Rule{Action: model.Allow, Protocol: model.ProtoTCP}
	udpOnly := model.Rule{Action: model.Allow, Protocol: model.ProtoUDP}

	for _, c := range []struct {
		name     string
		objects  []model.Update
		profiles []string
		want     string
	}{
		{"R53 no policy, no profile", nil, nil, "deny #end"},
		{"R50 namespace allows", []model.Update{namespace("ns", nil)}, []string{"kns.ns"}, "allow profile kns.ns#0"},
		{"R50 namespace before a Profile of its name", []model.Update{profileNamed("kns.ns", nil, do(model.Deny)), namespace("ns", nil)}, []string{"kns.ns"},
			"allow profile kns.ns#0"},
		{"R51 service account before a Profile of its name", []model.Update{profileNamed("ksa.ns.sa", nil, do(model.Deny)),
			{Key: model.Key{Kind: model.KindServiceAccount, Namespace: "ns", Name: "sa"}, Value: &model.Profile{Name: "ksa.ns.sa"}}},
			[]string{"ksa.ns.sa", model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},
		{"R121 default allow is not redefined", []model.Update{profileNamed(model.ProfileDefaultAllow, nil, do(model.Deny))},
			[]string{model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},
		{"R54 profile missing", nil, []string{"kns.ns", model.ProfileDefaultAllow}, "deny profile kns.ns#0"},
		{"R121 default allow is built in", nil, []string{model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},
		{"R53 profiles in list order", []model.Update{profileNamed("p1", nil, udpOnly), profileNamed("p2", nil, do(model.Deny)), profileNamed("p3", nil, tcpOnly)},
			[]string{"p1", "p3", "p2"}, "allow profile p3#0"},
		{"R53 end of profiles", []model.Update{profileNamed("p1", nil, udpOnly), profileNamed("p2", nil)}, []string{"p1", "p2"}, "deny #end"},
		{"R55 Deny in a profile drops", []model.Update{profileNamed("p1", nil, do(model.Deny))}, []string{"p1", model.ProfileDefaultAllow}, "deny profile p1#0"},
		{"R55 Pass ends one profile", []model.Update{profileNamed("p1", nil, do(model.Pass), do(model.Deny))}, []string{"p1", model.ProfileDefaultAllow},
			"allow profile projectcalico-default-allow#0"},
		{"R55 Log in a profile goes on", []model.Update{profileNamed("p1", nil, do(model.Log), do(model.Allow))}, []string{"p1"}, "allow profile p1#1"},
		{"R51 service account has no rules", []model.Update{{Key: model.Key{Kind: model.KindServiceAccount, Namespace: "ns", Name: "sa"},
			Value: &model.Profile{Name: "ksa.ns.sa"}}}, []string{"ksa.ns.sa", model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},

		{"R20 tiers by order", []model.Update{tierNamed("z", 1, model.Deny), b, policyIn("z", "pz", 9, nil, do(model.Deny)), allowB}, nil, "deny z/pz#0"},
		{"R20 equal order by name", []model.Update{tierNamed("z", 2, model.Deny), b, policyIn("z", "pz", 9, nil, do(model.Deny)), allowB}, nil, "allow b/pb#0"},
		{"R20 order unset last", []model.Update{tierNamed("a", inf, model.Deny), b, policyIn("a", "pa", 9, nil, do(model.Deny)), allowB}, nil, "allow b/pb#0"},
		{"R20 missing tier last", []model.Update{tierNamed("z", inf, model.Pass), policyIn("z", "pz", 9, nil, do(model.Deny)), policyIn("a", "pa", 9, nil, do(model.Allow))}, nil, "deny z/pz#0"},
		{"R20 missing tiers by name", []model.Update{policyIn("z", "pz", 9, nil, do(model.Deny)), policyIn("a", "pa", 9, nil, do(model.Allow))}, nil, "allow a/pa#0"},
		{"R20 missing tier ends with Deny", []model.Update{policyIn("a", "pa", 9, nil)}, []string{model.ProfileDefaultAllow}, "deny a#end"},
		{"R21 policies by order", []model.Update{a, policyIn("a", "p1", 2, nil, do(model.Allow)), policyIn("a", "p2", 1, nil, do(model.Deny))}, nil, "deny a/p2#0"},
		{"R21 order unset last", []model.Update{a, policyIn("a", "p1", inf, nil, do(model.Allow)), policyIn("a", "p2", 1e9, nil, do(model.Deny))}, nil, "deny a/p2#0"},
		{"R21 ties by name", []model.Update{a, policyIn("a", "p2", inf, nil, do(model.Deny)), policyIn("a", "p1", inf, nil, do(model.Allow))}, nil, "allow a/p1#0"},
		{"R21 ties by name before kind", []model.Update{a, policyIn("a", "p2", 1, nil, do(model.Deny)),
			policyIn("a", "", 1, func(p *model.Policy) {
				p.Key = model.Key{Kind: model.KindNetworkPolicy, Namespace: "ns", Name: "p1"}
			}, do(model.Allow))}, nil, "allow a/p1#0"},
		{"R21 the text, not its parts", []model.Update{a, // "p-1//…" < "p/ns/…" although "p" < "p-1"
			policyIn("a", "p-1", 1, nil, do(model.Allow)), policyIn("a", "", 1, func(p *model.Policy) {
				p.Key = model.Key{Kind: model.KindNetworkPolicy, Namespace: "ns", Name: "p"}
			}, do(model.Deny))}, nil, "allow a/p-1#0"},

		{"R22 other direction only", []model.Update{a, policyIn("a", "pa", 1, only(model.Egress), do(model.Deny))}, []string{model.ProfileDefaultAllow},
			"allow profile projectcalico-default-allow#0"},
		{"R22 not selected", []model.Update{a, policyIn("a", "pa", 1, func(p *model.Policy) { p.Subject = sel("app == 'db'") }, do(model.Deny))},
			[]string{model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},
		{"R23 first match decides", []model.Update{a, policyIn("a", "pa", 1, nil, udpOnly, tcpOnly, do(model.Deny))}, nil, "allow a/pa#1"},
		{"R23 Pass skips the rest of the tier", []model.Update{a, b, policyIn("a", "p1", 1, nil, do(model.Pass)), policyIn("a", "p2", 2, nil, do(model.Deny)), allowB}, nil, "allow b/pb#0"},
		{"R23 Log goes on", []model.Update{a, policyIn("a", "p1", 1, nil, do(model.Log)), policyIn("a", "p2", 2, nil, do(model.Log), do(model.Allow))}, nil, "allow a/p2#1"},
		{"R24 end of tier denies", []model.Update{a, policyIn("a", "pa", 1, nil, udpOnly)}, []string{model.ProfileDefaultAllow}, "deny a#end"},
		{"R24 end of tier passes", []model.Update{tierNamed("a", 1, model.Pass), policyIn("a", "pa", 1, nil, udpOnly), b, allowB}, nil, "allow b/pb#0"},
		{"R24 staged policy decides nothing", []model.Update{a, policyIn("a", "s", 1, staged, do(model.Deny)), policyIn("a", "pa", 2, nil, tcpOnly)}, nil, "allow a/pa#0"},
		{"R24 tier of staged policies is absent", []model.Update{a, policyIn("a", "s", 1, staged, do(model.Deny))}, []string{model.ProfileDefaultAllow},
			"allow profile projectcalico-default-allow#0"},
		{"R25 Pass in the last tier", []model.Update{a, policyIn("a", "pa", 1, nil, do(model.Pass))}, []string{model.ProfileDefaultAllow},
			"allow profile projectcalico-default-allow#0"},
		{"R27 no rules", []model.Update{a, policyIn("a", "pa", 1, nil)}, []string{model.ProfileDefaultAllow}, "deny a#end"},
		{"R31 untracked is not normal", []model.Update{a, policyIn("a", "pa", 1, func(p *model.Policy) { p.DoNotTrack = true }, do(model.Deny))},
			[]string{model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},
		{"R31 pre-DNAT is not normal", []model.Update{a, policyIn("a", "pa", 1, func(p *model.Policy) { p.PreDNAT = true }, do(model.Deny))},
			[]string{model.ProfileDefaultAllow}, "allow profile projectcalico-default-allow#0"},
		{"R111 applyOnForward is normal too", []model.Update{a, policyIn("a", "pa", 1, func(p *model.Policy) { p.ApplyOnForward = true }, do(model.Allow))}, nil, "allow a/pa#0"},
		{"R46 invalid policy isolates", []model.Update{a, policyIn("a", "pa", 1, func(p *model.Policy) { p.Invalid = "bad CIDR" }, do(model.Allow))}, nil, "deny a/pa#0"},
		{"unknown action denies", []model.Update{a, policyIn("a", "pa", 1, nil, do(model.Action(9)), do(model.Allow))}, nil, "deny a/pa#0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := append([]model.Update{pod(web, map[string]string{"app": "web"}, c.profiles, "10.0.0.1")}, c.objects...)
			cluster := New(objects)
			verdict, steps := cluster.Trace(web, model.Ingress, toWeb)
			if say(verdict) != c.want {
				t.Errorf("%s, want %s; steps %v", say(verdict), c.want, steps)
			}
			if cluster.Verdict(web, model.Ingress, toWeb) != verdict {
				t.Error("Verdict and Trace differ")
			}
		})
	}
}

func TestUnknownEndpointIsDenied(t *testing.T) { // R4
	if v := New(nil).Verdict(web, model.Ingress, toWeb); say(v) != "deny #end" {
		t.Error(say(v))
	}
}

func TestHostEndpoint(t *testing.T) {
	hep := func(profiles ...string) model.Update {
		return model.Update{Key: host, Value: &model.HostEndpoint{Name: "host", Profiles: profiles, Labels: map[string]string{"role": "gw"}}}
	}
	for _, c := range []struct {
		name    string
		objects []model.Update
		want    string
	}{
		{"R53 without profile", []model.Update{hep()}, "deny #end"},
		{"R121 auto", []model.Update{hep(model.ProfileDefaultAllow)}, "allow profile projectcalico-default-allow#0"},
		{"R28 all() locks hosts", []model.Update{hep(model.ProfileDefaultAllow), policyIn("t", "p", 1, nil)}, "deny t#end"},
		{"R62 namespaced policies never select hosts", []model.Update{hep(model.ProfileDefaultAllow),
			policyIn("t", "p", 1, func(p *model.Policy) { p.Subject = sel("projectcalico.org/namespace == 'ns'") })},
			"allow profile projectcalico-default-allow#0"},
	} {
		if v := New(c.objects).Verdict(host, model.Ingress, toWeb); say(v) != c.want {
			t.Errorf("%s: %s, want %s", c.name, say(v), c.want)
		}
	}
}

// R52: own label wins, then the first profile in list order that has it.
func TestInheritedLabels(t *testing.T) {
	for _, c := range []struct {
		subject string
		want    bool
	}{
		{"own == 'pod'", true}, {"shared == 'one'", true}, {"last == 'two'", true}, {"shared == 'two'", false},
		{"pcns.team == 'red'", true}, {"pcns.projectcalico.org/name == 'ns'", true}, {"has(pcns.absent)", false},
	} {
		cluster := New([]model.Update{
			pod(web, map[string]string{"own": "pod"}, []string{"kns.ns", "one", "two", "missing"}, "10.0.0.1"),
			namespace("ns", map[string]string{"team": "red"}),
			profileNamed("one", map[string]string{"own": "one", "shared": "one"}),
			profileNamed("two", map[string]string{"own": "two", "shared": "two", "last": "two"}),
			policyIn("t", "p", 1, func(p *model.Policy) { p.Subject = sel(c.subject) }, do(model.Deny)),
		})
		if denied := !cluster.Verdict(web, model.Ingress, toWeb).Allowed; denied != c.want {
			t.Errorf("%q selects the pod: %t, want %t", c.subject, denied, c.want)
		}
	}
}

func TestNewKeepsTheLastValue(t *testing.T) {
	allow, deny := policyIn("t", "p", 1, nil, do(model.Allow)), policyIn("t", "p", 1, nil, do(model.Deny))
	gone := model.Update{Key: deny.Key}
	w := pod(web, nil, []string{model.ProfileDefaultAllow}, "10.0.0.1")
	for _, c := range []struct {
		history []model.Update
		want    string
	}{
		{[]model.Update{w, allow, deny}, "deny t/p#0"},
		{[]model.Update{deny, w, allow}, "allow t/p#0"},
		{[]model.Update{deny, w, gone}, "allow profile projectcalico-default-allow#0"},
		{[]model.Update{gone, w, deny}, "deny t/p#0"},
	} {
		if got := say(New(c.history).Verdict(web, model.Ingress, toWeb)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// block is 10.0.0.0/26 with one allocation.
func block(ordinal int, a model.Allocation) model.Update {
	b := &model.Block{CIDR: netip.MustParsePrefix("10.0.0.0/26"), Attributes: []model.Allocation{{}, a}}
	for i := range 64 {
		b.Allocations = append(b.Allocations, -1)
		if i == ordinal {
			b.Allocations[i] = 1
		}
	}
	return model.Update{Key: model.Key{Kind: model.KindBlock, Name: b.CIDR.String()}, Value: b}
}

// R145: who owns 10.0.0.1.
func TestOwners(t *testing.T) {
	attributes := func(change ...string) model.Allocation {
		m := map[string]string{model.AttrPod: "web", model.AttrNamespace: "ns", model.AttrNode: "n1", model.AttrUID: "uid-web"}
		for i := 0; i < len(change); i += 2 {
			if m[change[i]] = change[i+1]; change[i+1] == "" {
				delete(m, change[i])
			}
		}
		return model.Allocation{Attributes: m}
	}
	released := attributes()
	released.ReleasedAt = time.Unix(1, 0)
	stated := pod(web, nil, nil, "10.0.0.1")
	fromIPAM := pod(web, nil, nil)
	fromIPAM.Value.(*model.WorkloadEndpoint).AddressesFromIPAM = true
	otherStated := pod(web, nil, nil, "10.0.0.9")
	otherStated.Value.(*model.WorkloadEndpoint).AddressesFromIPAM = true
	unscheduled := pod(web, nil, nil, "10.0.0.1")
	unscheduled.Value.(*model.WorkloadEndpoint).Node = ""
	tombstone := block(1, attributes())
	tombstone.Value.(*model.Block).Deleted = true

	for _, c := range []struct {
		name    string
		objects []model.Update
		owned   bool
	}{
		{"stated", []model.Update{stated}, true},
		{"unscheduled", []model.Update{unscheduled}, false},
		{"none stated, none allocated", []model.Update{fromIPAM}, false},
		{"allocated", []model.Update{fromIPAM, block(1, attributes())}, true},
		{"another address allocated", []model.Update{fromIPAM, block(2, attributes())}, false},
		{"stated wins over allocated", []model.Update{otherStated, block(1, attributes())}, false},
		{"other IPAMs: stated ones only", []model.Update{pod(web, nil, nil), block(1, attributes())}, false},
		{"allocation without uid", []model.Update{fromIPAM, block(1, attributes(model.AttrUID, ""))}, true},
		{"pod re-created: other uid", []model.Update{fromIPAM, block(1, attributes(model.AttrUID, "uid-old"))}, false},
		{"pod re-created elsewhere: other node", []model.Update{fromIPAM, block(1, attributes(model.AttrNode, "n2"))}, false},
		{"other namespace", []model.Update{fromIPAM, block(1, attributes(model.AttrNamespace, "x"))}, false},
		{"other pod", []model.Update{fromIPAM, block(1, attributes(model.AttrPod, "x"))}, false},
		{"released", []model.Update{fromIPAM, block(1, released)}, false},
		{"block deleted", []model.Update{fromIPAM, tombstone}, false},
		{"allocation without owner", []model.Update{fromIPAM, block(1, model.Allocation{})}, false},
	} {
		owners := New(c.objects).Owners(netip.MustParseAddr("10.0.0.1"))
		if (len(owners) == 1 && owners[0] == web) != c.owned {
			t.Errorf("%s: owners %v, want owned %t", c.name, owners, c.owned)
		}
	}
}

// R3: egress of the source and ingress of the destination.
func TestFlow(t *testing.T) {
	rule := func(key model.Key, dir model.Direction, a model.Action) model.Update {
		return policyIn("t", fmt.Sprint(key.Name, dir), 1, func(p *model.Policy) {
			p.Subject = selector.Equals("name", key.Name)
			p.AppliesIngress, p.AppliesEgress = dir == model.Ingress, dir == model.Egress
		}, do(a))
	}
	for _, c := range []struct {
		src, dst           string
		egress, ingress    model.Action
		wantSrc, wantDst   string
		wantAllowed, share bool
	}{
		{"10.0.0.2", "10.0.0.1", model.Allow, model.Allow, "allow t/peeregress#0", "allow t/webingress#0", true, false},
		{"10.0.0.2", "10.0.0.1", model.Deny, model.Allow, "deny t/peeregress#0", "allow t/webingress#0", false, false},
		{"10.0.0.2", "10.0.0.1", model.Allow, model.Deny, "allow t/peeregress#0", "deny t/webingress#0", false, false},
		{"fd00::2", "fd00::1", model.Allow, model.Deny, "allow t/peeregress#0", "deny t/webingress#0", false, false},
		{"192.0.2.1", "10.0.0.1", model.Deny, model.Allow, "allow #end", "allow t/webingress#0", true, false},
		{"10.0.0.2", "192.0.2.1", model.Deny, model.Deny, "deny t/peeregress#0", "allow #end", false, false},
		{"192.0.2.1", "192.0.2.2", model.Deny, model.Deny, "allow #end", "allow #end", true, false},
		{"10.0.0.2", "10.0.0.1", model.Allow, model.Allow, "allow t/peeregress#0", "deny #end", false, true}, // R68
	} {
		objects := []model.Update{
			pod(web, map[string]string{"name": "web"}, nil, "10.0.0.1", "fd00::1"),
			pod(peer, map[string]string{"name": "peer"}, nil, "10.0.0.2", "fd00::2"),
			rule(peer, model.Egress, c.egress), rule(web, model.Ingress, c.ingress),
		}
		if c.share {
			objects = append(objects, pod(model.Key{Kind: model.KindPod, Namespace: "ns", Name: "zz"}, nil, nil, c.dst))
		}
		src, dst, allowed := New(objects).Flow(tcp(c.src, c.dst, 80))
		if say(src) != c.wantSrc || say(dst) != c.wantDst || allowed != c.wantAllowed {
			t.Errorf("%s to %s: %s, %s, %t; want %s, %s, %t", c.src, c.dst, say(src), say(dst), allowed, c.wantSrc, c.wantDst, c.wantAllowed)
		}
	}
}
