package kernel

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// namespace makes one for a test, with a handle in it.
func namespace(t *testing.T) (*Namespace, *Handle) {
	t.Helper()
	ns, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = ns.Close() })
	return ns, h
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestDoLeavesTheProcessWhereItWas(t *testing.T) {
	before, err := CurrentNamespace()
	must(t, err)
	defer func() { _ = before.Close() }()
	ns, _ := namespace(t)
	for range 50 {
		must(t, ns.Do(func() error {
			here, err := OpenNamespace("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer func() { _ = here.Close() }()
			if !here.Same(ns) {
				t.Error("Do ran outside the namespace")
			}
			return nil
		}))
	}
	for _, path := range []string{"/proc/self/ns/net", "/proc/thread-self/ns/net"} {
		after, err := OpenNamespace(path)
		must(t, err)
		if !after.Same(before) {
			t.Errorf("%s: the process is in another namespace after Do", path)
		}
		_ = after.Close()
	}
}

func TestNamedNamespaceOutlivesItsDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "netns", "a")
	ns, err := NewNamedNamespace(path)
	must(t, err)
	t.Cleanup(func() { must(t, RemoveNamespace(path), RemoveNamespace(path)) })
	if _, err := NewNamedNamespace(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second namespace at the same path: %v", err)
	}
	dev, ino := ns.ID()
	must(t, ns.Close())
	again, err := OpenNamespace(path)
	must(t, err)
	defer func() { _ = again.Close() }()
	if d, i := again.ID(); d != dev || i != ino {
		t.Error("the path leads to another namespace")
	}
}

func TestNotANamespace(t *testing.T) {
	f, err := os.Open("/proc/self/ns/mnt")
	must(t, err)
	fd, err := unix.Dup(int(f.Fd()))
	must(t, err, f.Close())
	if _, err := NamespaceFromFD(fd); err == nil {
		t.Error("a mount namespace was taken for a network namespace")
	}
	if _, err := OpenNamespace("/dev/null"); err == nil {
		t.Error("/dev/null was taken for a network namespace")
	}
}

func TestVethIntoAnotherNamespace(t *testing.T) {
	_, host := namespace(t)
	pod, inside := namespace(t)
	must(t, host.AddVeth(Veth{Name: "cali1", MAC: "ee:ee:ee:ee:ee:ee", PeerName: "born", PeerMAC: "02:00:00:00:00:01", PeerNamespace: pod, MTU: 1400}))
	must(t, inside.RenameLink("born", "eth0"), inside.SetLinkUp("eth0"), host.SetLinkUp("cali1"))
	p := netip.MustParsePrefix("fd00::1/128")
	must(t, inside.AddAddress("eth0", p), inside.AddAddress("eth0", p))
	l, err := inside.Link("eth0")
	must(t, err)
	h, err := host.Link("cali1")
	must(t, err)
	if l.MAC != "02:00:00:00:00:01" || l.MTU != 1400 || !l.Up || l.Type != "veth" || l.Peer != h.Index {
		t.Errorf("workload's end: %+v", l)
	}
	if h.MAC != "ee:ee:ee:ee:ee:ee" || h.MTU != 1400 || !h.Up {
		t.Errorf("host's end: %+v", h)
	}
	addrs, err := inside.Addresses("eth0")
	must(t, err)
	found := false
	for _, a := range addrs {
		found = found || a.Prefix == p && !a.Tentative
	}
	if !found {
		t.Errorf("address %v missing or tentative: %+v", p, addrs)
	}
	must(t, host.DeleteLink("cali1"), host.DeleteLink("cali1"))
	if _, err := inside.Link("eth0"); !errors.Is(err, ErrNoLink) {
		t.Errorf("the other end is still there: %v", err)
	}
	if err := host.SetMTU("cali1", 1300); !errors.Is(err, ErrNoLink) {
		t.Errorf("SetMTU of a missing interface: %v", err)
	}
}

// pair makes a namespace with interface eth0 up, 10.0.0.1/24 and fd00::1/64.
func pair(t *testing.T) (*Namespace, *Handle, int) {
	t.Helper()
	ns, h := namespace(t)
	far, other := namespace(t)
	must(t, h.AddVeth(Veth{Name: "eth0", PeerName: "eth0", PeerNamespace: far}), h.SetLinkUp("eth0"), other.SetLinkUp("eth0"))
	must(t, h.AddAddress("eth0", netip.MustParsePrefix("10.0.0.1/24")), h.AddAddress("eth0", netip.MustParsePrefix("fd00::1/64")))
	l, err := h.Link("eth0")
	must(t, err)
	return ns, h, l.Index
}

func TestRoutesReadBackAsWritten(t *testing.T) {
	_, h, link := pair(t)
	addr := netip.MustParseAddr
	hop := func(a string) NextHop { return NextHop{Gateway: addr(a), Link: link} }
	onlink := NextHop{Gateway: addr("192.168.9.9"), Link: link, OnLink: true}
	for name, r := range map[string]Route{
		"link":         {Prefix: netip.MustParsePrefix("10.65.0.1/32"), Kind: Unicast, Metric: 1024, NextHops: []NextHop{{Link: link}}},
		"link v6":      {Prefix: netip.MustParsePrefix("fd65::1/128"), Kind: Unicast, NextHops: []NextHop{{Link: link}}},
		"gateway":      {Prefix: netip.MustParsePrefix("10.65.1.0/26"), Kind: Unicast, NextHops: []NextHop{hop("10.0.0.2")}, MTU: 1450},
		"gateway v6":   {Prefix: netip.MustParsePrefix("fd65:1::/122"), Kind: Unicast, NextHops: []NextHop{hop("fd00::2")}, MTU: 1450},
		"no interface": {Prefix: netip.MustParsePrefix("10.65.2.0/26"), Kind: Unicast, NextHops: []NextHop{{Gateway: addr("10.0.0.3")}}},
		"onlink":       {Prefix: netip.MustParsePrefix("10.65.3.0/26"), Kind: Unicast, NextHops: []NextHop{onlink}},
		"ecmp":         {Prefix: netip.MustParsePrefix("10.65.4.0/26"), Kind: Unicast, NextHops: []NextHop{hop("10.0.0.3"), hop("10.0.0.2")}},
		"ecmp v6":      {Prefix: netip.MustParsePrefix("fd65:2::/122"), Kind: Unicast, NextHops: []NextHop{hop("fd00::3"), hop("fd00::2")}},
		"v4 over v6":   {Prefix: netip.MustParsePrefix("10.65.5.0/26"), Kind: Unicast, NextHops: []NextHop{hop("fd00::9")}},
		"blackhole":    {Prefix: netip.MustParsePrefix("10.65.0.0/26"), Kind: Blackhole},
		"blackhole v6": {Prefix: netip.MustParsePrefix("fd65::/122"), Kind: Blackhole, Metric: 77},
	} {
		t.Run(name, func(t *testing.T) {
			r.Protocol = 84
			find := func() []Route {
				all, err := h.Routes()
				must(t, err)
				var same []Route
				for _, o := range all {
					if o.Prefix == r.Prefix {
						same = append(same, o)
					}
				}
				return same
			}
			write := func(op RouteOperation, r Route) error {
				errs, bytes := h.WriteRoutes([]RouteWrite{{r, op}})
				if bytes == 0 {
					t.Error("no bytes were counted")
				}
				return errs[0]
			}
			must(t, write(RouteAdd, r))
			if err := write(RouteAdd, r); !errors.Is(err, ErrRouteExists) {
				t.Errorf("adding it again: %v", err)
			}
			must(t, write(RouteReplace, r))
			if got := find(); len(got) != 1 || !got[0].Equal(Route{Prefix: r.Prefix, Metric: r.Metric, Kind: r.Kind, Protocol: 84, NextHops: r.NextHops, MTU: r.MTU}) {
				t.Fatalf("reads back as %+v, wrote %+v", got, r)
			}
			// A blackhole and a gateway take each other's place.
			swap := Route{Prefix: r.Prefix, Metric: r.Metric, Protocol: 84, Kind: Blackhole}
			if r.Kind == Blackhole {
				swap.Kind, swap.NextHops = Unicast, []NextHop{{Link: link}}
			}
			must(t, write(RouteReplace, swap))
			if got := find(); len(got) != 1 || !got[0].Equal(swap) {
				t.Fatalf("after the replacement: %+v, want %+v", got, swap)
			}
			foreign := swap
			foreign.Protocol = 4
			must(t, write(RouteDelete, foreign))
			if len(find()) != 1 {
				t.Error("a route of another protocol was deleted")
			}
			must(t, write(RouteDelete, swap), write(RouteDelete, swap))
			if got := find(); len(got) != 0 {
				t.Errorf("after the deletion: %+v", got)
			}
		})
	}
}

func TestManyRoutesAndOneBad(t *testing.T) {
	_, h, link := pair(t)
	var writes []RouteWrite
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, 70, byte(i >> 8), byte(i)})
		writes = append(writes, RouteWrite{Route{Prefix: netip.PrefixFrom(a, 32), Kind: Unicast, Protocol: 84, NextHops: []NextHop{{Link: link}}}, RouteReplace})
	}
	writes[500].Route.NextHops = []NextHop{{Gateway: netip.MustParseAddr("172.31.255.1")}}
	errs, _ := h.WriteRoutes(writes)
	for i, err := range errs {
		if (err != nil) != (i == 500) {
			t.Errorf("route %d: %v", i, err)
		}
	}
	if !errors.Is(errs[500], unix.ENETUNREACH) {
		t.Errorf("unreachable next hop: %v", errs[500])
	}
	all, err := h.Routes()
	must(t, err)
	n := 0
	for _, r := range all {
		if r.Protocol == 84 {
			n++
		}
	}
	if n != 999 {
		t.Errorf("%d routes, want 999", n)
	}
}

func TestNeighbours(t *testing.T) {
	_, h, link := pair(t)
	for _, a := range []string{"10.0.0.9", "fd00::9"} {
		n := Neighbour{Link: link, Addr: netip.MustParseAddr(a), MAC: "02:00:00:00:00:09", Permanent: true}
		errs, _ := h.WriteNeighbours([]NeighbourWrite{{Neighbour: n}, {Neighbour: Neighbour{Link: link, Addr: n.Addr, MAC: "02:00:00:00:00:0a", Permanent: true}}, {Neighbour: n}})
		must(t, errs...)
		has := func() bool {
			all, err := h.Neighbours()
			must(t, err)
			for _, o := range all {
				if o == n {
					return true
				}
			}
			return false
		}
		if !has() {
			t.Errorf("%v is missing", n)
		}
		errs, _ = h.WriteNeighbours([]NeighbourWrite{{Neighbour: n, Delete: true}, {Neighbour: n, Delete: true}})
		must(t, errs...)
		if has() {
			t.Errorf("%v is still there", n)
		}
	}
	errs, _ := h.WriteNeighbours([]NeighbourWrite{{Neighbour: Neighbour{Link: link, Addr: netip.MustParseAddr("10.0.0.8"), MAC: "nonsense"}}})
	if errs[0] == nil {
		t.Error("a MAC that is none was accepted")
	}
}

// TestSubscription: others' changes are told, own ones are not, a flood that nobody reads is told as an overrun, and
// Close ends Receive.
func TestSubscription(t *testing.T) {
	ns, h, link := pair(t)
	other, err := Open(ns)
	must(t, err)
	defer other.Close()
	sub, err := Subscribe(ns, h.Sender(), GroupRoutes4, GroupRoutes6, GroupNeighbours, GroupLinks)
	must(t, err)
	events := make(chan Event, 4096)
	failures := make(chan error, 4096)
	hold := make(chan bool)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for {
			<-hold
			list, err := sub.Receive()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				failures <- err
			}
			for _, e := range list {
				events <- e
			}
		}
	}()
	go func() {
		for range 3 {
			hold <- true
		}
	}()
	r := Route{Prefix: netip.MustParsePrefix("10.65.0.1/32"), Kind: Unicast, Protocol: 84, NextHops: []NextHop{{Link: link}}}
	errs, _ := h.WriteRoutes([]RouteWrite{{r, RouteAdd}})
	must(t, errs...)
	r6 := Route{Prefix: netip.MustParsePrefix("fd65::1/128"), Kind: Unicast, Protocol: 4, NextHops: []NextHop{{Link: link}}}
	errs, _ = other.WriteRoutes([]RouteWrite{{r, RouteDelete}, {r6, RouteAdd}})
	must(t, errs...)
	for _, want := range []Route{r, r6} {
		select {
		case e := <-events:
			if e.Route == nil || e.Route.Prefix != want.Prefix || e.Gone != (want.Protocol == 84) || e.Sender != other.Sender() {
				t.Fatalf("event %+v %+v, want route %v", e, e.Route, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no event")
		}
	}
	var flood []RouteWrite
	for i := range 20000 {
		a := netip.AddrFrom4([4]byte{10, 80 + byte(i>>16), byte(i >> 8), byte(i)})
		flood = append(flood, RouteWrite{Route{Prefix: netip.PrefixFrom(a, 32), Kind: Unicast, Protocol: 4, NextHops: []NextHop{{Link: link}}}, RouteAdd})
	}
	errs, _ = other.WriteRoutes(flood)
	must(t, errs...)
	deadline := time.After(20 * time.Second)
	for lost := false; !lost; {
		select {
		case hold <- true:
		case err := <-failures:
			if !errors.Is(err, ErrOverrun) {
				t.Fatal(err)
			}
			lost = true
		case <-events:
		case <-deadline:
			t.Fatal("lost notifications were not told")
		}
	}
	must(t, sub.Close())
	for {
		select {
		case hold <- true:
		case <-events:
		case <-failures:
		case <-ended:
			return
		}
	}
}

func TestSysctlsAreTheNamespaces(t *testing.T) {
	ns, _ := namespace(t)
	here, err := Sysctls{}.Read("net/ipv4/ip_default_ttl")
	must(t, err)
	s := Sysctls{Namespace: ns}
	must(t, s.Write("net/ipv4/ip_default_ttl", "77"))
	if v, err := s.Read("net/ipv4/ip_default_ttl"); err != nil || v != "77" {
		t.Errorf("reads back %q, %v", v, err)
	}
	if v, err := (Sysctls{}).Read("net/ipv4/ip_default_ttl"); err != nil || v != here {
		t.Errorf("the process's own namespace has %q, had %q", v, here)
	}
	for _, bad := range []string{"", "/etc/passwd", "../etc/passwd", "net/../../etc/passwd"} {
		if _, err := s.Read(bad); err == nil {
			t.Errorf("path %q was read", bad)
		}
	}
	if err := s.Write("net/ipv4/no_such_setting", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing setting: %v", err)
	}
	if !IPv6Enabled(ns) {
		t.Error("IPv6 is off in a new namespace")
	}
	must(t, s.Write("net/ipv6/conf/all/disable_ipv6", "1"))
	if IPv6Enabled(ns) {
		t.Error("IPv6 is on after it was disabled")
	}
}

// FuzzDecode: whatever bytes come as a notification or an answer, decoding ends and does not panic.
func FuzzDecode(f *testing.F) {
	r := Route{Prefix: netip.MustParsePrefix("10.65.4.0/26"), Kind: Unicast, MTU: 1400, NextHops: []NextHop{
		{Gateway: netip.MustParseAddr("10.0.0.3"), Link: 1}, {Gateway: netip.MustParseAddr("fd00::3"), Link: 2},
	}}
	f.Add(appendMessage(nil, message{unix.RTM_NEWROUTE, 0, encodeRoute(r, false)}, 0, 1, 2))
	f.Add(appendMessage(nil, message{unix.RTM_NEWNEIGH, 0, make([]byte, 12)}, 0, 1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = splitMessages(b, func(h unix.NlMsghdr, data []byte) bool {
			if h.Type != unix.RTM_NEWLINK && h.Type != unix.RTM_DELLINK {
				_, _ = decodeEvent(h, data)
			}
			_ = decodeError(h, data)
			return true
		})
	})
}
