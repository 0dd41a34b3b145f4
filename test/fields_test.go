package test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
	"github.com/tortie-net/tortie/internal/lab"
)

// The tests of fields_*_test.go show, field by field, that what a user writes has the effect that the field promises: by
// real packets, by addresses, by routes. internal/gen/fields/fields.txt names them.

// place is an end of a probe.
type place struct {
	name string
	ns   *kernel.Namespace
	addr map[int]netip.Addr // by family
}

// placeOf is a workload of the lab file.
func placeOf(t *testing.T, l *lab.Lab, name string) place {
	t.Helper()
	p := place{name: name, addr: map[int]netip.Addr{}}
	for _, family := range []int{4, 6} {
		if end, err := l.End(name, family); err == nil {
			p.ns, p.addr[family] = end.NS, end.Addr
		}
	}
	if p.ns == nil {
		t.Fatalf("%s has no address", name)
	}
	return p
}

// nodePlace is a node, with the address of its eth0 in IPv4.
func nodePlace(t *testing.T, l *lab.Lab, name, addr string) place {
	t.Helper()
	ns, err := l.Namespace(name)
	if err != nil {
		t.Fatal(err)
	}
	return place{name: name, ns: ns, addr: map[int]netip.Addr{4: netip.MustParseAddr(addr)}}
}

// listen answers on a TCP port of a namespace with the caller's address, until the test ends.
func listen(t *testing.T, ns *kernel.Namespace, port int) {
	t.Helper()
	var lis net.Listener
	if err := ns.Do(func() (err error) { lis, err = net.Listen("tcp", ":"+strconv.Itoa(port)); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, conn.RemoteAddr())
			conn.Close()
		}
	}()
}

// echo answers on a UDP port of a namespace, until the test ends.
func echo(t *testing.T, ns *kernel.Namespace, port int) {
	t.Helper()
	var conn net.PacketConn
	if err := ns.Do(func() (err error) { conn, err = net.ListenPacket("udp", ":"+strconv.Itoa(port)); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(from.String()+"\n"), from)
		}
	}()
}

// probeWait is how long silence lasts before it counts as a drop.
const probeWait = 400 * time.Millisecond

// knock sends real packets and returns what the other side answered, "" for ICMP. sport 0: any.
func knock(from place, to netip.Addr, protocol string, port, sport int) (string, error) {
	if protocol == "icmp" {
		return "", from.ns.Do(func() error { return echoRequest(to) })
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeWait)
	defer cancel()
	d := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	}}
	if sport != 0 {
		d.LocalAddr = &net.TCPAddr{Port: sport}
		if protocol == "udp" {
			d.LocalAddr = &net.UDPAddr{Port: sport}
		}
	}
	var conn net.Conn
	if err := from.ns.Do(func() (err error) {
		conn, err = d.DialContext(ctx, protocol, netip.AddrPortFrom(to, uint16(port)).String())
		return err
	}); err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeWait))
	if protocol == "udp" {
		if _, err := io.WriteString(conn, "hello"); err != nil {
			return "", err
		}
	}
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	return strings.TrimSpace(string(buf[:n])), err
}

// echoRequest sends one ICMP echo request with an identifier of its own and waits for the reply.
func echoRequest(to netip.Addr) error {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	conn, err := net.DialIP(network, nil, &net.IPAddr{IP: to.AsSlice()})
	if err != nil {
		return err
	}
	defer conn.Close()
	msg := []byte{request, 0, 0, 0, byte(rand.Uint32()), byte(rand.Uint32()), 0, 1}
	if to.Is4() { // the kernel fills the checksum of ICMPv6 in
		sum := uint32(0)
		for i := 0; i < len(msg); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(msg[i:]))
		}
		binary.BigEndian.PutUint16(msg[2:], ^uint16(sum>>16+sum&0xffff))
	}
	if _, err := conn.Write(msg); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(probeWait))
	for buf := make([]byte, 256); ; {
		n, _, err := conn.ReadFrom(buf) // without the IPv4 header, unlike Read
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == reply && buf[4] == msg[4] && buf[5] == msg[5] {
			return nil
		}
	}
}

// isDenied tells a packet that was dropped or rejected from a probe that went wrong.
func isDenied(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

var sourcePort atomic.Uint32 // counts source ports up, so that no probe meets an earlier one's flow

// probe is what one line of a case says: "a x tcp/8080 ok", "a x tcp/8080 no low", with from, to, protocol and port,
// outcome, and words that narrow when it holds or how it is sent:
//
//	v4, v6           in this family only
//	namespaced, global
//	                 with policies of this scope only
//	ingress, egress  in this direction only
//	low, high        from a source port of 20000 to 20999, or from 30000 on
type probe struct {
	from, to, protocol string
	port               int
	allowed            bool
	words              map[string]bool
}

func parseProbe(text string) probe {
	f := strings.Fields(text)
	protocol, port, _ := strings.Cut(f[2], "/")
	p := probe{from: f[0], to: f[1], protocol: protocol, allowed: f[3] == "ok", words: map[string]bool{}}
	p.port, _ = strconv.Atoi(port)
	for _, w := range f[4:] {
		p.words[w] = true
	}
	return p
}

func (p probe) check(places map[string]place, family int) error {
	from, to := places[p.from], places[p.to]
	addr, ok := to.addr[family]
	if !ok || !from.addr[family].IsValid() {
		return nil
	}
	sport := 0
	if p.words["low"] {
		sport = 20000 + int(sourcePort.Add(1)%1000)
	}
	if p.words["high"] {
		sport = 30000 + int(sourcePort.Add(1)%1000)
	}
	_, err := knock(from, addr, p.protocol, p.port, sport)
	switch {
	case p.allowed && err != nil:
		return fmt.Errorf("%s → %s (%s) %s/%d: must pass: %w", p.from, p.to, addr, p.protocol, p.port, err)
	case !p.allowed && err == nil:
		return fmt.Errorf("%s → %s (%s) %s/%d: must be denied and passed", p.from, p.to, addr, p.protocol, p.port)
	case !p.allowed && !isDenied(err):
		return err
	}
	return nil
}

// checkAll gives every probe a while to come true, in each family.
func checkAll(t *testing.T, places map[string]place, probes []probe) {
	t.Helper()
	var wg sync.WaitGroup
	for _, p := range probes {
		for _, family := range []int{4, 6} {
			if other := fmt.Sprint("v", 10-family); p.words[other] {
				continue
			}
			wg.Go(func() {
				var err error
				for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
					if err = p.check(places, family); err == nil {
						return
					}
				}
				t.Error(err)
			})
		}
	}
	wg.Wait()
}

func check(t *testing.T, places map[string]place, lines ...string) {
	t.Helper()
	var probes []probe
	for _, line := range lines {
		probes = append(probes, parseProbe(line))
	}
	checkAll(t, places, probes)
}

// settleTime is what a change takes at most, usually, from the store to every kernel of a lab: a probe that comes earlier
// may see the state before.
const settleTime = 150 * time.Millisecond

func remove(t *testing.T, l *lab.Lab, docs string) {
	t.Helper()
	if out, err := l.Output(t.Context(), strings.NewReader(docs), "delete", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// inside runs a program in a namespace and returns its output.
func inside(t *testing.T, ns *kernel.Namespace, argv ...string) string {
	t.Helper()
	var out strings.Builder
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out.String())
	}
	return out.String()
}
