package route

import (
	"net/netip"
	"os/exec"
	"testing"

	"github.com/tortie-net/tortie/internal/intent"
	"github.com/tortie-net/tortie/internal/kernel"
)

func TestInvalidRoutesAreReportedAndStopNothing(t *testing.T) {
	n := newNode(t)
	bad := []*intent.Route{
		{ID: "none"}, {ID: "type", Prefix: netip.MustParsePrefix("10.1.0.0/16")},
		{ID: "nowhere", Prefix: netip.MustParsePrefix("10.1.0.0/16"), Type: intent.RouteUnicast},
		{ID: "local", Prefix: netip.MustParsePrefix("fd01::/64"), Type: intent.RouteUnicast, NextHops: []netip.Addr{netip.MustParseAddr("fe80::1")}},
	}
	n.apply(set(append(bad, blackhole("10.65.0.0/26"))...))
	n.want("beside invalid ones", "blackhole 10.65.0.0/26 proto 84")
	if s := n.p.Status(); len(s.Failures) != len(bad) {
		t.Errorf("failures %v", s.Failures)
	}
	n.apply(gone(bad...))
	if s := n.p.Status(); len(s.Failures) != 0 || s.Pending != 0 {
		t.Errorf("after they went: %+v", s)
	}
}

func TestLocalWorkloadBeforeLearnedRoute(t *testing.T) {
	n := newNode(t)
	n.workload("cali1")
	learned := via("10.65.0.1/32", intent.RouteBGP, "10.0.0.2")
	learned.ID = "learned"
	local := workloadRoute("10.65.0.1/32", "cali1")
	n.apply(set(learned, local))
	n.want("both", "10.65.0.1 dev cali1 scope link metric 1024\n10.65.0.1 dev cali1 lladdr 02:00:00:00:00:01 PERMANENT")
	n.apply(gone(local))
	n.want("the learned one alone", "10.65.0.1 via 10.0.0.2 dev eth0 proto 84 metric 1024")
}

func TestWorkloadsPingThroughTheNode(t *testing.T) {
	n := newNode(t)
	a := n.workload("cali1", "10.65.0.1", "fd65::1")
	n.workload("cali2", "10.65.0.2", "fd65::2")
	for _, dev := range []string{"cali1", "cali2"} {
		must(t, n.h.AddAddress(dev, netip.MustParsePrefix("fe80::ecee:eeff:feee:eeee/64")))
	}
	n.apply(set(workloadRoute("10.65.0.1/32", "cali1"), workloadRoute("fd65::1/128", "cali1"),
		workloadRoute("10.65.0.2/32", "cali2"), workloadRoute("fd65::2/128", "cali2"), blackhole("10.65.0.0/26"), blackhole("fd65::/122")))
	ping := func(dst string) (string, error) {
		var out []byte
		err := a.Do(func() (err error) {
			out, err = exec.Command("ping", "-c", "1", "-W", "2", dst).CombinedOutput()
			return err
		})
		return string(out), err
	}
	for _, dst := range []string{"10.65.0.2", "fd65::2"} {
		if out, err := ping(dst); err != nil {
			t.Errorf("ping %s: %v\n%s", dst, err, out)
		}
	}
	for _, dst := range []string{"10.65.0.3", "fd65::3"} {
		if _, err := ping(dst); err == nil {
			t.Errorf("an address of the block that nobody has answered: %s", dst)
		}
	}
}

// TestSettingsOfTheNode: interface prefixes, protocol of workload routes and what happens to others' routes are data.
func TestSettingsOfTheNode(t *testing.T) {
	n := newNode(t)
	n.workload("pod1")
	host := &intent.Host{Config: intent.Config{InterfacePrefixes: []string{"pod"}, DeviceRouteProtocol: 85}}
	changes := append(set(workloadRoute("10.65.0.1/32", "pod1")), intent.KernelChange{Ref: host.Ref(), Object: host})
	n.ip(n.ns, "route add 10.77.0.0/16 dev pod1")
	n.apply(changes)
	n.want("removeExternalRoutes false", "10.65.0.1 dev pod1 proto 85 scope link metric 1024\n10.77.0.0/16 dev pod1 scope link\n10.65.0.1 dev pod1 lladdr 02:00:00:00:00:01 PERMANENT")
	remove := *host
	remove.RemoveExternalRoutes = true
	n.apply([]intent.KernelChange{{Ref: remove.Ref(), Object: &remove}})
	n.want("removeExternalRoutes true", "10.65.0.1 dev pod1 proto 85 scope link metric 1024\n10.65.0.1 dev pod1 lladdr 02:00:00:00:00:01 PERMANENT")
}

func TestWithIPv6Off(t *testing.T) {
	n := newNode(t)
	must(t, kernel.Sysctls{Namespace: n.ns}.WriteAll([]kernel.Setting{{Path: "net/ipv6/conf/all/disable_ipv6", Value: "1"}, {Path: "net/ipv6/conf/default/disable_ipv6", Value: "1"}}))
	n.workload("cali1")
	n.apply(set(workloadRoute("10.65.0.1/32", "cali1"), blackhole("10.65.0.0/26"), via("10.66.1.0/26", intent.RouteCluster, "10.0.0.2")))
	if s := n.p.Status(); s.Pending != 0 || len(s.Failures) != 0 {
		t.Errorf("status %+v", s)
	}
}
