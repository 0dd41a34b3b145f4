// Package traffic makes standard traffic between workloads and counts what is lost and what leaks.
//
// Standard traffic is, per pair: 5,000 numbered UDP packets per second each way, one TCP stream each way, 100 new TCP
// connections per second. Lost: a number missing, a stream broken, or a connect failed, between workloads that policy
// lets talk. Leaked: a packet or connection that arrived although policy denies it. Sockets are opened inside the
// workloads' network namespaces; every run is bounded in time.
package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

// The rates of standard traffic, and its ports.
const (
	PacketsPerSecond = 5000
	ConnectsPerSec   = 100
	PortUDP          = 5201
	PortStream       = 5202
	PortConnect      = 5203

	connectTimeout = time.Second
	streamStall    = 3 * time.Second // a stream without progress for so long is broken
	tail           = 300 * time.Millisecond
	tick           = 2 * time.Millisecond
)

// Workload is one end: a network namespace and its address.
type Workload struct {
	Name string
	NS   *kernel.Namespace
	Addr netip.Addr
}

// Pair is two workloads of one family, and what policy says of each direction: From is who opens.
type Pair struct {
	A, B           Workload
	DenyAB, DenyBA bool // policy denies flows that A opens to B, or B to A
}

// Report is what a run counted.
type Report struct {
	Seconds   float64
	Packets   uint64 // sent, numbered
	Connects  uint64 // tried
	Bytes     uint64 // moved by the streams
	Lost      uint64 // numbers missing between ends that may talk
	Overrun   uint64 // numbers that reached the socket of the receiver, who was too slow: no fault of the network
	Failed    uint64 // connects that failed between ends that may talk
	Broken    uint64 // streams that broke or stalled
	Leaked    uint64 // packets and connects that got through although denied
	FirstLoss string // what was lost first, for people
}

// Clean tells whether nothing was lost and nothing leaked.
func (r Report) Clean() bool { return r.Lost == 0 && r.Failed == 0 && r.Broken == 0 && r.Leaked == 0 }

// String is one line.
func (r Report) String() string {
	s := fmt.Sprintf("%.1f s: %d packets, %d connects, %d MB streamed: %d packets lost, %d connects failed, %d streams broken, %d leaked",
		r.Seconds, r.Packets, r.Connects, r.Bytes>>20, r.Lost, r.Failed, r.Broken, r.Leaked)
	if r.Overrun > 0 {
		s += fmt.Sprintf(" (%d more overran the receiver's socket)", r.Overrun)
	}
	if r.FirstLoss != "" {
		s += " (first: " + r.FirstLoss + ")"
	}
	return s
}

// Run is traffic under way.
type Run struct {
	started time.Time
	cancel  context.CancelFunc
	senders sync.WaitGroup
	servers sync.WaitGroup
	closers []io.Closer
	flows   []*flow

	connects, bytes, failed, broken, leaked atomic.Uint64

	mu    sync.Mutex
	first string
}

// flow is the numbered packets of one direction.
type flow struct {
	from, to string
	denied   bool
	sent     atomic.Uint64
	received atomic.Uint64
	overrun  atomic.Uint64 // dropped at the receiver's socket, as far as the kernel has told
}

// Start opens the sockets of all pairs and begins to send. The run ends by Stop, or when ctx ends; limit bounds it in any
// case.
func Start(ctx context.Context, limit time.Duration, pairs ...Pair) (*Run, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	r := &Run{started: time.Now(), cancel: cancel}
	for i, p := range pairs {
		offset := uint16(10 * i)
		for _, d := range []struct {
			from, to Workload
			denied   bool
		}{{p.A, p.B, p.DenyAB}, {p.B, p.A, p.DenyBA}} {
			if err := r.direction(ctx, d.from, d.to, d.denied, offset); err != nil {
				_, _ = r.Stop()
				return nil, err
			}
		}
	}
	return r, nil
}

func (r *Run) direction(ctx context.Context, from, to Workload, denied bool, offset uint16) error {
	udp, err := listenUDP(to, PortUDP+offset)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, udp)
	streams, err := listenTCP(to, PortStream+offset)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, streams)
	connects, err := listenTCP(to, PortConnect+offset)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, connects)

	f := &flow{from: from.Name, to: to.Name, denied: denied}
	r.flows = append(r.flows, f)
	r.serve(func() { r.receive(udp, f) })
	r.serve(func() { r.accept(streams, r.sink) })
	r.serve(func() { r.accept(connects, echo) })
	r.send(func() { r.numbered(ctx, from, netip.AddrPortFrom(to.Addr, PortUDP+offset), f) })
	r.send(func() { r.connecting(ctx, from, to, PortConnect+offset, denied) })
	if !denied {
		r.send(func() { r.stream(ctx, from, to, PortStream+offset) })
	}
	return nil
}

func (r *Run) serve(f func()) { r.servers.Add(1); go func() { defer r.servers.Done(); f() }() }
func (r *Run) send(f func())  { r.senders.Add(1); go func() { defer r.senders.Done(); f() }() }

// Stop ends the traffic, waits for what is under way, and reports.
func (r *Run) Stop() (Report, error) {
	r.cancel()
	r.senders.Wait()
	time.Sleep(tail)
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	r.servers.Wait()
	return r.Report(), errors.Join(errs...)
}

// Report is what has been counted so far; packets under way count as lost until they arrive.
func (r *Run) Report() Report {
	out := Report{
		Seconds: time.Since(r.started).Seconds(), Connects: r.connects.Load(), Bytes: r.bytes.Load(),
		Failed: r.failed.Load(), Broken: r.broken.Load(), Leaked: r.leaked.Load(),
	}
	for _, f := range r.flows {
		sent, received := f.sent.Load(), f.received.Load()
		out.Packets += sent
		switch {
		case f.denied:
			out.Leaked += received
		case received < sent:
			missing := sent - received
			overrun := min(missing, f.overrun.Load())
			out.Overrun += overrun
			if missing > overrun {
				out.Lost += missing - overrun
				r.note("%d of %d packets from %s to %s", missing-overrun, sent, f.from, f.to)
			}
		}
	}
	r.mu.Lock()
	out.FirstLoss = r.first
	r.mu.Unlock()
	return out
}

func (r *Run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == "" {
		r.first = fmt.Sprintf(format, args...)
	}
}

// numbered sends numbered packets at the standard rate.
func (r *Run) numbered(ctx context.Context, from Workload, to netip.AddrPort, f *flow) {
	conn, err := dial(ctx, from, "udp", to)
	if err != nil {
		r.failed.Add(1)
		r.note("open a UDP socket in %s: %v", from.Name, err)
		return
	}
	defer conn.Close()
	t := time.NewTicker(tick)
	defer t.Stop()
	start := time.Now()
	var buf [64]byte
	for n := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for due := uint64(time.Since(start).Seconds() * PacketsPerSecond); n < due; n++ {
			binary.BigEndian.PutUint64(buf[:], n)
			// A refusal (ICMP, or a rejecting policy) shows as an error of the next write: the number is lost all the same.
			f.sent.Add(1)
			if _, err := conn.Write(buf[:]); err != nil && !f.denied {
				r.note("send from %s to %s: %v", f.from, f.to, err)
			}
		}
	}
}

// receive counts what arrives. The kernel tells with each packet how many it dropped because the socket was full.
func (r *Run) receive(conn *net.UDPConn, f *flow) {
	buf, oob := make([]byte, 2048), make([]byte, 128)
	for {
		n, oobn, _, _, err := conn.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			return
		}
		if n == 64 {
			f.received.Add(1)
		}
		if oobn > 0 {
			f.overrun.Store(uint64(overflow(oob[:oobn])))
		}
	}
}

// overflow is the count of SO_RXQ_OVFL (socket(7)) among the control messages of a packet.
func overflow(oob []byte) uint32 {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data)
		}
	}
	return 0
}

// connecting opens new connections at the standard rate; each says one byte and hears it back.
func (r *Run) connecting(ctx context.Context, from, to Workload, port uint16, denied bool) {
	t := time.NewTicker(time.Second / ConnectsPerSec)
	defer t.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		under.Add(1)
		go func() {
			defer under.Done()
			err := r.connect(from, netip.AddrPortFrom(to.Addr, port))
			r.connects.Add(1)
			switch {
			case denied && err == nil:
				r.leaked.Add(1)
			case !denied && err != nil:
				r.failed.Add(1)
				r.note("connect from %s to %s: %v", from.Name, to.Name, err)
			}
		}()
	}
}

func (r *Run) connect(from Workload, to netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	conn, err := dial(ctx, from, "tcp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // no TIME_WAIT: ports must last
	}
	_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	var b [1]byte
	if _, err := conn.Write(b[:]); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, b[:])
	return err
}

func echo(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(2 * connectTimeout))
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err == nil {
		_, _ = c.Write(b[:])
		_, _ = c.Read(b[:]) // the opener closes
	}
}

// stream moves bytes steadily, some 2 MB per second, and breaks when nothing moves for streamStall.
func (r *Run) stream(ctx context.Context, from, to Workload, port uint16) {
	dctx, cancel := context.WithTimeout(ctx, streamStall)
	conn, err := dial(dctx, from, "tcp", netip.AddrPortFrom(to.Addr, port))
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			r.broken.Add(1)
			r.note("stream from %s to %s: %v", from.Name, to.Name, err)
		}
		return
	}
	defer conn.Close()
	buf := make([]byte, 32<<10)
	t := time.NewTicker(16 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		_ = conn.SetWriteDeadline(time.Now().Add(streamStall))
		if _, err := conn.Write(buf); err != nil {
			r.broken.Add(1)
			r.note("stream from %s to %s: %v", from.Name, to.Name, err)
			return
		}
	}
}

func (r *Run) sink(c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		r.bytes.Add(uint64(n))
		if err != nil {
			return
		}
	}
}

func (r *Run) accept(l net.Listener, handle func(net.Conn)) {
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var under sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		mu.Lock()
		open[c] = true
		mu.Unlock()
		under.Add(1)
		go func() {
			defer under.Done()
			handle(c)
			mu.Lock()
			delete(open, c)
			mu.Unlock()
			c.Close()
		}()
	}
	mu.Lock()
	for c := range open {
		c.Close()
	}
	mu.Unlock()
	under.Wait()
}

func listenUDP(w Workload, port uint16) (conn *net.UDPConn, err error) {
	err = w.NS.Do(func() error {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.Addr, port)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", w.Name, err)
	}
	// The receiver must not be what loses packets.
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { growReceiveBuffer(int(fd)) })
	}
	return conn, err
}

// growReceiveBuffer asks for room for some seconds, past net.core.rmem_max where the process may: not in a user namespace.
func growReceiveBuffer(fd int) {
	const bytes = 32 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
}

func listenTCP(w Workload, port uint16) (l net.Listener, err error) {
	err = w.NS.Do(func() error {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.Addr, port)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", w.Name, err)
	}
	return l, nil
}

// dial opens a socket inside a workload's namespace.
func dial(ctx context.Context, from Workload, network string, to netip.AddrPort) (conn net.Conn, err error) {
	d := net.Dialer{}
	switch network {
	case "udp":
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr, 0))
	default:
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.Addr, 0))
	}
	// The socket is made on the thread that is inside; the connect may block, so it must not hold other work up: each
	// Do has a thread of its own.
	err = from.NS.Do(func() error {
		conn, err = d.DialContext(ctx, network, to.String())
		return err
	})
	return conn, err
}
