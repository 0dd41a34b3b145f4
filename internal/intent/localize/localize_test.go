package localize_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/intent/localize"
	"github.com/tortie-net/tortie/internal/model"
)

func ip(s string) netip.Addr    { return netip.MustParseAddr(s) }
func net(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var web = model.WorkloadID{Orchestrator: "k8s", Namespace: "shop", Workload: "web", Endpoint: "eth0"}

var config = &intent.Config{ID: "n1", IPv6: true, IPForwarding: true, RoutePriority4: 1024, RoutePriority6: 1024, BGPClusterRoutes: true}

func put(o intent.Object) intent.Change { return intent.Change{Ref: o.Ref(), Object: o} }

func endpoint() *intent.Endpoint {
	return &intent.Endpoint{
		ID: web.String(), Workload: web, Node: "n1", Profiles: []string{"kns.shop"},
		Memberships: []intent.Membership{
			{Set: "s-web"},
			{Set: "p-http", Ports: []model.NamedPort{{Name: "http", Protocol: 6, Port: 8080}}},
		},
	}
}

func binding(container string, addrs ...string) localize.Binding {
	b := localize.Binding{Workload: web, ContainerID: container, Interface: "cali1", MAC: "02:00:00:00:00:01"}
	for _, a := range addrs {
		b.Addresses = append(b.Addresses, ip(a))
	}
	return b
}

// kernel is what the planes have been told: the state that changes add up to.
type kernel map[string]string

func (k kernel) apply(changes []intent.KernelChange) {
	for _, c := range changes {
		switch o := c.Object.(type) {
		case nil:
			for key := range k {
				if key == c.Ref.String() || strings.HasPrefix(key, c.Ref.String()+" has ") {
					delete(k, key)
				}
			}
		case *intent.Set:
			for key := range k {
				if strings.HasPrefix(key, c.Ref.String()+" has ") {
					delete(k, key)
				}
			}
			k[c.Ref.String()] = o.Selector
			for _, m := range o.Members {
				k[fmt.Sprintf("%v has %v", c.Ref, m)] = ""
			}
		case *intent.SetDelta:
			for _, m := range o.Remove {
				delete(k, fmt.Sprintf("%v has %v", c.Ref, m))
			}
			for _, m := range o.Add {
				k[fmt.Sprintf("%v has %v", c.Ref, m)] = ""
			}
		default:
			k[c.Ref.String()] = fmt.Sprintf("%+v", o)
		}
	}
}

func (k kernel) keys() []string {
	var out []string
	for key := range k {
		if !strings.HasPrefix(key, "sysctl") && !strings.HasPrefix(key, "host") {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func TestWorkloadNeedsIntentAndBinding(t *testing.T) {
	l, k := localize.New("n1"), kernel{}
	flush := func() { k.apply(l.Flush()) }
	check := func(what string, want ...string) {
		t.Helper()
		flush()
		if d := cmp.Diff(want, k.keys()); d != "" {
			t.Fatalf("%s (-want +got):\n%s", what, d)
		}
	}
	bound := []string{
		"localendpoint " + web.String(), "route 10.0.0.5/32", "route fd00::5/128",
		"set p-http", "set p-http has {10.0.0.5/32 6 8080}", "set p-http has {fd00::5/128 6 8080}",
		"set s-web", "set s-web has {10.0.0.5/32 0 0}", "set s-web has {fd00::5/128 0 0}",
	}
	unbound := []string{"set p-http", "set s-web"}

	l.Apply(put(config), put(&intent.Set{ID: "s-web", Type: intent.SetAddrs}), put(&intent.Set{ID: "p-http", Type: intent.SetAddrPorts}), put(endpoint()))
	check("intent alone", unbound...)
	l.Bind(binding("c1", "10.0.0.5", "fd00::5"))
	check("bound", bound...)
	if l.Unbind(web, "an older container") {
		t.Fatal("a stale container took the binding")
	}
	check("stale DEL", bound...)

	// calc learns the address as well; when it forgets it, the node still knows it.
	m := intent.Member{Prefix: net("10.0.0.5/32")}
	l.Apply(put(&intent.SetDelta{ID: "s-web", Add: []intent.Member{m}}))
	check("known twice", bound...)
	l.Apply(put(&intent.SetDelta{ID: "s-web", Remove: []intent.Member{m}}))
	check("known by the node", bound...)

	l.Apply(intent.Change{Ref: endpoint().Ref()})
	check("workload gone from the store", unbound...)
	l.Apply(put(endpoint()))
	check("and back", bound...)
	if !l.Unbind(web, "c1") {
		t.Fatal("its own container did not take the binding")
	}
	check("unbound", unbound...)
}

func TestStoredInterfaceCountsAsBinding(t *testing.T) {
	l, k := localize.New("n1"), kernel{}
	e := endpoint()
	e.Interface, e.Addresses = "tap7", []netip.Addr{ip("10.0.0.9")}
	l.Apply(put(config), put(e))
	k.apply(l.Flush())
	if _, ok := k["route 10.0.0.9/32"]; !ok {
		t.Fatalf("no route to a workload that the store places on an interface: %v", k.keys())
	}
}

func TestRoutes(t *testing.T) {
	l, k := localize.New("n1"), kernel{}
	l.Apply(put(config),
		put(&intent.Pool{ID: "p", CIDR: net("10.0.0.0/16")}),
		put(&intent.NodeFacts{ID: "n1", IPv4: net("192.0.2.1/24")}), put(&intent.NodeFacts{ID: "n2", IPv4: net("192.0.2.2/24")}),
		put(&intent.BlockRoute{ID: "10.0.1.0/26", Prefix: net("10.0.1.0/26"), Node: "n1"}),
		put(&intent.BlockRoute{ID: "10.0.2.0/26", Prefix: net("10.0.2.0/26"), Node: "n2"}),
		put(&intent.BlockRoute{ID: "10.0.2.7/32", Prefix: net("10.0.2.7/32"), Node: "n1", Borrowed: true}),
		put(endpoint()))
	l.Bind(binding("c1", "10.0.2.7"))
	routes := func() (out []string) {
		k.apply(l.Flush())
		for key, v := range k {
			if strings.HasPrefix(key, "route") {
				out = append(out, key[6:]+" "+v[strings.Index(v, "Type:"):])
			}
		}
		slices.Sort(out)
		return out
	}
	expect := func(what string, want map[string]string) {
		t.Helper()
		got := routes()
		if len(got) != len(want) {
			t.Fatalf("%s: %v", what, got)
		}
		for _, r := range got {
			prefix, rest, _ := strings.Cut(r, " ")
			if w, ok := want[prefix]; !ok || !strings.Contains(rest, w) {
				t.Fatalf("%s: %s, want %q", what, r, w)
			}
		}
	}
	expect("own blackhole (R142) and workload", map[string]string{"10.0.1.0/26": "Type:2 Owner:2", "10.0.2.7/32": "Device:cali1"})

	l.Learn(localize.Learned{Prefix: net("10.0.2.0/26"), NextHops: []netip.Addr{ip("192.0.2.2")}, LocalPref: 2147482623},
		localize.Learned{Prefix: net("10.0.2.7/32"), NextHops: []netip.Addr{ip("192.0.2.2")}})
	expect("learned by BGP, a local workload wins", map[string]string{
		"10.0.1.0/26": "Owner:2", "10.0.2.7/32": "Device:cali1", "10.0.2.0/26": "Owner:4 Device: NextHops:[192.0.2.2] OnLink:false Metric:1024",
	})
	l.Unbind(web, "c1")
	expect("the workload gone, the address still this node's", map[string]string{"10.0.1.0/26": "Owner:2", "10.0.2.0/26": "Owner:4"})
	if d := cmp.Diff([]netip.Prefix{net("10.0.1.0/26"), net("10.0.2.7/32")}, l.Adverts(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Fatalf("adverts: %s", d)
	}
	l.Apply(intent.Change{Ref: intent.Ref{Kind: intent.KindBlockRoute, ID: "10.0.2.7/32"}})
	expect("the address another node's, as BGP says", map[string]string{"10.0.1.0/26": "Owner:2", "10.0.2.7/32": "Owner:4", "10.0.2.0/26": "Owner:4"})

	store := *config
	store.BGPClusterRoutes, store.ProgramNoEncapRoutes = false, true
	l.Apply(put(&store))
	expect("from the store instead", map[string]string{"10.0.1.0/26": "Owner:2", "10.0.2.0/26": "Owner:3 Device: NextHops:[192.0.2.2]"})
	l.Apply(put(&intent.NodeFacts{ID: "n2", IPv4: net("192.0.2.3/24")}))
	expect("a node moves", map[string]string{"10.0.1.0/26": "Owner:2", "10.0.2.0/26": "NextHops:[192.0.2.3]"})

	l.Apply(put(&intent.Pool{ID: "p", CIDR: net("10.0.0.0/16"), DisableBGPExport: true}))
	if a := l.Adverts(); a != nil {
		t.Fatalf("adverts of a pool with disableBGPExport: %v", a)
	}
}

// Whatever the order, what the planes were told adds up to the same.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := func(label string) netip.Addr {
			return netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(1, 2).Draw(t, label+"b")), byte(rapid.IntRange(1, 3).Draw(t, label))})
		}
		steps := []func(*localize.Localizer){
			func(l *localize.Localizer) { l.Apply(put(config)) },
			func(l *localize.Localizer) { l.Apply(put(endpoint())) },
			func(l *localize.Localizer) {
				l.Apply(put(&intent.Pool{ID: "p", CIDR: net("10.0.0.0/16"), NATOutgoing: true}))
			},
		}
		a := addr("bound")
		steps = append(steps, func(l *localize.Localizer) { l.Bind(binding("c1", a.String())) })
		for i, node := range []string{"n1", "n2"} {
			block := &intent.BlockRoute{Prefix: net(fmt.Sprintf("10.0.%d.0/26", i+1)), Node: node}
			block.ID = block.Prefix.String()
			steps = append(steps, func(l *localize.Localizer) { l.Apply(put(block)) })
		}
		b := addr("learned")
		steps = append(steps, func(l *localize.Localizer) {
			l.Learn(localize.Learned{Prefix: netip.PrefixFrom(b, 32), NextHops: []netip.Addr{ip("192.0.2.2")}})
		})
		set := &intent.Set{ID: "s-web", Type: intent.SetAddrs, Members: []intent.Member{{Prefix: netip.PrefixFrom(addr("member"), 32)}}}
		steps = append(steps, func(l *localize.Localizer) { l.Apply(put(set)) })

		run := func(order []int) kernel {
			l, k := localize.New("n1"), kernel{}
			for _, i := range order {
				steps[i](l)
				if rapid.Bool().Draw(t, "flush") {
					k.apply(l.Flush())
				}
			}
			k.apply(l.Flush())
			return k
		}
		order := make([]int, len(steps))
		for i := range order {
			order[i] = i
		}
		want := run(order)
		if d := cmp.Diff(want, run(rapid.Permutation(order).Draw(t, "order"))); d != "" {
			t.Fatalf("(-in order +shuffled):\n%s", d)
		}
	})
}
