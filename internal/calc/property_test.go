package calc_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// vocabulary is objects that have much to do with each other: per key, the forms that it may take.
func vocabulary(t *rapid.T) string {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	selectors := []string{
		"app == 'a'", "app == 'b'", "app in {'a','b'}", "app != 'a'", "has(app)", "!has(app)", "all()",
		"pcns.env == 'prod'", "pcns.env != 'prod' && app == 'b'", "has(color)", "color == 'red' || app == 'a'",
		"projectcalico.org/namespace == 'ns1'",
	}
	labels := func() string {
		return "labels=" + pick("labels", "", "app:a", "app:b", "app:a,color:red", "color:blue")
	}
	node := func() string { return "node=" + pick("node", "n1", "n2") }
	ip := func() string {
		return pick("ip", "", "ip=10.65.0.1", "ip=10.65.0.2,fd65::2", "ip=10.65.0.1,10.65.0.3", "ip=10.66.0.9")
	}
	ns := func() string { return pick("ns", "ns1", "ns2") }
	ports := func() string { return pick("ports", "", "ports=http:tcp:80", "ports=http:tcp:81,http:udp:80") }
	side := func(label string) string { return pick(label, append(selectors, "")...) }
	switch pick("kind", "pod", "pod", "pod", "policy", "policy", "globalpolicy", "staged", "tier", "namespace", "profile",
		"netset", "globalnetset", "hep", "block", "affinity", "node", "pool", "slice", "wep", "bgp", "peer", "reservation", "felix") {
	case "pod":
		return fmt.Sprintf("pod %s/%s uid=%s %s %s %s %s profiles=kns.ns1,extra", ns(), pick("name", "a", "b", "c"),
			pick("uid", "u1", "u2"), node(), labels(), ip(), ports())
	case "wep":
		return fmt.Sprintf("wep %s/w pod=%s %s %s %s", ns(), pick("pod", "a", "z"), node(), labels(), ip())
	case "policy", "globalpolicy", "staged":
		name := pick("policy", "policy ns1/p", "policy ns2/p", "policy ns1/q", "globalpolicy g", "globalpolicy h", "staged ns1/s")
		text := fmt.Sprintf("%s uid=%s tier=%s order=%s subject=%q types=%s %s", name, pick("uid", "p1", "p2"),
			pick("tier", "default", "t1", "t2"), pick("order", "1", "2", "inf"), side("subject")+"", pick("types", "ingress", "egress", "ingress,egress"),
			pick("flag", "", "", "", "donottrack", "invalid=bad"))
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			text += fmt.Sprintf("\n  %s %s proto=tcp", pick("direction", "ingress", "egress"), pick("action", "allow", "deny", "pass"))
			for _, s := range []string{"src", "dst"} {
				if sel := side(s); sel != "" {
					text += fmt.Sprintf(" %s%s=%q", s, pick("form", "", "", "not"), sel)
				}
			}
			text += pick("dstports", "", "", " dstports=http", " dstports=http,443", " dstnotports=http", " dstservice=ns1/svc", " srcservice=ns1/svc")
		}
		return text
	case "tier":
		return fmt.Sprintf("tier %s order=%s default=%s", pick("tier", "default", "t1", "t2"), pick("order", "1", "2", "inf"), pick("default", "deny", "pass"))
	case "namespace":
		return fmt.Sprintf("namespace %s labels=env:%s annotations=%s", ns(), pick("env", "prod", "test"), pick("annotation", "", "cni.projectcalico.org/ipv4pools:x"))
	case "profile":
		return fmt.Sprintf("profile %s labels=%s\n  ingress allow src=%q", pick("profile", "extra", "kns.ns1"), pick("labels", "color:red", "app:b"), side("src")+pick("", ""))
	case "netset":
		return fmt.Sprintf("netset %s/n %s nets=%s", ns(), labels(), pick("nets", "192.0.2.0/24", "192.0.2.0/24,10.65.0.1/32"))
	case "globalnetset":
		return fmt.Sprintf("globalnetset gn %s nets=%s", labels(), pick("nets", "198.51.100.0/24", "2001:db8::/32"))
	case "hep":
		return fmt.Sprintf("hep %s %s %s ip=%s %s profiles=extra", pick("hep", "h1", "h2"), node(), labels(), pick("ip", "192.0.2.1", "192.0.2.2"), ports())
	case "block":
		return fmt.Sprintf("block %s affinity=%s used=%s", pick("cidr", "10.65.0.0/30", "10.66.0.0/29"), pick("affinity", "", "host:n1", "host:n2"), "")
	}
	return infrastructure(t, pick)
}

func infrastructure(t *rapid.T, pick func(string, ...string) string) string {
	switch pick("what", "block", "affinity", "node", "pool", "slice", "bgp", "peer", "reservation", "felix", "ipam") {
	case "block":
		used := []string{}
		for _, a := range []string{"10.65.0.1", "10.65.0.2", "10.65.0.3"} {
			used = append(used, a+pick("user", "@n1:ns1/a:u1", "@n2:ns1/a:u2", "@n2:ns1/b", "@n1:ns2/c:u1!"))
		}
		return fmt.Sprintf("block 10.65.0.0/30 affinity=%s used=%s", pick("affinity", "", "host:n1", "host:n2"),
			strings.Join(used[:rapid.IntRange(0, 3).Draw(t, "used")], ","))
	case "affinity":
		return fmt.Sprintf("affinity %s=%s state=%s", pick("owner", "n1", "n2"), pick("cidr", "10.65.0.0/30", "10.66.0.0/29"), pick("state", "pending", "confirmed"))
	case "node":
		return fmt.Sprintf("node %s ipv4=%s labels=%s", pick("node", "n1", "n2"), pick("ipv4", "192.0.2.1/24", "192.0.2.2/24", ""), pick("labels", "", "rack:r1"))
	case "pool":
		return fmt.Sprintf("pool %s cidr=%s vxlan=%s nodes=%q", pick("pool", "p", "q"), pick("cidr", "10.65.0.0/16", "10.66.0.0/16"), pick("vxlan", "", "always"), pick("nodes", "all()", "has(rack)"))
	case "slice":
		return fmt.Sprintf("slice ns1/%s service=%s ready=%s ports=http:tcp:80", pick("slice", "s1", "s2"), pick("service", "svc", "other"), pick("ready", "10.65.0.1", "10.65.0.1,10.65.0.2"))
	case "bgp":
		return fmt.Sprintf("bgp %s as=%s", pick("bgp", "default", "node.n1"), pick("as", "65000", "65001"))
	case "peer":
		return fmt.Sprintf("peer %s ip=%s as=1", pick("peer", "x", "y"), pick("ip", "192.0.2.2", "192.0.2.9"))
	case "reservation":
		return fmt.Sprintf("reservation r cidrs=%s", pick("cidrs", "10.65.0.0/31", "10.66.0.0/31"))
	case "felix":
		return fmt.Sprintf("felix %s vxlanPort=%s", pick("felix", "default", "node.n1"), pick("port", "4789", "4790", "x"))
	}
	return fmt.Sprintf("ipamconfig default max=%s", pick("max", "1", "2"))
}

// drawUpdates draws a history, deletions among it.
func drawUpdates(t *rapid.T, n int) []model.Update {
	var out []model.Update
	for range n {
		text := vocabulary(t)
		if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
			text = "delete " + text
		}
		text = strings.ReplaceAll(text, `subject=""`, `subject="all()"`)
		text = strings.ReplaceAll(text, ` src=""`, "")
		updates, err := parseObjects(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out = append(out, updates...)
	}
	return out
}

// TestHistoriesWithTheSameEnd: two histories that end with the same last value of each key give the same intent, an
// incremental one and one from scratch among them, and it is what the definition says.
func TestHistoriesWithTheSameEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span, nodes := calc.Span{Node: "n1"}, []string{"n1"}
		if rapid.Bool().Draw(t, "hub") {
			span, nodes = calc.Span{All: true}, []string{"n1", "n2"}
		}
		updates := drawUpdates(t, rapid.IntRange(1, 60).Draw(t, "length"))
		last := map[model.Key]any{}
		var keys []model.Key
		var history [][]model.Update
		for _, u := range updates {
			if _, known := last[u.Key]; !known {
				keys = append(keys, u.Key)
			}
			last[u.Key] = u.Value
			if len(history) == 0 || rapid.Bool().Draw(t, "flush") {
				history = append(history, nil)
			}
			history[len(history)-1] = append(history[len(history)-1], u)
		}
		var other [][]model.Update
		for _, k := range rapid.Permutation(keys).Draw(t, "order") {
			if len(other) == 0 || rapid.Bool().Draw(t, "flush") {
				other = append(other, nil)
			}
			other[len(other)-1] = append(other[len(other)-1], model.Update{Key: k, Value: last[k]})
		}
		a, b := replay(span, nodes, history), replay(span, nodes, other)
		if a != b || strings.Contains(a, "FAULT") {
			t.Fatalf("incremental:\n%s\nfrom scratch:\n%s", a, b)
		}
		c, s := calc.New(span), newState(nodes...)
		c.Apply(updates...)
		s.apply(c.Flush())
		checkDefinition(t, s, last)
	})
}

// world is the objects that exist in the end, for the definition, which looks at everything every time.
type world struct {
	profiles map[string]map[string]string
	last     map[model.Key]any
}

func newWorld(last map[model.Key]any) world {
	w := world{profiles: map[string]map[string]string{}, last: last}
	for k, v := range last {
		if p, ok := v.(*model.Profile); ok && k.Kind == model.KindProfile {
			w.profiles[p.Name] = p.Labels
		}
	}
	for _, v := range last {
		if n, ok := v.(*model.Namespace); ok {
			w.profiles["kns."+n.Name] = n.Profile().Labels
		}
	}
	return w
}

// labels are own labels over those of the profiles in order (R52).
func (w world) labels(own map[string]string, profiles []string) selector.Map {
	m := selector.Map{}
	for _, p := range slices.Backward(profiles) {
		maps.Copy(m, w.profiles[p])
	}
	maps.Copy(m, own)
	return m
}

// members are the addresses of what matches a selector.
func (w world) members(s *selector.Selector) map[string]bool {
	out := map[string]bool{}
	add := func(labels selector.Map, prefixes []netip.Prefix) {
		if s.Match(labels) {
			for _, p := range prefixes {
				out[member(intent.Member{Prefix: p})] = true
			}
		}
	}
	for k, v := range w.last {
		switch v := v.(type) {
		case *model.WorkloadEndpoint:
			add(w.labels(v.Labels, v.Profiles), w.addresses(k, v))
		case *model.HostEndpoint:
			add(w.labels(v.Labels, v.Profiles), hosts(v.ExpectedIPs))
		case *model.NetworkSet:
			add(w.labels(v.Labels, v.Profiles), v.Nets)
		}
	}
	return out
}

// addresses are a workload's own word, else that of IPAM (R145).
func (w world) addresses(_ model.Key, e *model.WorkloadEndpoint) []netip.Prefix {
	if len(e.Addresses) > 0 {
		return hosts(e.Addresses)
	}
	var out []netip.Addr
	for _, v := range w.last {
		b, ok := v.(*model.Block)
		if !ok {
			continue
		}
		for ordinal, i := range b.Allocations {
			if i < 0 || !b.Attributes[i].ReleasedAt.IsZero() {
				continue
			}
			a := b.Attributes[i].Attributes
			if uid := a[model.AttrUID]; a[model.AttrNamespace] == e.ID.Namespace && a[model.AttrPod] == e.ID.Workload &&
				a[model.AttrNode] == e.Node && (uid == "" || uid == e.UID) {
				out = append(out, b.Addr(ordinal))
			}
		}
	}
	return hosts(out)
}

func hosts(addrs []netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

// checkDefinition compares sets and the policies of endpoints with what they are by definition.
func checkDefinition(t *rapid.T, s *state, last map[model.Key]any) {
	w := newWorld(last)
	for _, node := range s.nodes {
		for ref, o := range s.objects[node] {
			switch o := o.(type) {
			case *intent.Set:
				if !strings.HasPrefix(ref.ID, "s-") {
					continue
				}
				want, got := w.members(sel(o.Selector)), map[string]bool{}
				for m := range s.sets[node][o.ID] {
					got[member(m)] = true
				}
				if !maps.Equal(want, got) {
					t.Fatalf("%s: set <%s> is %v, must be %v", node, o.Selector, got, want)
				}
			case *intent.Endpoint:
				w.checkPolicies(t, o)
			}
		}
	}
}

func (w world) checkPolicies(t *rapid.T, e *intent.Endpoint) {
	key := model.Key{Kind: model.KindPod, Namespace: e.Workload.Namespace, Name: e.Workload.Workload}
	pod, ok := w.last[key].(*model.WorkloadEndpoint)
	if !ok {
		return
	}
	labels := w.labels(pod.Labels, pod.Profiles)
	var want, got []string
	for _, v := range w.last {
		if p, ok := v.(*model.Policy); ok && !p.DoNotTrack && p.Subject.Match(labels) {
			want = append(want, p.Key.String())
		}
	}
	for _, tier := range e.Tiers {
		got = append(got, tier.Ingress...)
		got = append(got, tier.Egress...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(want, got) {
		t.Fatalf("%s has %v, must have %v", e.ID, got, want)
	}
}
