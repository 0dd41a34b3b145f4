package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tortie-net/tortie/internal/kernel"
)

// measuredCPU is where both ends of every path run, so that no wake-up crosses cores.
const measuredCPU = 1

// path is a way from a client to a server through a node or router.
type path struct {
	name   string
	client *kernel.Namespace
	server *kernel.Namespace
	addr   netip.AddrPort
}

// pathRows compare, in turns within one run, plain routing with policy, and many policies with none.
func pathRows(ctx context.Context, b *bench) (rows []row, err error) {
	small, err := b.smallNode(ctx)
	if err != nil {
		return nil, err
	}
	if len(small.pods) < 2 {
		for i := range 2 {
			if _, err := small.preparePod(ctx, fmt.Sprintf("path-%d", i), 1-i); err != nil {
				return nil, err
			}
		}
		if err := small.attach(ctx, []*pod{small.pods["path-0"], small.pods["path-1"]}); err != nil {
			return nil, err
		}
	}
	size := b.largest()
	large, err := b.largeNode(ctx, size)
	if err != nil {
		return nil, err
	}
	plain, closePlain, err := plainRoute()
	if err != nil {
		return nil, err
	}
	defer closePlain()
	port := func(p *pod, n int) netip.AddrPort { return netip.AddrPortFrom(p.addr, uint16(n)) }
	server, client := large.pods["local-0"], large.pods["local-1"]
	per := size.policies / apps // policies that select the server
	paths := []path{
		plain,
		{"none", small.pods["path-0"].ns, small.pods["path-1"].ns, port(small.pods["path-1"], firstPort)},
		{"first", client.ns, server.ns, port(server, firstPort)},
		{"last", client.ns, server.ns, port(server, firstPort+per-1)},
	}
	for _, p := range paths {
		stop, err := p.serve()
		if err != nil {
			return nil, fmt.Errorf("path %s: %w", p.name, err)
		}
		defer stop()
	}
	rr, err := inTurns(ctx, paths, b.samples(400), 50, false)
	if err != nil {
		return nil, err
	}
	crr, err := inTurns(ctx, paths, b.samples(400), 10, true)
	if err != nil {
		return nil, err
	}
	line := func(what string, m [][]times, with, against int, aim, must float64, note string) row {
		r := ratio(m, with, against)
		verdict, aimed, gate := shown, "-", "-"
		if aim > 0 {
			verdict, aimed, gate = judge(r.p50, aim, must), fmt.Sprintf("≤ %.2f", aim), fmt.Sprintf("≤ %.1f", must)
		}
		return row{
			what: what, figure: fmt.Sprintf("%.3f (p50), %.3f (min): %.1f against %.1f µs p50", r.p50, r.min, r.withP50, r.againstP50),
			aim: aimed, must: gate, met: verdict,
			note: fmt.Sprintf("%s; %d turns, quartiles of their ratios %.2f to %.2f", note, len(m), r.q1, r.q3),
		}
	}
	return []row{
		line(fmt.Sprintf("new connections, %d policies against none", size.policies), crr, 2, 1, 1.1, 1.2,
			fmt.Sprintf("TCP connect, 1 byte each way, RST, both ends on one CPU; %d policies select the server, the first allows", per)),
		line("same, the last of them allows", crr, 3, 1, 1.1, 1.2, "as above"),
		line("new connections, no policies against plain routing", crr, 1, 0, 0, 0, "plain: no nftables, no conntrack"),
		line("request/response, policy against plain routing", rr, 2, 0, 1.05, 1.1, "1 byte each way over one connection, both ends on one CPU"),
		line(fmt.Sprintf("request/response, %d policies against none", size.policies), rr, 3, 1, 0, 0, "as above"),
	}, nil
}

// inTurns measures the paths one after the other, a few samples of each, over and over: what disturbs the machine for
// longer than a turn disturbs all alike. The result is [turn][path].
func inTurns(ctx context.Context, paths []path, turns, each int, anew bool) (out [][]times, err error) {
	err = pinned(paths[0].client, func() error {
		conns := make([]int, len(paths))
		for i, p := range paths {
			if err = p.enter(); err == nil {
				conns[i], err = p.dial()
			}
			if err != nil {
				return err
			}
			defer unix.Close(conns[i])
		}
		if anew { // the servers take one connection at a time
			for _, fd := range conns {
				_ = unix.Shutdown(fd, unix.SHUT_RDWR)
			}
		}
		buf := []byte{1}
		for range turns {
			var turn []times
			for i, p := range paths {
				if err := p.enter(); err != nil {
					return err
				}
				var t times
				for k := range each + 2 {
					began := time.Now()
					if anew {
						err = p.connection(buf)
					} else {
						err = exchange(conns[i], buf)
					}
					if err != nil {
						return fmt.Errorf("path %s: %w", p.name, err)
					}
					if k >= 2 { // the first ones find cold caches
						t = append(t, time.Since(began))
					}
				}
				turn = append(turn, t)
			}
			if out = append(out, turn); ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return out, err
}

// ratios compares two paths: the medians and the least of all samples, and the quartiles of the turns' ratios.
type ratios struct{ p50, min, q1, q3, withP50, againstP50 float64 }

func ratio(m [][]times, with, against int) ratios {
	var a, b, each times
	for _, turn := range m {
		a, b = append(a, turn[with]...), append(b, turn[against]...)
		each = append(each, time.Duration(1e9*float64(turn[with].at(50))/float64(turn[against].at(50))))
	}
	of := func(p float64) float64 { return float64(a.at(p)) / float64(b.at(p)) }
	return ratios{of(50), of(0), each.at(25).Seconds(), each.at(75).Seconds(), us(a.at(50)), us(b.at(50))}
}

// plainRoute is two ends joined by a router that does nothing but route.
func plainRoute() (p path, closeAll func(), err error) {
	var made []*kernel.Namespace
	closeAll = func() {
		for _, ns := range made {
			_ = ns.Close()
		}
	}
	for range 3 {
		ns, err := kernel.NewNamespace()
		if err != nil {
			closeAll()
			return p, nil, err
		}
		made = append(made, ns)
	}
	client, router, server := made[0], made[1], made[2]
	err = errors.Join(
		joined(router, "client", client, "eth0", netip.MustParsePrefix("10.1.0.1/24")),
		joined(router, "server", server, "eth0", netip.MustParsePrefix("10.2.0.1/24")),
		kernel.Sysctls{Namespace: router}.Write("net/ipv4/ip_forward", "1"),
		addressed(client, netip.MustParsePrefix("10.1.0.2/24"), netip.MustParseAddr("10.1.0.1")),
		addressed(server, netip.MustParsePrefix("10.2.0.2/24"), netip.MustParseAddr("10.2.0.1")))
	if err != nil {
		closeAll()
		return p, nil, err
	}
	return path{"plain", client, server, netip.MustParseAddrPort("10.2.0.2:8000")}, closeAll, nil
}

// addressed gives a namespace's eth0 an address and a default route.
func addressed(ns *kernel.Namespace, addr netip.Prefix, gateway netip.Addr) error {
	h, err := kernel.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.AddAddress("eth0", addr); err != nil {
		return err
	}
	link, err := h.Link("eth0")
	if err != nil {
		return err
	}
	errs, _ := h.WriteRoutes([]kernel.RouteWrite{{Route: kernel.Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Kind: kernel.Unicast,
		NextHops: []kernel.NextHop{{Link: link.Index, Gateway: gateway}}}}})
	return errors.Join(errs...)
}

// pinned runs fn on a thread of its own, in a namespace, on the measured core.
func pinned(ns *kernel.Namespace, fn func() error) error {
	return ns.Do(func() error {
		var set unix.CPUSet
		set.Set(measuredCPU % runtime.NumCPU())
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("pin to CPU %d: %w", measuredCPU, err)
		}
		return fn()
	})
}

// serve answers each byte with a byte, one connection at a time.
func (p path) serve() (stop func(), err error) {
	ready, done := make(chan error, 1), make(chan struct{})
	fd := -1
	go func() {
		defer close(done)
		if err := pinned(p.server, func() error {
			var err error
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: int(p.addr.Port())}), unix.Listen(fd, 128)); err != nil {
				return err
			}
			ready <- nil
			buf := make([]byte, 16)
			for {
				c, _, err := unix.Accept(fd)
				if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
					continue
				}
				if err != nil {
					return nil // shut down
				}
				_ = unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
				for {
					n, err := unix.Read(c, buf)
					if errors.Is(err, unix.EINTR) {
						continue
					}
					if err != nil || n <= 0 {
						break
					}
					if _, err := unix.Write(c, buf[:n]); err != nil {
						break
					}
				}
				_ = unix.Close(c)
			}
		}); err != nil {
			ready <- err
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return func() {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		<-done
		_ = unix.Close(fd)
	}, nil
}

// enter moves the calling thread to where the client is.
func (p path) enter() error { return unix.Setns(p.client.FD(), unix.CLONE_NEWNET) }

// dial connects from where the calling thread is, within a few seconds.
func (p path) dial() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 2),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(p.addr.Port()), Addr: p.addr.Addr().As4()})
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("connect to %s: %w", p.addr, err)
	}
	return fd, nil
}

func exchange(fd int, buf []byte) error {
	if _, err := unix.Write(fd, buf); err != nil {
		return err
	}
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) { // the runtime's own signals
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
}

// connection makes a connection, sends a byte to and fro, and resets it.
func (p path) connection(buf []byte) error {
	fd, err := p.dial()
	if err != nil {
		return err
	}
	return errors.Join(exchange(fd, buf), unix.Close(fd))
}
