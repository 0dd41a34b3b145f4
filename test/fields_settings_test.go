package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/lab"
)

// A lab with a router, beyond which is a network that knows nothing of pods: what comes there bears addresses of nodes.
const settingsLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.12.0/24, cidr6: "fd00:30:12::/64"}, {name: outer, cidr: 172.31.12.0/24}]
routers: [{name: router, subnets: [lan, outer]}]
nodes: [{name: %[1]s-1, subnet: lan}, {name: %[1]s-2, subnet: lan}]
objects:
  - |
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods4}
    spec: {cidr: 10.98.0.0/16, natOutgoing: true, ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: IPPool
    metadata: {name: pods6}
    spec: {cidr: "fd00:10:98::/48", natOutgoing: true, ipipMode: Never, vxlanMode: Never}
    ---
    apiVersion: projectcalico.org/v3
    kind: FelixConfiguration
    metadata: {name: default}
    spec: {programClusterRoutes: Enabled}
    ---
    apiVersion: projectcalico.org/v3
    kind: BGPConfiguration
    metadata: {name: default}
    spec: {nodeToNodeMeshEnabled: false, programClusterRoutes: Disabled}
workloads:
  - {name: a, node: %[1]s-1, labels: {app: a}}
  - {name: x, node: %[1]s-2, labels: {app: x}, ports: [{port: 8080}, {port: 4789, protocol: UDP}]}
`

// felix is the default FelixConfiguration of the lab with more in it.
func felix(more string) string {
	return object("FelixConfiguration", "default", "programClusterRoutes: Enabled, "+more)
}

// become waits until a node's interface toward the pod network shows something.
func become(t *testing.T, what string, ok func() error) {
	t.Helper()
	eventually(t, 10*time.Second, what, ok)
}

// ruleset is a node's table as nft prints it.
func ruleset(t *testing.T, l *lab.Lab, node string) string {
	t.Helper()
	ns, err := l.Namespace(node)
	if err != nil {
		t.Fatal(err)
	}
	return inside(t, ns, "nft", "list", "table", "inet", "tortie")
}

func mustContain(text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("%q is not in:\n%s", part, text)
	}
	return nil
}

// Settings of FelixConfiguration that change what the kernel does with packets.
func TestFelixPacketFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(settingsLab, "felix"))
	a, x := placeOf(t, l, "a"), placeOf(t, l, "x")
	node1, node2 := nodePlace(t, l, "felix-1", "172.30.12.10"), nodePlace(t, l, "felix-2", "172.30.12.11")
	router := nodePlace(t, l, "router", "172.31.12.1")
	places := map[string]place{"a": a, "x": x, "node1": node1, "node2": node2, "router": router}
	listen(t, node1.ns, 7001)
	listen(t, node2.ns, 7001)
	listen(t, router.ns, 7001)
	seen := func(to place) (netip.AddrPort, error) { // the address that another side sees of a
		text, err := knock(a, to.addr[4], "tcp", 7001, 0)
		if err != nil {
			return netip.AddrPort{}, err
		}
		return netip.ParseAddrPort(text)
	}
	seesOf := func(to place, want netip.Addr) func() error {
		return func() error {
			got, err := seen(to)
			if err == nil && got.Addr().Unmap() != want {
				err = fmt.Errorf("%s sees %s, want %s", to.name, got, want)
			}
			return err
		}
	}
	check(t, places, "a x tcp/8080 ok")

	t.Run("defaultEndpointToHostAction", func(t *testing.T) { // R6
		check(t, places, "a node1 tcp/7001 no v4")
		apply(t, l, felix("defaultEndpointToHostAction: Accept"))
		check(t, places, "a node1 tcp/7001 ok v4")
		apply(t, l, felix("defaultEndpointToHostAction: Drop"))
		time.Sleep(settleTime)
		check(t, places, "a node1 tcp/7001 no v4")
		apply(t, l, felix("defaultEndpointToHostAction: Return"))
		check(t, places, "a node1 tcp/7001 ok v4")
		apply(t, l, gnp("p", "selector: app == 'a', types: [Egress]")) // its policy comes first
		time.Sleep(settleTime)
		check(t, places, "a node1 tcp/7001 no v4")
		remove(t, l, gnp("p", ""))
	})
	t.Run("natOutgoing", func(t *testing.T) { // R102
		become(t, "pods leave the cluster with the node's address", seesOf(router, node1.addr[4]))
		become(t, "nodes are outside the pools too", seesOf(node2, node1.addr[4]))
		apply(t, l, felix("natOutgoingExclusions: IPPoolsAndHostIPs"))
		become(t, "nodes see the pod", seesOf(node2, a.addr[4]))
		become(t, "others still see the node", seesOf(router, node1.addr[4]))

		ns := node1.ns
		inside(t, ns, "ip", "address", "add", "172.30.12.99/32", "dev", "eth0")
		apply(t, l, felix("natOutgoingAddress: 172.30.12.99"))
		become(t, "natOutgoingAddress", seesOf(router, netip.MustParseAddr("172.30.12.99")))

		inRange := func() error { // ports that no client takes by itself
			got, err := seen(router)
			if err == nil && (got.Port() < 61000 || got.Port() > 61999) {
				err = fmt.Errorf("the router sees port %d, want 61000 to 61999", got.Port())
			}
			return err
		}
		apply(t, l, felix("natOutgoingAddress: 172.30.12.99, natPortRange: 61000:61999"))
		become(t, "natPortRange with an address", inRange)
		apply(t, l, felix("natPortRange: 61000:61999"))
		become(t, "natPortRange", inRange)
	})
	t.Run("nftablesFilterDenyAction", func(t *testing.T) { // R30
		apply(t, l, gnp("p", "selector: app == 'x', types: [Ingress], ingress: [{action: Deny}]"))
		defer remove(t, l, gnp("p", ""))
		silent := func() error {
			if _, err := knock(a, x.addr[4], "tcp", 8080, 0); err == nil || outcomeRefused(err) {
				return fmt.Errorf("got %v, want silence", err)
			}
			return nil
		}
		become(t, "Drop is silent", silent)
		apply(t, l, felix("nftablesFilterDenyAction: Reject"))
		become(t, "Reject answers", func() error {
			_, err := knock(a, x.addr[4], "tcp", 8080, 0)
			if !outcomeRefused(err) {
				return fmt.Errorf("got %v, want a refusal", err)
			}
			return nil
		})
		apply(t, l, felix("nftablesFilterDenyAction: Drop"))
		become(t, "Drop again", silent)
	})
	t.Run("allowVXLANPacketsFromWorkloads", func(t *testing.T) { // R2
		apply(t, l, felix("allowVXLANPacketsFromWorkloads: false"))
		check(t, places, "a x udp/4789 no")
		apply(t, l, felix("allowVXLANPacketsFromWorkloads: true"))
		check(t, places, "a x udp/4789 ok")
		apply(t, l, felix("vxlanPort: 4790")) // then 4789 is a port like any other
		time.Sleep(settleTime)
		check(t, places, "a x udp/4789 ok")
		apply(t, l, felix(""))
		time.Sleep(settleTime)
		check(t, places, "a x udp/4789 no")
	})
	t.Run("allowIPIPPacketsFromWorkloads", func(t *testing.T) { // R2
		apply(t, l, felix(""))
		got := func() int { return protocol4(t, a, x) }
		time.Sleep(settleTime)
		if n := got(); n != 0 {
			t.Errorf("%d IP-in-IP packets of a workload passed", n)
		}
		apply(t, l, felix("allowIPIPPacketsFromWorkloads: true"))
		become(t, "IP in IP passes", func() error {
			if got() == 0 {
				return errors.New("nothing arrived")
			}
			return nil
		})
	})
	t.Run("disableConntrackInvalidCheck", func(t *testing.T) { // R1
		invalid := func() bool { return invalidPasses(t, a, x) }
		apply(t, l, felix(""))
		time.Sleep(settleTime)
		if invalid() {
			t.Error("a packet that conntrack calls invalid passed")
		}
		apply(t, l, felix("disableConntrackInvalidCheck: true"))
		become(t, "invalid packets pass", func() error {
			if !invalid() {
				return errors.New("nothing arrived")
			}
			return nil
		})
	})
	t.Run("logPrefix and logActionRateLimit", func(t *testing.T) { // R32
		apply(t, l, felix(`logPrefix: "deny %t %k %n %p", logActionRateLimit: 7/minute, logActionRateLimitBurst: 3`))
		apply(t, l, np("watched", "default", "selector: app == 'x', types: [Ingress], ingress: [{action: Log}, {action: Allow}]"))
		defer remove(t, l, np("watched", "default", ""))
		become(t, "the log rule", func() error {
			text := ruleset(t, l, "felix-2")
			return errors.Join(mustContain(text, `log prefix "deny default NetworkPolicy watched default/watched: "`), mustContain(text, "limit rate 7/minute burst 3 packets"))
		})
		check(t, places, "a x tcp/8080 ok")
		if err := mustContain(ruleset(t, l, "felix-2"), "log prefix"); err != nil {
			t.Error(err)
		}
	})
	t.Run("nftablesMarkMask", func(t *testing.T) {
		apply(t, l, felix("nftablesMarkMask: 0xff00")+gnp("p", "selector: app == 'x', types: [Ingress], ingress: [{action: Pass}]"))
		become(t, "marks inside the mask", func() error {
			text := ruleset(t, l, "felix-2")
			return errors.Join(mustContain(text, "0x00000100"), mustContain(text, "ct mark & 0x00008000"))
		})
		check(t, places, "a x tcp/8080 ok")
		remove(t, l, gnp("p", ""))
		apply(t, l, felix(""))
	})
}

// outcomeRefused tells a refusal from silence.
func outcomeRefused(err error) bool {
	var timeout interface{ Timeout() bool }
	return isDenied(err) && !(errors.As(err, &timeout) && timeout.Timeout())
}

// protocol4 sends a few IPv4-in-IPv4 packets and counts those that arrive.
func protocol4(t *testing.T, from, to place) int {
	t.Helper()
	var in *net.IPConn
	if err := to.ns.Do(func() (err error) { in, err = net.ListenIP("ip4:4", nil); return err }); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out net.Conn
	if err := from.ns.Do(func() (err error) { out, err = net.Dial("ip4:4", to.addr[4].String()); return err }); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for range 3 {
		_, _ = out.Write(make([]byte, 40))
	}
	_ = in.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	n := 0
	for buf := make([]byte, 100); ; n++ {
		if _, _, err := in.ReadFrom(buf); err != nil {
			return n
		}
	}
}

// invalidPasses sends TCP segments with flags that make no sense (SYN and FIN) and tells whether one arrives.
func invalidPasses(t *testing.T, from, to place) bool {
	t.Helper()
	var in *net.IPConn
	if err := to.ns.Do(func() (err error) { in, err = net.ListenIP("ip4:tcp", nil); return err }); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out net.Conn
	if err := from.ns.Do(func() (err error) { out, err = net.Dial("ip4:tcp", to.addr[4].String()); return err }); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	sport := 30000 + int(sourcePort.Add(1)%1000)
	segment := make([]byte, 20)
	segment[0], segment[1] = byte(sport>>8), byte(sport)
	segment[2], segment[3] = 0, 9
	segment[12], segment[13] = 5<<4, 0x03 // SYN and FIN
	sum := uint32(0)
	add := func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	src, dst := from.addr[4].As4(), to.addr[4].As4()
	add(src[:])
	add(dst[:])
	add([]byte{0, 6, 0, 20})
	add(segment)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	segment[16], segment[17] = byte(^sum>>8), byte(^sum)
	for range 2 {
		_, _ = out.Write(segment)
	}
	_ = in.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	for buf := make([]byte, 100); ; {
		n, _, err := in.ReadFrom(buf)
		if err != nil {
			return false
		}
		if n >= 14 && int(buf[0])<<8|int(buf[1]) == sport && buf[13] == 0x03 {
			return true
		}
	}
}
