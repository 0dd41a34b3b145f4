package lab

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
)

// probeTimeout is how long silence lasts before it counts as a drop.
const probeTimeout = 400 * time.Millisecond

// serve answers on every port of every workload and node with its name, until ctx ends.
func (l *Lab) serve(ctx context.Context) error {
	var closers []io.Closer
	defer func() {
		for _, c := range closers {
			c.Close()
		}
	}()
	listen := func(name string, ports []Port) error {
		if len(ports) == 0 {
			return nil
		}
		ns, err := l.net.get(name)
		if err != nil {
			return err
		}
		for _, p := range ports {
			c, err := serveOn(ns, name, p)
			if err != nil {
				return fmt.Errorf("%s: listen on %s: %w", name, p, err)
			}
			closers = append(closers, c)
		}
		return nil
	}
	for _, w := range l.file.Workloads {
		if err := listen(w.Name, w.Ports); err != nil {
			return err
		}
	}
	for _, n := range l.file.Nodes {
		if err := listen(n.Name, n.Ports); err != nil {
			return err
		}
	}
	ready := l.dir + "/serving"
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return os.Remove(ready)
}

func (l *Lab) serving() error {
	_, err := os.Stat(l.dir + "/serving")
	return err
}

func serveOn(ns *kernel.Namespace, name string, p Port) (c io.Closer, err error) {
	addr := fmt.Sprintf(":%d", p.Port)
	if p.Protocol == "UDP" {
		var conn net.PacketConn
		if err := ns.Do(func() error { conn, err = net.ListenPacket("udp", addr); return err }); err != nil {
			return nil, err
		}
		go func() {
			buf := make([]byte, 1500)
			for {
				_, from, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = conn.WriteTo([]byte(name+"\n"), from)
			}
		}()
		return conn, nil
	}
	var lis net.Listener
	if err := ns.Do(func() error { lis, err = net.Listen("tcp", addr); return err }); err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.WriteString(conn, name+"\n")
			}()
		}
	}()
	return lis, nil
}

// probe sends real packets from a place to an address and tells what came of it: nil when an answer came, and, where the
// target is a place of the lab that listens there, the answer is its.
func (l *Lab) probe(ctx context.Context, from, to, protocol string, port int, addr netip.Addr) error {
	ns, err := l.net.get(from)
	if err != nil {
		return err
	}
	if protocol == "ICMP" {
		return ns.Do(func() error { return ping(addr) })
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var conn net.Conn
	dst := netip.AddrPortFrom(addr, uint16(port)).String()
	if err := ns.Do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, strings.ToLower(protocol), dst)
		return err
	}); err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeTimeout))
	if protocol == "UDP" {
		if _, err := conn.Write([]byte("hello\n")); err != nil {
			return err
		}
	}
	if protocol == "TCP" && !l.answers(Expect{To: to, Port: port, Protocol: protocol}) {
		return nil // connected; whoever it is need not say its name
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(line); got != to && l.answers(Expect{To: to, Port: port, Protocol: protocol}) {
		return fmt.Errorf("%s answered instead of %s", got, to)
	}
	return nil
}

// ping sends one echo request from the calling thread's namespace and waits for the reply.
func ping(addr netip.Addr) error {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if addr.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	dialled, err := net.Dial(network, addr.String())
	if err != nil {
		return err
	}
	defer dialled.Close()
	conn, ok := dialled.(*net.IPConn)
	if !ok {
		return fmt.Errorf("ping: %T is no raw socket", dialled)
	}
	msg := []byte{request, 0, 0, 0, 0, 0, 0, 1, 't', 'o', 'r', 't', 'i', 'e', 0, 0}
	binary.BigEndian.PutUint16(msg[4:], uint16(os.Getpid()))
	if addr.Is4() { // the kernel fills the checksum of ICMPv6 in
		binary.BigEndian.PutUint16(msg[2:], checksum(msg))
	}
	if _, err := conn.Write(msg); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(probeTimeout))
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFromIP(buf) // without the IP header, unlike Read
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == reply && buf[4] == msg[4] && buf[5] == msg[5] {
			return nil
		}
	}
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// What a probe's error means, in one word.
const (
	reached     = "ok"
	refused     = "refused"
	unreachable = "unreach"
	silent      = "-"
	failed      = "error"
)

func outcome(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return reached
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EACCES):
		return unreachable
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return silent
	}
	return failed
}

// describe is outcome for sentences.
func describe(err error) string {
	if outcome(err) == silent {
		return "silence"
	}
	return err.Error()
}

// Matrix probes every workload from every other on its first port, per family, and writes a table: rows are the openers.
func (l *Lab) Matrix(ctx context.Context) error {
	ws := l.file.Workloads
	for _, family := range []int{4, 6} {
		if !slices.ContainsFunc(ws, func(w Workload) bool { _, ok := l.address(w.Name, family); return ok }) {
			continue
		}
		cells := make([][]string, len(ws))
		var wg sync.WaitGroup
		slots := make(chan struct{}, probesAtOnce)
		for i := range ws {
			cells[i] = make([]string, len(ws))
			for j := range ws {
				if i == j {
					cells[i][j] = "."
					continue
				}
				addr, ok := l.address(ws[j].Name, family)
				if !ok {
					cells[i][j] = "none"
					continue
				}
				wg.Add(1)
				go func() {
					defer wg.Done()
					slots <- struct{}{}
					defer func() { <-slots }()
					p := ws[j].Ports[0]
					cells[i][j] = outcome(l.probe(ctx, ws[i].Name, ws[j].Name, p.Protocol, p.Port, addr))
				}()
			}
		}
		wg.Wait()
		t := tabwriter.NewWriter(l.out, 2, 8, 2, ' ', 0)
		fmt.Fprintf(t, "IPv%d from \\ to", family)
		for _, w := range ws {
			fmt.Fprintf(t, "\t%s", w.Name)
		}
		fmt.Fprintln(t)
		for i, w := range ws {
			fmt.Fprintf(t, "%s\t%s\n", w.Name, strings.Join(cells[i], "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return ctx.Err()
}
