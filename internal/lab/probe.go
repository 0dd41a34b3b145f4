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
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
)

// probeTimeout is how long silence lasts before it counts as a drop.
const probeTimeout = 400 * time.Millisecond

// serve answers on every port of every workload with the workload's name, until ctx ends.
func (l *Lab) serve(ctx context.Context) error {
	var closers []io.Closer
	defer func() {
		for _, c := range closers {
			c.Close()
		}
	}()
	for i := range l.file.Workloads {
		w := &l.file.Workloads[i]
		ns, err := l.net.get(w.Name)
		if err != nil {
			return err
		}
		for _, p := range w.Ports {
			c, err := serveOn(ns, w.Name, p)
			if err != nil {
				return fmt.Errorf("workload %s: %w", w.Name, err)
			}
			closers = append(closers, c)
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

// probe sends real packets from a workload to another and tells what came of it: nil when the right one answered.
func (l *Lab) probe(ctx context.Context, from *Workload, to *Workload, protocol string, port int, addr netip.Addr) error {
	ns, err := l.net.get(from.Name)
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
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(line); got != to.Name {
		return fmt.Errorf("%s answered instead of %s", got, to.Name)
	}
	return nil
}

// ping sends one echo request from the calling thread's namespace and waits for the reply.
func ping(addr netip.Addr) error {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if addr.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	conn, err := net.Dial(network, addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
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
		n, err := conn.Read(buf)
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

// outcome says in one word what a probe's error means.
func outcome(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreach"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "-"
	}
	return "error"
}

// Matrix probes every workload from every other on its first port, per family, and writes a table: rows are the openers.
func (l *Lab) Matrix(ctx context.Context) error {
	families := []int{4}
	if l.dual() {
		families = append(families, 6)
	}
	for _, family := range families {
		ws := l.file.Workloads
		cells := make([][]string, len(ws))
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
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
					cells[i][j] = outcome(l.probe(ctx, &ws[i], &ws[j], p.Protocol, p.Port, addr))
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

func (l *Lab) address(workload string, family int) (netip.Addr, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.addrs[workload] {
		if a.Is4() == (family == 4) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Check shows every expectation by real packets; what does not come true in its time is an error.
func (l *Lab) Check(ctx context.Context) error {
	var errs []error
	held := 0
	for _, e := range l.file.Expect {
		for _, family := range []int{4, 6} {
			addr, ok := l.address(e.To, family)
			_, okFrom := l.address(e.From, family)
			if e.Family != 0 && e.Family != family || e.Family == 0 && (!ok || !okFrom) {
				continue
			}
			if !ok || !okFrom {
				errs = append(errs, fmt.Errorf("%s: not both have an IPv%d address", e, family))
				continue
			}
			if err := l.expect(ctx, e, addr); err != nil {
				errs = append(errs, err)
			} else {
				held++
			}
		}
	}
	l.say("%d expectations hold, %d do not", held, len(errs))
	return errors.Join(errs...)
}

func (l *Lab) expect(ctx context.Context, e Expect, addr netip.Addr) error {
	from, to := l.file.workload(e.From), l.file.workload(e.To)
	return until(ctx, e.within, e.String(), func() error {
		err := l.probe(ctx, from, to, e.Protocol, e.Port, addr)
		if e.Verdict == "allow" {
			return err
		}
		if err == nil {
			return errors.New("the packets got through")
		}
		if got := outcome(err); got == "error" {
			return err
		}
		return nil
	})
}

// String is the expectation in words.
func (e Expect) String() string {
	port := ""
	if e.Port != 0 {
		port = fmt.Sprintf(":%d", e.Port)
	}
	return fmt.Sprintf("%s → %s%s/%s %s", e.From, e.To, port, e.Protocol, e.Verdict)
}
