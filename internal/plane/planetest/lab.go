package planetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/model"
)

// Lab is a router, in a namespace of its own, whose interfaces lead to a second namespace that holds nothing but their
// other ends: frames are put onto the wires and taken off them there by packet sockets. So a workload costs one veth, any
// number of addresses, and nobody answers on his own.
type Lab struct {
	Router *kernel.Namespace

	wires   *kernel.Namespace
	handle  *kernel.Handle // of Router
	far     *kernel.Handle // of wires
	ports   map[int]*Port  // by interface index in wires
	raw     int            // packet socket in wires
	host    []int          // raw sockets in Router: what is delivered to the host itself
	next    uint32
	barrier [2]*Port
	buf     []byte
}

// Port is one interface of the router.
type Port struct {
	Name    string
	Addrs   []netip.Addr // behind it
	index   int          // in Router
	peer    int          // in wires
	mac     [6]byte
	peerMAC [6]byte
}

// The host's own addresses, on interface eth0, and networks behind eth0 and eth1.
var (
	HostIPv4 = netip.MustParseAddr("192.0.2.1")
	HostIPv6 = netip.MustParseAddr("2001:db8:ff::1")
	Outside4 = netip.MustParseAddr("198.51.100.7")
	Outside6 = netip.MustParseAddr("2001:db8:99::7")
	barrier  = netip.MustParseAddr("203.0.113.77")
)

// NewLab makes the router with eth0, where the default routes lead, and eth1.
func NewLab(t testing.TB) *Lab {
	t.Helper()
	l := &Lab{ports: make(map[int]*Port), buf: make([]byte, 64<<10), next: 1}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("packet lab: %v", err)
		}
	}
	var err error
	l.Router, err = kernel.NewNamespace()
	check(err)
	t.Cleanup(func() { _ = l.Router.Close() })
	l.wires, err = kernel.NewNamespace()
	check(err)
	t.Cleanup(func() { _ = l.wires.Close() })
	l.handle, err = kernel.Open(l.Router)
	check(err)
	t.Cleanup(l.handle.Close)
	l.far, err = kernel.Open(l.wires)
	check(err)
	t.Cleanup(l.far.Close)
	check(l.settings())
	check(l.sockets())
	t.Cleanup(func() {
		for _, fd := range append(l.host, l.raw) {
			_ = unix.Close(fd)
		}
	})
	out, side := l.AddPort(t, "eth0"), l.AddPort(t, "eth1", barrier)
	l.barrier = [2]*Port{out, side}
	check(l.handle.AddAddress("eth0", netip.PrefixFrom(HostIPv4, 24)))
	check(l.handle.AddAddress("eth0", netip.PrefixFrom(HostIPv6, 64)))
	for _, way := range []struct{ prefix, gateway string }{
		{"0.0.0.0/0", "192.0.2.254"}, {"::/0", "2001:db8:ff::fe"},
	} {
		gateway := netip.MustParseAddr(way.gateway)
		l.neighbour(t, out, gateway)
		l.route(t, netip.MustParsePrefix(way.prefix), out, gateway)
	}
	return l
}

func (l *Lab) settings() error {
	set := func(ns *kernel.Namespace, list ...kernel.Setting) error {
		return kernel.Sysctls{Namespace: ns}.WriteAll(list)
	}
	return errors.Join(
		set(l.Router,
			kernel.Setting{Path: "net/ipv4/ip_forward", Value: "1"},
			kernel.Setting{Path: "net/ipv6/conf/all/forwarding", Value: "1"},
			kernel.Setting{Path: "net/ipv4/conf/all/rp_filter", Value: "0"},
			kernel.Setting{Path: "net/ipv4/conf/default/rp_filter", Value: "0"},
			kernel.Setting{Path: "net/ipv4/icmp_ratelimit", Value: "0"},
			kernel.Setting{Path: "net/ipv6/icmp/ratelimit", Value: "0"}),
		set(l.wires,
			kernel.Setting{Path: "net/ipv6/conf/all/disable_ipv6", Value: "1"},
			kernel.Setting{Path: "net/ipv6/conf/default/disable_ipv6", Value: "1"}))
}

func (l *Lab) sockets() error {
	const everything = 0x0003 // ETH_P_ALL
	open := func(domain, proto int) (int, error) {
		fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
		if err != nil {
			return 0, fmt.Errorf("raw socket: %w", err)
		}
		return fd, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	}
	err := l.wires.Do(func() (err error) {
		l.raw, err = open(unix.AF_PACKET, everything<<8)
		return err
	})
	if err != nil {
		return err
	}
	return l.Router.Do(func() error {
		for _, s := range []struct{ domain, proto int }{
			{unix.AF_INET, unix.IPPROTO_TCP}, {unix.AF_INET, unix.IPPROTO_UDP}, {unix.AF_INET, unix.IPPROTO_ICMP},
			{unix.AF_INET6, unix.IPPROTO_TCP}, {unix.AF_INET6, unix.IPPROTO_UDP}, {unix.AF_INET6, unix.IPPROTO_ICMPV6},
		} {
			fd, err := open(s.domain, s.proto)
			if err != nil {
				return err
			}
			l.host = append(l.host, fd)
		}
		return nil
	})
}

// AddPort adds an interface to the router with addresses behind it, which are routed to it and need no resolution.
func (l *Lab) AddPort(t testing.TB, name string, addrs ...netip.Addr) *Port {
	t.Helper()
	p := &Port{Name: name, Addrs: addrs}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("packet lab: port %s: %v", name, err)
		}
	}
	check(l.handle.AddVeth(kernel.Veth{Name: name, PeerName: name, PeerNamespace: l.wires}))
	near, err := l.handle.Link(name)
	check(err)
	far, err := l.far.Link(name)
	check(err)
	p.index, p.peer = near.Index, far.Index
	for _, m := range []struct {
		text string
		to   *[6]byte
	}{{near.MAC, &p.mac}, {far.MAC, &p.peerMAC}} {
		mac, err := net.ParseMAC(m.text)
		check(err)
		copy(m.to[:], mac)
	}
	check(l.handle.SetLinkUp(name))
	check(l.far.SetLinkUp(name))
	check(running(l.handle, name))
	check(running(l.far, name))
	l.ports[p.peer] = p
	for _, a := range addrs {
		l.route(t, netip.PrefixFrom(a, a.BitLen()), p, netip.Addr{})
		l.neighbour(t, p, a)
	}
	return p
}

// running waits until the kernel has noticed the interface's carrier: it drops what is sent before.
func running(h *kernel.Handle, name string) error {
	const patience = 5 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		link, err := h.Link(name)
		if err != nil || link.Running {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("interface %s has no carrier after %v", name, patience)
		}
	}
}

func (l *Lab) route(t testing.TB, prefix netip.Prefix, p *Port, gateway netip.Addr) {
	t.Helper()
	errs, _ := l.handle.WriteRoutes([]kernel.RouteWrite{{Operation: kernel.RouteReplace, Route: kernel.Route{
		Prefix: prefix, Kind: kernel.Unicast, Protocol: unix.RTPROT_STATIC, NextHops: []kernel.NextHop{{Link: p.index, Gateway: gateway}},
	}}})
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("packet lab: port %s: %v", p.Name, err)
	}
}

func (l *Lab) neighbour(t testing.TB, p *Port, addr netip.Addr) {
	t.Helper()
	errs, _ := l.handle.WriteNeighbours([]kernel.NeighbourWrite{{Neighbour: kernel.Neighbour{
		Link: p.index, Addr: addr, MAC: net.HardwareAddr(p.peerMAC[:]).String(), Permanent: true,
	}}})
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("packet lab: port %s: %v", p.Name, err)
	}
}

// Probe is one packet put onto a wire.
type Probe struct {
	From   *Port
	Packet model.Packet
}

// Arrival is what became of a packet. To is the port that it left the router by, "host" if it was delivered to the router
// itself, empty if neither.
type Arrival struct {
	To       string
	Src      netip.Addr // as it arrived: after source NAT
	SrcPort  uint16
	Rejected bool // an ICMP error came back
}

// barrierTimeout bounds the wait for a packet that always passes.
const barrierTimeout = 5 * time.Second

// Send puts packets onto the wires, in order, and tells what became of each. It does not wait for time to pass: a packet
// between two interfaces that no policy is for goes last, through the same queue of the same CPU.
func (l *Lab) Send(t testing.TB, probes ...Probe) []Arrival {
	t.Helper()
	out := make([]Arrival, 0, len(probes))
	const chunk = 500 // within the kernel's backlog of 1,000 packets
	for len(probes) > 0 {
		n := min(chunk, len(probes))
		got, err := l.send(probes[:n])
		if err != nil {
			t.Fatalf("packet lab: %v", err)
		}
		out = append(out, got...)
		probes = probes[n:]
	}
	return out
}

func (l *Lab) send(probes []Probe) ([]Arrival, error) {
	release, err := oneCPU()
	if err != nil {
		return nil, err
	}
	defer release()
	out := make([]Arrival, len(probes))
	first := l.next
	l.next += uint32(len(probes)) + 1
	for i, p := range probes {
		if err := l.put(p, first+uint32(i)); err != nil {
			return nil, err
		}
	}
	end := first + uint32(len(probes))
	last := Probe{From: l.barrier[0], Packet: model.Packet{
		Src: Outside4, Dst: barrier, Proto: model.ProtoUDP, SrcPort: 9, DstPort: 9,
	}}
	if err := l.put(last, end); err != nil {
		return nil, err
	}
	note := func(s seen, to string) bool {
		if s.id < first || s.id > end {
			return false
		}
		if s.id == end {
			return true
		}
		a := &out[s.id-first]
		if s.rejected {
			a.Rejected = true
		} else {
			a.To, a.Src, a.SrcPort = to, s.src, s.srcPort
		}
		return false
	}
	if err := l.collect(note); err != nil {
		return nil, err
	}
	for _, fd := range l.host {
		for {
			n, _, err := unix.Recvfrom(fd, l.buf, 0)
			if err != nil {
				break
			}
			if id, ok := tagOf(l.buf[:n]); ok && !isError(l.buf[:n]) {
				note(seen{id: id}, "host")
			}
		}
	}
	return out, nil
}

// isError keeps ICMP errors that the host sends to itself from counting as arrivals.
func isError(b []byte) bool {
	s, ok := parse(b)
	return ok && s.rejected
}

func (l *Lab) put(p Probe, id uint32) error {
	b := frame(p.From.mac, p.From.peerMAC, p.Packet, id)
	err := unix.Sendto(l.raw, b, 0, &unix.SockaddrLinklayer{Ifindex: p.From.peer, Halen: 6})
	if err != nil {
		return fmt.Errorf("port %s: send: %w", p.From.Name, err)
	}
	return nil
}

func (l *Lab) collect(note func(s seen, to string) (end bool)) error {
	deadline := time.Now().Add(barrierTimeout)
	for {
		n, from, err := unix.Recvfrom(l.raw, l.buf, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			if time.Now().After(deadline) {
				return fmt.Errorf("the last packet, which no policy is for, did not arrive within %v", barrierTimeout)
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(l.raw), Events: unix.POLLIN}}, 10)
			continue
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || n < 14 {
			continue
		}
		port := l.ports[ll.Ifindex]
		if s, ok := parse(l.buf[14:n]); ok && port != nil && note(s, port.Name) {
			return nil
		}
	}
}

// oneCPU keeps the calling goroutine on one CPU: what it sends is then handled in order.
func oneCPU() (release func(), err error) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	for cpu := range 1024 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("set CPU affinity: %w", err)
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}, nil
}
