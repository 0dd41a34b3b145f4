package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/kernel"
)

// A WorkloadEndpoint that somebody stores for an interface that something else made: Tortie gives it its route, its
// neighbour entry and its policy, by what the object states.
func TestWorkloadEndpointFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(settingsLab, "made"))
	apply(t, l, object("Profile", "open", "ingress: [{action: Allow}], egress: [{action: Allow}]"))
	ns, err := l.MakeNamespace("machine")
	if err != nil {
		t.Fatal(err)
	}
	host, err := l.Namespace("made-1")
	if err != nil {
		t.Fatal(err)
	}
	const mac, address = "02:00:00:00:00:17", "10.98.200.1"
	handle, err := kernel.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if err := errors.Join(handle.AddVeth(kernel.Veth{Name: "calimachine", PeerName: "eth0", PeerNamespace: ns}), handle.SetLinkUp("calimachine")); err != nil {
		t.Fatal(err)
	}
	inside(t, ns, "ip", "link", "set", "eth0", "address", mac)
	inside(t, ns, "ip", "address", "add", address+"/32", "dev", "eth0")
	inside(t, ns, "ip", "link", "set", "eth0", "up")
	inside(t, ns, "ip", "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link")
	inside(t, ns, "ip", "route", "add", "default", "via", "169.254.1.1")
	places := map[string]place{
		"machine": {"machine", ns, map[int]netip.Addr{4: netip.MustParseAddr(address)}},
		"a":       placeOf(t, l, "a"), "x": placeOf(t, l, "x"),
	}
	listen(t, ns, 8080)
	check(t, places, "a machine tcp/8080 no")

	endpoint := func(node, iface, addr, more string) string {
		return fmt.Sprintf(`
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: made--1-openstack-machine-port, namespace: default, labels: {app: machine}}
spec: {node: %s, orchestrator: openstack, workload: machine, endpoint: port, interfaceName: %s, ipNetworks: [%s/32], mac: "%s", profiles: [open]%s}
`, node, iface, addr, mac, more)
	}
	apply(t, l, endpoint("made-1", "calimachine", address, ""))
	check(t, places, "a machine tcp/8080 ok", "x machine tcp/8080 ok", "machine x tcp/8080 ok")
	if text := inside(t, host, "ip", "neigh", "show", "dev", "calimachine"); !strings.Contains(text, address) || !strings.Contains(text, mac) {
		t.Errorf("neighbours: %s", text)
	}
	apply(t, l, gnp("p", "selector: app == 'machine', types: [Ingress]"))
	time.Sleep(settleTime)
	check(t, places, "a machine tcp/8080 no", "machine x tcp/8080 ok")
	remove(t, l, gnp("p", ""))

	// R7: from other addresses only where both the endpoint and the setting say so.
	inside(t, ns, "ip", "address", "add", "192.0.2.9/32", "dev", "lo")
	spoofed := func() bool { return arrivesFrom(t, places["machine"], places["x"], "192.0.2.9") }
	passes := func() error {
		if !spoofed() {
			return errors.New("nothing arrived")
		}
		return nil
	}
	if spoofed() {
		t.Error("a foreign source address passed")
	}
	apply(t, l, endpoint("made-1", "calimachine", address, ", allowSpoofedSourcePrefixes: [192.0.2.0/24]"))
	time.Sleep(settleTime)
	if spoofed() {
		t.Error("a foreign source address passed with workloadSourceSpoofing Disabled")
	}
	apply(t, l, felix("workloadSourceSpoofing: Any"))
	become(t, "the prefix is allowed", passes)
	apply(t, l, endpoint("made-1", "calimachine", address, ""))
	time.Sleep(settleTime)
	if spoofed() {
		t.Error("a foreign source address passed that the endpoint does not allow")
	}

	// Another interface, another address: the object decides.
	apply(t, l, endpoint("made-1", "calimachine", "10.98.200.2", ""))
	become(t, "the address moves", func() error {
		routes := inside(t, host, "ip", "route")
		if strings.Contains(routes, address+" ") {
			return errors.New("the old route is there: " + routes)
		}
		return mustContain(routes, "10.98.200.2 dev calimachine")
	})
	apply(t, l, endpoint("made-1", "calielsewhere", address, ""))
	become(t, "an interface without endpoint is closed", func() error {
		if routes := inside(t, host, "ip", "route"); strings.Contains(routes, "calimachine") {
			return errors.New("it has a route: " + routes)
		}
		return nil
	})
	check(t, places, "a machine tcp/8080 no")
}

// arrivesFrom sends UDP packets from an address of the sender's and tells whether one arrives.
func arrivesFrom(t *testing.T, from, to place, source string) bool {
	t.Helper()
	const port = 6000
	var in net.PacketConn
	if err := to.ns.Do(func() (err error) { in, err = net.ListenPacket("udp4", fmt.Sprint(":", port)); return err }); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out net.Conn
	if err := from.ns.Do(func() (err error) {
		out, err = net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(source)}, &net.UDPAddr{IP: to.addr[4].AsSlice(), Port: port})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for range 3 {
		_, _ = out.Write([]byte("x"))
	}
	_ = in.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, _, err := in.ReadFrom(make([]byte, 10))
	return err == nil
}
