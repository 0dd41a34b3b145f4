package test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/lab"
	"github.com/tortie-net/tortie/internal/lab/traffic"
)

const birthsLab = `
name: births
subnets: [{name: lan, cidr: 172.30.8.0/24, cidr6: "fd00:30:8::/64"}]
nodes: [{name: bi1}, {name: bi2}]
objects:` + meshPools + `
  - |
    apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: default-deny}
    spec: {order: 1000, selector: role == 'newborn', types: [Ingress]}
    ---
    apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: friends}
    spec:
      order: 10
      selector: role == 'newborn'
      types: [Ingress]
      ingress: [{action: Allow, source: {selector: role == 'friend'}}]
    ---
    apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: only-newborns}
    spec:
      selector: role == 'far'
      types: [Ingress]
      ingress: [{action: Allow, source: {selector: role == 'newborn'}}]
workloads:
  - {name: flooder, node: bi1, labels: {role: stranger}}
  - {name: friend, node: bi1, labels: {role: friend}}
  - {name: far, node: bi2, labels: {role: far}}
`

// Nobody is born ahead of its policy: while a stranger floods the addresses, no packet of its reaches a newborn; what is
// allowed works from the moment that ADD returned; other nodes let the newborn in soon after.
func TestBirths(t *testing.T) {
	const newborns = 100
	l := startLab(t, birthsLab)
	if _, err := l.AwaitBGP(t.Context(), 15*time.Second); err != nil {
		t.Fatal(err)
	}
	flooder, err := l.End("flooder", 4)
	if err != nil {
		t.Fatal(err)
	}
	friend, err := l.End("friend", 4)
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.End("far", 4)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the way to the far node", func() error { return farRoute(friend, far) })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	flooded, done := flood(ctx, t, flooder)
	echoServer(t, friend)
	echoServer(t, far)

	var mu sync.Mutex
	var leaked, dropped []string
	var remote []time.Duration
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range newborns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			leaks, drops, far, err := birth(ctx, l, fmt.Sprintf("newborn-%d", i), flooder.Addr, friend, far)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("newborn %d: %v", i, err)
				return
			}
			leaked, dropped, remote = append(leaked, leaks...), append(dropped, drops...), append(remote, far)
		}()
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	// The same birth without policy shows that the flood and the sniffer work.
	open := &lab.Workload{Name: "open", Namespace: "nursery", Node: "bi1", Labels: map[string]string{"role": "open"}}
	if n := controlBirth(t, l, open, flooder.Addr); n == 0 {
		t.Error("a newborn without policy was not flooded: this test could not have seen a leak")
	}
	stop()
	<-done
	slices.Sort(remote)
	t.Logf("%d births under %d flooding packets: %d leaked, %d dropped", newborns, flooded.Load(), len(leaked), len(dropped))
	t.Logf("ADD returned → let in by a label-selected endpoint of another node: p50 %.1f ms, p99 %.1f ms, max %.1f ms",
		ms(remote[len(remote)/2]), ms(remote[len(remote)*99/100]), ms(remote[len(remote)-1]))
	if flooded.Load() < 10000 {
		t.Errorf("only %d flooding packets: that was no flood", flooded.Load())
	}
	if len(leaked) > 0 {
		t.Errorf("leaked: %v", leaked)
	}
	if len(dropped) > 0 {
		t.Errorf("dropped although allowed: %v", dropped)
	}
}

// controlBirth brings a workload up that nothing protects and counts the stranger's packets that reach it.
func controlBirth(t *testing.T, l *lab.Lab, w *lab.Workload, stranger netip.Addr) int {
	t.Helper()
	ns, err := l.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	sniff, err := sniffFrom(ns, stranger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Attach(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	return sniff()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

const echoPort = 7007

// birth brings one workload up and tells what leaked, what was dropped, and how long another node took to let it in.
func birth(ctx context.Context, l *lab.Lab, name string, stranger netip.Addr, friend, far traffic.Workload) (leaks, drops []string, let time.Duration, err error) {
	w := &lab.Workload{Name: name, Namespace: "nursery", Node: "bi1", Labels: map[string]string{"role": "newborn"}}
	ns, err := l.Prepare(ctx, w)
	if err != nil {
		return nil, nil, 0, err
	}
	sniff, err := sniffFrom(ns, stranger)
	if err != nil {
		return nil, nil, 0, err
	}
	addrs, err := l.Attach(ctx, w)
	if err != nil {
		return nil, nil, 0, err
	}
	added := time.Now()
	me := traffic.Workload{Name: name, NS: ns}
	for _, a := range addrs {
		if a.Is4() {
			me.Addr = a
		}
	}
	// The far node first: its time is being measured. One packet each millisecond until the first answer.
	if let, err = answered(me, far.Addr, added, 2*time.Second); err != nil {
		return nil, nil, 0, err
	}
	// Its own flow on this node, and one towards it: the first packet must do.
	if _, err := answered(me, friend.Addr, time.Now(), 0); err != nil {
		drops = append(drops, name+" → friend")
	}
	stop := echoServerOn(me)
	if _, err := answered(friend, me.Addr, time.Now(), 0); err != nil {
		drops = append(drops, "friend → "+name)
	}
	stop()
	time.Sleep(20 * time.Millisecond)
	if n := sniff(); n > 0 {
		leaks = append(leaks, fmt.Sprintf("%s: %d packets", name, n))
	}
	return leaks, drops, let, nil
}

// answered sends UDP packets until one is answered and tells how long after since that was. With no patience it sends one.
func answered(from traffic.Workload, to netip.Addr, since time.Time, patience time.Duration) (time.Duration, error) {
	var conn *net.UDPConn
	err := from.NS.Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, echoPort)))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for {
		if _, err := conn.Write([]byte("?")); err != nil {
			return 0, err
		}
		wait := time.Millisecond
		if patience == 0 {
			wait = 300 * time.Millisecond
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if _, err := conn.Read(buf); err == nil {
			return time.Since(since), nil
		}
		if patience == 0 || time.Since(since) > patience {
			return 0, fmt.Errorf("%s got no answer from %s", from.Name, to)
		}
	}
}

func farRoute(friend, far traffic.Workload) error {
	// far denies friends; that the node answers "unreachable" at once would show that there is no route.
	var conn net.Conn
	err := friend.NS.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(far.Addr, 9).String(), 200*time.Millisecond)
		return err
	})
	if err == nil {
		conn.Close()
		return nil
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return nil
	}
	return err
}

func echoServer(t *testing.T, w traffic.Workload) { t.Cleanup(echoServerOn(w)) }

func echoServerOn(w traffic.Workload) (stop func()) {
	var conn *net.UDPConn
	if err := w.NS.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.Addr, echoPort)))
		return err
	}); err != nil {
		return func() {}
	}
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	return func() { conn.Close() }
}

// flood sends UDP packets to the first addresses of the flooder's own block, over and over, without rest.
func flood(ctx context.Context, t *testing.T, from traffic.Workload) (*atomic.Uint64, <-chan struct{}) {
	var count atomic.Uint64
	done := make(chan struct{})
	var conn *net.UDPConn
	if err := from.NS.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr, 0)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	base := netip.PrefixFrom(from.Addr, 24).Masked().Addr()
	go func() {
		defer close(done)
		defer conn.Close()
		for end := time.Now().Add(2 * time.Minute); ctx.Err() == nil && time.Now().Before(end); {
			addr := base
			for range 256 {
				if _, err := conn.WriteToUDPAddrPort([]byte("flood"), netip.AddrPortFrom(addr, 4444)); err == nil {
					count.Add(1)
				}
				addr = addr.Next()
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return &count, done
}

// sniffFrom opens a packet socket in a namespace, before it has any interface, and counts IPv4 packets from an address.
func sniffFrom(ns *kernel.Namespace, src netip.Addr) (count func() int, err error) {
	var fd int
	const ethPAll = 0x0300 // ETH_P_ALL in network order
	if err := ns.Do(func() error {
		fd, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, ethPAll)
		return err
	}); err != nil {
		return nil, err
	}
	want := src.As4()
	return func() int {
		defer syscall.Close(fd)
		n, buf := 0, make([]byte, 2048)
		for {
			size, _, err := syscall.Recvfrom(fd, buf, 0)
			if err != nil {
				return n
			}
			if size >= 20 && buf[0]>>4 == 4 && [4]byte(buf[12:16]) == want {
				n++
			}
		}
	}, nil
}
