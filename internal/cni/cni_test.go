package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
)

// The names are those that Calico's plugin gave in a recorded run.
func TestHostInterfaceNames(t *testing.T) {
	for _, c := range []struct {
		id   model.WorkloadID
		want string
	}{
		{model.WorkloadID{Orchestrator: "k8s", Namespace: "ns1", Workload: "web-7d5f-abc", Endpoint: "eth0"}, "cali86635e5a6e0"},
		{model.WorkloadID{Orchestrator: "k8s", Namespace: "ns1", Workload: "web-0", Endpoint: "eth0"}, "caliabc48332923"},
		{model.WorkloadID{Orchestrator: "cni", Namespace: "default", Workload: "container0001", Endpoint: "eth0"}, "calicontainer00"},
		{model.WorkloadID{Orchestrator: "cni", Namespace: "default", Workload: "abc", Endpoint: "eth0"}, "caliabc"},
	} {
		if got := hostInterface("cali", c.id); got != c.want {
			t.Errorf("%v: %s, want %s", c.id, got, c.want)
		}
	}
	long := hostInterface("verylongpre", model.WorkloadID{Orchestrator: "k8s", Namespace: "a", Workload: "b", Endpoint: "eth0"})
	if len(long) > 15 {
		t.Errorf("%s has %d characters", long, len(long))
	}
}

// TestWorkloadAsSeenFromInside is the wiring, as a user would look at it.
func TestWorkloadAsSeenFromInside(t *testing.T) {
	n := newTestNode(t)
	n.node.set(func(f *fakeNode) { f.config.MTU = 1450 })
	n.store.pod("ns1", "web-0", "u1", map[string]string{annotationPrefix + "hwAddr": "02:00:00:00:00:01"})
	ns := pod(t)
	raw := n.mustAdd("c1", podArgs("web-0", "u1"), config(""), ns)
	golden(t, "workload.txt", describe(t, ns, "ip addr show eth0", "ip -4 route", "ip -6 route", "ip neigh")+
		describe(t, n.ns, "ip addr show caliabc48332923", "ip -4 route", "ip -6 route show dev caliabc48332923"))
	var pretty types100.Result
	must(t, json.Unmarshal(raw, &pretty))
	text, err := json.MarshalIndent(&pretty, "", "  ")
	must(t, err)
	golden(t, "result.json", string(text)+"\n")
	if v, err := (kernel.Sysctls{Namespace: ns}).Read("net/ipv4/ip_forward"); err != nil || v != "0" {
		t.Errorf("the workload forwards: %q, %v", v, err)
	}
	check := SocketRequest{Command: "CHECK", ContainerID: "c1", IfName: "eth0", Args: podArgs("web-0", "u1"), Config: config(`,"prevResult":` + string(raw))}
	r, err := n.send(check, ns)
	if must(t, err); r.Error != nil {
		t.Fatalf("CHECK: %+v", *r.Error)
	}
	for _, damage := range []string{
		"ip link set eth0 mtu 1400", "ip neigh del 169.254.1.1 dev eth0", "ip route del default", "ip -6 route del default", "ip addr del 10.65.0.1/32 dev eth0",
	} {
		if _, err := run(t, ns, strings.Fields(damage)...); err != nil {
			t.Fatal(damage, err)
		}
		if r, err := n.send(check, ns); err != nil || r.Error == nil {
			t.Errorf("CHECK after %q found nothing wrong (%v)", damage, err)
		}
		// The same container's ADD makes it anew.
		n.mustAdd("c1", podArgs("web-0", "u1"), config(""), ns)
		if damage != "ip addr del 10.65.0.1/32 dev eth0" {
			n.mustDel("c1", podArgs("web-0", "u1"), ns)
			n.store.restart()
			n.mustAdd("c1", podArgs("web-0", "u1"), config(""), ns)
		}
	}
}

func TestTwoWorkloadsReachEachOther(t *testing.T) {
	n := newTestNode(t)
	a, b := pod(t), pod(t)
	n.store.pod("ns1", "a", "ua", nil)
	n.mustAdd("ca", podArgs("a", "ua"), config(""), a)
	n.mustAdd("cb", "", config(""), b) // only CNI knows of this one
	for _, dst := range []string{"10.65.0.2", "fd65::2"} {
		if out, err := run(t, a, "ping", "-c", "2", "-i", "0.1", "-W", "2", dst); err != nil {
			t.Errorf("ping %s: %v\n%s", dst, err, out)
		}
	}
	ep := n.store.asked()[1].Endpoint
	if ep == nil || ep.ContainerID != "cb" || ep.Interface != "calicb" || !slices.Equal(ep.Profiles, []string{"k8s-pod-network"}) || ep.MAC == "" {
		t.Errorf("stored endpoint of the second workload: %+v", ep)
	}
	n.mustDel("cb", "", b)
	if n.store.known() != 1 {
		t.Errorf("the endpoint of the deleted container is still stored")
	}
}

func TestResultVersions(t *testing.T) {
	n := newTestNode(t)
	for i, v := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		conf := json.RawMessage(strings.Replace(string(config(`,"tortie.io/netns":"/run/netns/x"`)), "1.1.0", v, 1))
		raw := n.mustAdd(fmt.Sprintf("c%d", i), "", conf, pod(t))
		var got struct {
			CNIVersion string
			Interfaces []struct{ Name, Sandbox, Mac string }
			IPs        []struct {
				Version   string
				Address   string
				Interface *int
			}
		}
		must(t, json.Unmarshal(raw, &got))
		if got.CNIVersion != v || len(got.Interfaces) != 2 || got.Interfaces[1].Sandbox != "/run/netns/x" || len(got.IPs) != 2 || *got.IPs[0].Interface != 1 {
			t.Errorf("%s: %s", v, raw)
		}
		if (got.IPs[0].Version == "4") != (v < "1") {
			t.Errorf("%s: ips[0].version %q", v, got.IPs[0].Version)
		}
		if strings.Contains(string(raw), `"mtu"`) {
			t.Errorf("%s: mtu in a result without one: %s", v, raw)
		}
	}
	conf := json.RawMessage(strings.Replace(string(config("")), "1.1.0", "2.0.0", 1))
	if r, err := n.add("c9", "", conf, pod(t)); err != nil || r.Error == nil || r.Error.Code != 1 {
		t.Errorf("cniVersion 2.0.0: %+v, %v", r.Error, err)
	}
}

func TestWhatIsAskedOfTheAllocator(t *testing.T) {
	n := newTestNode(t)
	const p = annotationPrefix
	a4, a6 := netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("fd99::9")
	pools := `,"ipam":{"type":"calico-ipam","ipv4_pools":["conf4"],"assign_ipv6":"true"}`
	for name, c := range map[string]struct {
		annotations map[string]string
		extra, args string
		want        AddressRequest
		given       []netip.Addr
		code        uint
		text        string
	}{
		"automatic":            {want: AddressRequest{Want4: true, Want6: true, Pools4: []string{"auto4"}, Pools6: []string{"auto6"}}},
		"families narrowed":    {annotations: map[string]string{p + "ipFamilies": `["IPv6"]`}, want: AddressRequest{Want6: true, Pools4: []string{"auto4"}, Pools6: []string{"auto6"}}},
		"pools of conf":        {extra: pools, want: AddressRequest{Want4: true, Want6: true, Explicit: true, Pools4: []string{"conf4"}, Pools6: []string{"auto6"}}},
		"pools of pod":         {extra: pools, annotations: map[string]string{p + "ipv4pools": `["pod4"]`, p + "ipv6pools": `["pod6"]`}, want: AddressRequest{Want4: true, Want6: true, Explicit: true, Pools4: []string{"pod4"}, Pools6: []string{"pod6"}}},
		"addresses":            {annotations: map[string]string{p + "ipAddrs": `["10.9.9.9","fd99::9"]`}, want: AddressRequest{Explicit: true, Addresses: []netip.Addr{a4, a6}}},
		"address of args":      {args: ";IP=10.9.9.9", want: AddressRequest{Explicit: true, Addresses: []netip.Addr{a4}}},
		"no IPAM":              {annotations: map[string]string{p + "ipAddrsNoIpam": `["10.9.9.9"]`}, extra: `,"feature_control":{"ip_addrs_no_ipam":true}`, given: []netip.Addr{a4}},
		"no IPAM, not allowed": {annotations: map[string]string{p + "ipAddrsNoIpam": `["10.9.9.9"]`}, code: 7, text: "feature_control.ip_addrs_no_ipam"},
		"both":                 {annotations: map[string]string{p + "ipAddrsNoIpam": `["10.9.9.9"]`, p + "ipAddrs": `["10.9.9.9"]`}, code: 7, text: "exclude each other"},
		"two of one family":    {annotations: map[string]string{p + "ipAddrs": `["10.9.9.9","10.9.9.8"]`}, code: 7, text: "at most one IPv4"},
		"not a list":           {annotations: map[string]string{p + "ipv4pools": `pool`}, code: 7, text: "not a JSON list"},
		"unknown family":       {annotations: map[string]string{p + "ipFamilies": `["IPv5"]`}, code: 7, text: "IPv5"},
		"multicast MAC":        {annotations: map[string]string{p + "hwAddr": "67:00:00:00:00:01"}, code: 7, text: "multicast"},
		"wrong boolean":        {extra: `,"ipam":{"type":"calico-ipam","assign_ipv4":"yes"}`, code: 7, text: "assign_ipv4"},
		"delegated": {extra: `,"ipam":{"type":"host-local"},"tortie.io/ipamResult":{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.9.9.9/24","gateway":"10.9.9.1"}],"routes":[{"dst":"0.0.0.0/0"}]}`,
			given: []netip.Addr{a4}},
		"delegated without result": {extra: `,"ipam":{"type":"host-local"}`, code: 7, text: "result is missing"},
		"half of a pod":            {args: ";K8S_POD_NAME=", code: 4, text: "go together"},
		"no address":               {args: ";IP=10.9.9", code: 4, text: "not an address"},
	} {
		t.Run(name, func(t *testing.T) {
			n.t = t
			n.store.restart()
			n.store.pod("ns1", "p", "u", c.annotations)
			ns := pod(t)
			r, err := n.add("c1", podArgs("p", "u")+c.args, config(c.extra), ns)
			must(t, err)
			if c.code != 0 {
				if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Msg, c.text) {
					t.Errorf("answer %+v, want code %d with %q", r.Error, c.code, c.text)
				}
				if links, err := n.host.Links(); err != nil || len(links) != 1 || n.store.handles() != 0 || len(n.server.o.Journal.Load()) != 0 {
					t.Errorf("the failed ADD left something behind: %v", links)
				}
				return
			}
			if r.Error != nil {
				t.Fatalf("%+v", *r.Error)
			}
			b, _ := n.node.binding(model.WorkloadID{Orchestrator: "k8s", Namespace: "ns1", Workload: "p", Endpoint: "eth0"})
			if c.given != nil {
				if !slices.Equal(b.Addresses, c.given) || len(n.store.asked()) != 0 {
					t.Errorf("bound %v, %d requests; want %v, none", b.Addresses, len(n.store.asked()), c.given)
				}
			} else {
				got := n.store.asked()[0]
				attrs := got.Attributes
				if attrs[model.AttrNode] != "node1" || attrs[model.AttrPod] != "p" || attrs[model.AttrNamespace] != "ns1" || attrs[model.AttrUID] != "u" || got.Handle != "k8s-pod-network.c1" {
					t.Errorf("handle %q, attributes %v", got.Handle, attrs)
				}
				got.Handle, got.Attributes = "", nil
				if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
					t.Errorf("asked %+v, want %+v", got, c.want)
				}
			}
			n.mustDel("c1", podArgs("p", "u"), ns)
		})
	}
}

func TestFailedAddLeavesNothing(t *testing.T) {
	n := newTestNode(t)
	n.store.pod("ns1", "p", "u", nil)
	ns := pod(t)
	fail := func(what, args, text string) {
		t.Helper()
		r, err := n.add("c1", args, config(`,"policy_setup_timeout_seconds":1`), ns)
		must(t, err)
		if r.Error == nil || r.Error.Code != 11 || !strings.Contains(r.Error.Msg, text) {
			t.Errorf("%s: answer %+v, want code 11 with %q", what, r.Error, text)
		}
		if links, err := n.host.Links(); err != nil || len(links) != 1 || n.store.handles() != 0 || len(n.server.o.Journal.list(func(entry) bool { return true })) != 0 {
			t.Errorf("%s left something behind: %v, %d handles", what, links, n.store.handles())
		}
	}
	fail("pod with another UID", podArgs("p", "other"), "policySetupTimeout")
	n.node.set(func(f *fakeNode) { f.bindFail = errors.New("plane nft: no") })
	fail("plane that refuses", podArgs("p", "u"), "plane nft: no")
	n.node.set(func(f *fakeNode) { f.bindFail = nil })
	n.store.setAway(errors.New("store: connection refused"))
	fail("store away", podArgs("p", "u"), "connection refused")
	n.node.set(func(f *fakeNode) { f.notReady = errors.New("not in sync") })
	fail("agent not ready", podArgs("p", "u"), "cannot serve ADD now")
	if r, err := n.send(SocketRequest{Command: "STATUS", Config: config("")}, nil); err != nil || r.Error == nil || r.Error.Code != 50 {
		t.Errorf("STATUS: %+v, %v", r.Error, err)
	}
	n.node.set(func(f *fakeNode) { f.notReady = nil })
	n.store.setAway(nil)
	if _, err := run(t, ns, "ip", "link", "add", "eth0", "type", "bridge"); err != nil {
		t.Fatal(err)
	}
	fail("interface exists", podArgs("p", "u"), "exists already")
	if _, err := run(t, ns, "ip", "link", "show", "eth0"); err != nil {
		t.Error("the interface that was there is gone")
	}
}

func TestRetryAndStaleDel(t *testing.T) {
	n := newTestNode(t)
	n.store.pod("ns1", "web-0", "u1", nil)
	first, second := pod(t), pod(t)
	args := podArgs("web-0", "u1")
	one := n.mustAdd("old", args, config(""), first)
	if again := n.mustAdd("old", args, config(""), first); string(again) != string(one) || n.store.assigned() != 1 {
		t.Errorf("retry answered %s, first was %s", again, one)
	}
	n.mustAdd("new", args, config(""), second)
	n.mustDel("old", args, first)
	n.mustDel("old", args, nil)
	if !n.hasLink("caliabc48332923") || n.store.handles() != 1 {
		t.Error("the DEL of the old container touched the new one")
	}
	if b, ok := n.node.binding(model.WorkloadID{Orchestrator: "k8s", Namespace: "ns1", Workload: "web-0", Endpoint: "eth0"}); !ok || b.ContainerID != "new" {
		t.Errorf("binding %+v", b)
	}
	n.mustDel("new", args, second)
	n.mustDel("never", podArgs("never", ""), nil)
	if n.hasLink("caliabc48332923") || n.store.handles() != 0 {
		t.Error("the DEL of the new container left something")
	}
}

func TestStoreAwayAtDel(t *testing.T) {
	n := newTestNode(t)
	ns := pod(t)
	n.mustAdd("c1", "", config(""), ns)
	n.store.setAway(errors.New("away"))
	n.mustDel("c1", "", ns)
	if n.hasLink("calic1") || n.store.handles() != 1 {
		t.Error("DEL with the store away: interface must go, addresses stay")
	}
	n.stop()
	n.store.setAway(nil)
	n.start()
	eventually(t, "the queued DEL releases the addresses", func() bool { return n.store.handles() == 0 })
	eventually(t, "the spool is empty", func() bool { p, _ := n.server.o.Journal.queued(); return len(p) == 0 })
}

func TestGC(t *testing.T) {
	n := newTestNode(t)
	n.mustAdd("keep", "", config(""), pod(t))
	n.mustAdd("lost", "", config(""), pod(t))
	other := json.RawMessage(strings.Replace(string(config("")), "k8s-pod-network", "other", 1))
	n.mustAdd("othernet", "", other, pod(t))
	r, err := n.send(SocketRequest{Command: "GC", Config: config(`,"cni.dev/valid-attachments":[{"containerID":"keep","ifname":"eth0"}]`)}, nil)
	if must(t, err); r.Error != nil {
		t.Fatalf("GC: %+v", *r.Error)
	}
	if n.hasLink("calilost") || !n.hasLink("calikeep") || !n.hasLink("caliothernet") || n.store.handles() != 2 {
		t.Error("GC took the wrong ones")
	}
}

func TestPlainIPAM(t *testing.T) {
	n := newTestNode(t)
	req := func(command string) SocketResponse {
		r, err := n.send(SocketRequest{Command: command, ContainerID: "c1", IfName: "eth0", Args: podArgs("p", "u"), Config: config("")}, nil)
		must(t, err)
		return r
	}
	r := req("IPAM ADD")
	if r.Error != nil || !strings.Contains(string(r.Result), `"10.65.0.1/32"`) || !strings.Contains(string(r.Result), `"fd65::1/128"`) || strings.Contains(string(r.Result), "interfaces") {
		t.Fatalf("%+v %s", r.Error, r.Result)
	}
	if again := req("IPAM ADD"); string(again.Result) != string(r.Result) {
		t.Errorf("retry answered %s", again.Result)
	}
	if r := req("IPAM CHECK"); r.Error != nil {
		t.Errorf("CHECK: %+v", *r.Error)
	}
	for range 2 {
		if r := req("IPAM DEL"); r.Error != nil || n.store.handles() != 0 {
			t.Errorf("DEL: %+v, %d handles", r.Error, n.store.handles())
		}
	}
	if r := req("IPAM CHECK"); r.Error == nil {
		t.Error("CHECK after DEL found nothing wrong")
	}
}

// TestNamesThatCollide: containers whose IDs begin alike would share an interface; the second is refused, the first
// lives on.
func TestNamesThatCollide(t *testing.T) {
	n := newTestNode(t)
	first := pod(t)
	n.mustAdd("container-0000001", "", config(""), first)
	r, err := n.add("container-0000002", "", config(""), pod(t))
	if must(t, err); r.Error == nil || r.Error.Code != 7 || !strings.Contains(r.Error.Msg, "calicontainer-0 is in use by workload cni/default/container-0000001/eth0") {
		t.Errorf("the second container: %+v", r.Error)
	}
	r, err = n.send(SocketRequest{Command: "CHECK", ContainerID: "container-0000001", IfName: "eth0", Config: config("")}, first)
	if must(t, err); r.Error != nil || n.store.handles() != 1 {
		t.Errorf("the first container: %+v, %d handles", r.Error, n.store.handles())
	}
}

// TestWithIPv6Off: a node without IPv6 serves IPv4 workloads, and says why it cannot serve others.
func TestWithIPv6Off(t *testing.T) {
	n := newTestNode(t)
	off := []kernel.Setting{{Path: "net/ipv6/conf/all/disable_ipv6", Value: "1"}, {Path: "net/ipv6/conf/default/disable_ipv6", Value: "1"}}
	must(t, kernel.Sysctls{Namespace: n.ns}.WriteAll(off))
	ns := pod(t)
	must(t, kernel.Sysctls{Namespace: ns}.WriteAll(off))
	r, err := n.add("c1", "", config(""), ns)
	if must(t, err); r.Error == nil || !strings.Contains(r.Error.Msg, "IPv6 is off on this node") {
		t.Errorf("dual stack: %+v", r.Error)
	}
	four := config(`,"ipam":{"assign_ipv6":"false"}`)
	n.mustAdd("c1", "", four, ns)
	r, err = n.send(SocketRequest{Command: "CHECK", ContainerID: "c1", IfName: "eth0", Config: four}, ns)
	if must(t, err); r.Error != nil {
		t.Errorf("CHECK: %+v", *r.Error)
	}
	if v, err := (kernel.Sysctls{Namespace: ns}).Read("net/ipv6/conf/all/disable_ipv6"); err != nil || v != "1" {
		t.Errorf("the workload's disable_ipv6 is %q now, %v", v, err)
	}
}

// TestFailedAddEndsInTime: an ADD that waits in vain ends within its limit, undoing included, and as long as it has
// asked for no address the store is left alone: it may be what is away.
func TestFailedAddEndsInTime(t *testing.T) {
	n := newTestNode(t)
	n.store.setAway(errors.New("store: connection refused"))
	began := time.Now()
	r, err := n.add("c1", podArgs("nobody", "u"), config(`,"policy_setup_timeout_seconds":1`), pod(t))
	must(t, err)
	if took := time.Since(began); r.Error == nil || r.Error.Code != 11 || took > 1500*time.Millisecond {
		t.Errorf("after %v: answer %+v, want code 11 within 1 s", took, r.Error)
	}
	if queued, err := n.server.o.Journal.queued(); err != nil || len(queued) != 0 {
		t.Errorf("a DEL is queued although nothing was asked of the store: %v, %v", queued, err)
	}
	if left := undoTime(addTimeout); left != undoTimeout {
		t.Errorf("%v of %v are for undoing, want %v", left, addTimeout, undoTimeout)
	}
}
