package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// node is a namespace with an uplink eth0 (10.0.0.1/24, fd00::1/64) and a plane in it.
type node struct {
	t  testing.TB
	ns *kernel.Namespace
	h  *kernel.Handle
	p  *Plane
}

func newNode(t testing.TB) *node {
	t.Helper()
	ns, err := kernel.NewNamespace()
	must(t, err)
	far, err := kernel.NewNamespace()
	must(t, err)
	h, err := kernel.Open(ns)
	must(t, err)
	n := &node{t: t, ns: ns, h: h}
	other, err := kernel.Open(far)
	must(t, err)
	must(t, h.AddVeth(kernel.Veth{Name: "eth0", PeerName: "eth0", PeerNamespace: far}), h.SetLinkUp("eth0"), other.SetLinkUp("eth0"),
		h.AddAddress("eth0", netip.MustParsePrefix("10.0.0.1/24")), h.AddAddress("eth0", netip.MustParsePrefix("fd00::1/64")))
	must(t, kernel.Sysctls{Namespace: ns}.WriteAll([]kernel.Setting{{Path: "net/ipv4/ip_forward", Value: "1"}, {Path: "net/ipv6/conf/all/forwarding", Value: "1"}}))
	n.open()
	t.Cleanup(func() {
		must(t, n.p.Close())
		other.Close()
		h.Close()
		_ = ns.Close()
		_ = far.Close()
	})
	return n
}

func (n *node) open() {
	n.t.Helper()
	p, err := New(Options{Namespace: n.ns})
	must(n.t, err)
	n.p = p
}

// restart is an agent's: a new plane over the same kernel.
func (n *node) restart() {
	n.t.Helper()
	must(n.t, n.p.Close())
	n.open()
}

// workload makes a veth pair as CNI does; the far end has the address and permanent neighbours.
func (n *node) workload(name string, addrs ...string) *kernel.Namespace {
	n.t.Helper()
	pod, err := kernel.NewNamespace()
	must(n.t, err)
	inside, err := kernel.Open(pod)
	must(n.t, err)
	n.t.Cleanup(func() { inside.Close(); _ = pod.Close() })
	must(n.t, n.h.AddVeth(kernel.Veth{Name: name, MAC: "ee:ee:ee:ee:ee:ee", PeerName: "eth0", PeerMAC: podMAC, PeerNamespace: pod}))
	must(n.t, n.h.SetLinkUp(name), inside.SetLinkUp("eth0"))
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		must(n.t, inside.AddAddress("eth0", netip.PrefixFrom(addr, addr.BitLen())))
		gateway, any := "169.254.1.1", "0.0.0.0/0"
		if addr.Is6() {
			gateway, any = "fe80::ecee:eeff:feee:eeee", "::/0"
		} else {
			n.ip(pod, "route add 169.254.1.1 dev eth0")
		}
		n.ip(pod, "neigh replace "+gateway+" lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent")
		n.ip(pod, "route add "+any+" via "+gateway+" dev eth0")
	}
	return pod
}

const podMAC = "02:00:00:00:00:01"

func (n *node) ip(ns *kernel.Namespace, args string) string {
	n.t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		return err
	})
	if err != nil {
		n.t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

func set(routes ...*intent.Route) []intent.KernelChange {
	var out []intent.KernelChange
	for _, r := range routes {
		if r.ID == "" {
			r.ID = fmt.Sprintf("%v %d", r.Prefix, r.Metric)
		}
		out = append(out, intent.KernelChange{Ref: r.Ref(), Object: r})
	}
	return out
}

func gone(routes ...*intent.Route) []intent.KernelChange {
	out := set(routes...)
	for i := range out {
		out[i].Object = nil
	}
	return out
}

func (n *node) apply(changes []intent.KernelChange) {
	n.t.Helper()
	must(n.t, n.p.Apply(context.Background(), changes, true))
}

func workloadRoute(prefix, device string) *intent.Route {
	return &intent.Route{Prefix: netip.MustParsePrefix(prefix), Type: intent.RouteUnicast, Owner: intent.RouteWorkload, Device: device, Metric: 1024, Neighbour: podMAC}
}

func via(prefix string, owner intent.RouteOwner, hops ...string) *intent.Route {
	r := &intent.Route{Prefix: netip.MustParsePrefix(prefix), Type: intent.RouteUnicast, Owner: owner, Metric: 1024}
	for _, h := range hops {
		r.NextHops = append(r.NextHops, netip.MustParseAddr(h))
	}
	return r
}

func blackhole(prefix string) *intent.Route {
	return &intent.Route{Prefix: netip.MustParsePrefix(prefix), Type: intent.RouteBlackhole, Owner: intent.RouteBlock}
}

var volatile = regexp.MustCompile(` (expires|hoplimit) \S+`)

// routes is what the kernel has beside connected prefixes.
func (n *node) routes() string {
	var b strings.Builder
	for _, c := range []string{"-4 route", "-6 route", "neigh show nud permanent"} {
		for line := range strings.Lines(n.ip(n.ns, c)) {
			if !strings.Contains(line, "proto kernel") {
				b.WriteString(strings.TrimSpace(volatile.ReplaceAllString(line, "")) + "\n")
			}
		}
	}
	return b.String()
}

func (n *node) want(what, text string) {
	n.t.Helper()
	want := ""
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			want += line + "\n"
		}
	}
	if got := n.routes(); got != want {
		n.t.Errorf("%s: the kernel has\n%s\nwant\n%s", what, got, want)
	}
}

// allKinds is one route of each kind, in both families.
func allKinds() []*intent.Route {
	onlink := via("10.66.3.0/26", intent.RouteCluster, "192.168.7.7")
	onlink.Device, onlink.OnLink, onlink.MTU = "eth0", true, 1450
	onlink6 := via("fd66:3::/122", intent.RouteCluster, "fd77::7")
	onlink6.Device, onlink6.OnLink = "eth0", true
	return []*intent.Route{
		workloadRoute("10.65.0.1/32", "cali1"), workloadRoute("fd65::1/128", "cali1"),
		blackhole("10.65.0.0/26"), blackhole("fd65::/122"),
		via("10.66.1.0/26", intent.RouteCluster, "10.0.0.2"), via("fd66:1::/122", intent.RouteCluster, "fd00::2"),
		via("10.66.2.0/26", intent.RouteBGP, "10.0.0.3", "10.0.0.2"), via("fd66:2::/122", intent.RouteBGP, "fd00::3", "fd00::2"),
		onlink, onlink6,
	}
}

const allKindsText = `
	blackhole 10.65.0.0/26 proto 84
	10.65.0.1 dev cali1 scope link metric 1024
	10.66.1.0/26 via 10.0.0.2 dev eth0 proto 84 metric 1024
	10.66.2.0/26 proto 84 metric 1024
	nexthop via 10.0.0.2 dev eth0 weight 1
	nexthop via 10.0.0.3 dev eth0 weight 1
	10.66.3.0/26 via 192.168.7.7 dev eth0 proto 84 metric 1024 onlink mtu 1450
	fd65::1 dev cali1 metric 1024 pref medium
	blackhole fd65::/122 dev lo proto 84 metric 1024 pref medium
	fd66:1::/122 via fd00::2 dev eth0 proto 84 metric 1024 pref medium
	fd66:2::/122 proto 84 metric 1024 pref medium
	nexthop via fd00::2 dev eth0 weight 1
	nexthop via fd00::3 dev eth0 weight 1
	fd66:3::/122 via fd77::7 dev eth0 proto 84 metric 1024 onlink pref medium
	fd77::7 dev eth0 proto 84 metric 1024 pref medium
	10.65.0.1 dev cali1 lladdr 02:00:00:00:00:01 PERMANENT
	fd65::1 dev cali1 lladdr 02:00:00:00:00:01 PERMANENT
`

func TestEveryKindOfRoute(t *testing.T) {
	n := newNode(t)
	n.workload("cali1")
	n.ip(n.ns, "neigh flush all")
	n.apply(set(allKinds()...))
	n.want("after the first Apply", allKindsText)
	if s := n.p.Status(); s.Objects != 10 || s.Pending != 0 || len(s.Failures) != 0 {
		t.Errorf("status %+v", s)
	}
	n.restart()
	n.apply(set(allKinds()...))
	if s := n.p.Status(); s.Writes != 0 || s.Pending != 0 {
		t.Errorf("an unchanged restart wrote %d messages, %d pending", s.Writes, s.Pending)
	}
	before := n.p.Status().Writes
	n.apply(set(via("10.66.1.0/26", intent.RouteCluster, "10.0.0.9")))
	if got := n.p.Status().Writes - before; got != 1 {
		t.Errorf("one changed route took %d messages", got)
	}
	n.apply(gone(allKinds()...))
	n.want("after everything went", "")
}

func TestNothingGoesBeforeTheIntentIsWhole(t *testing.T) {
	n := newNode(t)
	n.workload("cali1")
	n.apply(set(allKinds()...))
	n.restart()
	must(t, n.p.Apply(context.Background(), set(blackhole("10.65.0.0/26")), false))
	n.want("before the intent is whole", allKindsText)
	n.apply(nil)
	n.want("after", "blackhole 10.65.0.0/26 proto 84")
}

func TestTakingOverFromCalico(t *testing.T) {
	n := newNode(t)
	n.workload("cali1")
	for _, r := range []string{
		"route add 10.65.0.1 dev cali1 scope link",                             // its CNI plugin's
		"route add 10.65.0.9 dev cali1 scope link metric 1024",                 // a pod that is no more
		"route add blackhole 10.65.0.0/26 proto 80",                            // Felix'
		"route add 10.66.1.0/26 via 10.0.0.2 proto 12 metric 1024",             // BIRD's, same metric
		"route add 10.66.2.0/26 via 10.0.0.2 proto 12 metric 32",               // BIRD's, another metric
		"route add 10.66.9.0/26 via 10.0.0.2 proto 12",                         // BIRD's, not wanted
		"route add 10.99.0.0/16 via 10.0.0.7 metric 5",                         // an administrator's
		"route add 10.98.0.0/16 via 10.0.0.7 proto static metric 1024",         // an administrator's, wanted by BGP too
		"route add blackhole 10.97.0.0/26 proto 84",                            // of an earlier run
		"neigh add 10.65.0.9 lladdr 02:00:00:00:00:09 dev cali1 nud permanent", // of the pod that is no more
	} {
		n.ip(n.ns, r)
	}
	taken := via("10.98.0.0/16", intent.RouteBGP, "10.0.0.2")
	n.apply(set(workloadRoute("10.65.0.1/32", "cali1"), blackhole("10.65.0.0/26"), via("10.66.1.0/26", intent.RouteCluster, "10.0.0.2"),
		via("10.66.2.0/26", intent.RouteCluster, "10.0.0.2"), taken))
	n.want("after taking over", `
		blackhole 10.65.0.0/26 proto 84
		10.65.0.1 dev cali1 scope link metric 1024
		10.66.1.0/26 via 10.0.0.2 dev eth0 proto 84 metric 1024
		10.66.2.0/26 via 10.0.0.2 dev eth0 proto 84 metric 1024
		10.66.9.0/26 via 10.0.0.2 dev eth0 proto bird
		10.98.0.0/16 via 10.0.0.7 dev eth0 proto static metric 1024
		10.99.0.0/16 via 10.0.0.7 dev eth0 metric 5
		10.65.0.1 dev cali1 lladdr 02:00:00:00:00:01 PERMANENT
	`)
	if f := n.p.Status().Failures[taken.ID]; !strings.Contains(f, "protocol 4") {
		t.Errorf("the route that is somebody else's: %q", f)
	}
	// BIRD's route that was not wanted is taken over when it is.
	n.apply(set(via("10.66.9.0/26", intent.RouteCluster, "10.0.0.3")))
	if out := n.ip(n.ns, "route show 10.66.9.0/26"); strings.TrimSpace(out) != "10.66.9.0/26 via 10.0.0.3 dev eth0 proto 84 metric 1024" {
		t.Errorf("10.66.9.0/26 is %q", out)
	}
}

// repair plays the agent: whenever the plane speaks of damage it is synced and applied.
func (n *node) repair(what string, ok func() bool) {
	n.t.Helper()
	deadline := time.After(2 * time.Second)
	for !ok() {
		select {
		case word := <-n.p.Damage():
			n.t.Logf("%s: %s", what, word)
			must(n.t, n.p.Sync(context.Background()), n.p.Apply(context.Background(), nil, true))
		case <-deadline:
			n.t.Fatalf("%s: not repaired within 2 s; the kernel has\n%s", what, n.routes())
		}
	}
}

func TestDamageIsRepaired(t *testing.T) {
	n := newNode(t)
	n.workload("cali1")
	n.apply(set(allKinds()...))
	whole := n.routes()
	for _, damage := range []string{
		"route del 10.65.0.1", "route del blackhole 10.65.0.0/26", "route replace 10.66.1.0/26 via 10.0.0.99 metric 1024 proto 84",
		"-6 route del fd65::1", "-6 route del fd66:2::/122", "neigh del 10.65.0.1 dev cali1",
		"neigh replace fd65::1 lladdr 02:00:00:00:00:99 dev cali1 nud permanent", "route add 10.77.0.0/16 dev cali1", "route add blackhole 10.78.0.0/16 proto 84",
	} {
		n.ip(n.ns, damage)
		if n.routes() == whole {
			t.Fatalf("%s did no damage", damage)
		}
		n.repair(damage, func() bool { return n.routes() == whole })
	}
	n.ip(n.ns, "link set eth0 down")
	n.ip(n.ns, "link set eth0 up")
	n.ip(n.ns, "addr replace fd00::1/64 dev eth0 nodad") // the kernel drops it when the interface goes down
	n.repair("interface down and up", func() bool { return n.routes() == whole })
	if n.p.Status().Repairs == 0 {
		t.Error("no repair was counted")
	}
}

func TestSomebodyWhoNeverStops(t *testing.T) {
	n := newNode(t)
	r := blackhole("10.65.0.0/26")
	n.apply(set(r))
	for range 10 {
		n.ip(n.ns, "route del blackhole 10.65.0.0/26")
		must(t, n.p.Sync(context.Background()), n.p.Apply(context.Background(), nil, true))
		if len(n.p.Status().Failures) > 0 {
			break
		}
	}
	if f := n.p.Status().Failures[r.ID]; !strings.Contains(f, "changed it 3 times") {
		t.Errorf("status after constant damage: %q", f)
	}
}

func TestDeviceThatComesLater(t *testing.T) {
	n := newNode(t)
	r := workloadRoute("10.65.0.1/32", "cali1")
	ok := blackhole("10.65.0.0/26")
	n.apply(set(r, ok))
	s := n.p.Status()
	if s.Pending != 1 || !strings.Contains(s.Failures[r.ID], "no such interface") {
		t.Errorf("status %+v", s)
	}
	n.want("without the interface", "blackhole 10.65.0.0/26 proto 84")
	n.workload("cali1")
	n.repair("the interface appears", func() bool { return n.p.Status().Pending == 0 })
	must(t, n.h.DeleteLink("cali1"))
	n.repair("the interface goes", func() bool { return n.p.Status().Pending == 1 })
	n.workload("cali1")
	n.repair("the interface is made anew", func() bool { return n.p.Status().Pending == 0 })
}

func TestUnreachableNextHop(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct{ prefix, hop, cure string }{
		{"10.66.1.0/26", "172.16.0.1", "addr add 172.16.0.2/24 dev eth0"},
		{"fd66:1::/122", "fd88::1", "addr add fd88::2/64 dev eth0 nodad"},
	} {
		r := via(c.prefix, intent.RouteBGP, c.hop)
		n.apply(set(r))
		if f := n.p.Status().Failures[r.ID]; !strings.Contains(f, "no next hop of ["+c.hop+"]") {
			t.Errorf("%s: failure %q", c.prefix, f)
		}
		n.ip(n.ns, c.cure)
		n.repair(c.prefix, func() bool { return n.p.Status().Pending == 0 })
	}
}
