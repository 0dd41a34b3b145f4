package test

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/lab"
)

const bgpLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.14.0/24, cidr6: "fd00:30:14::/64"}]
nodes: [{name: %[1]s-1}, {name: %[1]s-2}, {name: %[1]s-3}]
objects:` + meshPools + `workloads:
  - {name: a, node: %[1]s-1}
  - {name: x, node: %[1]s-2}
  - {name: z, node: %[1]s-3}
`

// bgpNode is what tests ask of a node's speaker.
type bgpNode struct {
	t    *testing.T
	lab  *lab.Lab
	name string
}

// peers are the addresses of the sessions that are Established, sorted by name of the session, and the AS.
func (n bgpNode) peers() (established []string, others int, as uint32) {
	s, err := n.lab.Status(n.t.Context(), n.name)
	if err != nil || s.BGP == nil {
		return nil, 0, 0
	}
	for _, p := range s.BGP.Peers {
		if p.State == "Established" {
			established = append(established, p.Address)
		} else {
			others++
		}
	}
	return established, others, s.BGP.AS
}

func (n bgpNode) sessions(want int) func() error {
	return func() error {
		if got, others, _ := n.peers(); len(got) != want || others > 0 {
			return fmt.Errorf("%s: %d sessions Established (%v), %d others, want %d", n.name, len(got), got, others, want)
		}
		return nil
	}
}

func (n bgpNode) route(family int, to string) string {
	ns, err := n.lab.Namespace(n.name)
	if err != nil {
		n.t.Fatal(err)
	}
	return inside(n.t, ns, "ip", "-"+strconv.Itoa(family), "route", "show", "to", "match", to)
}

// reaches waits for the route to a workload of another node, in both families.
func (n bgpNode) reaches(p place, via4 string) func() error {
	return func() error {
		return errors.Join(mustContain(n.route(4, p.addr[4].String()), "via "+via4+" "), mustContain(n.route(6, p.addr[6].String()), "via fd00:30:14:"))
	}
}

func (n bgpNode) knocks(addr string) error {
	ns, err := n.lab.Namespace(n.name)
	if err != nil {
		return err
	}
	var conn net.Conn
	if err := ns.Do(func() (err error) { conn, err = net.DialTimeout("tcp", addr, time.Second); return err }); err != nil {
		return err
	}
	return conn.Close()
}

// bgp is the default BGPConfiguration.
func bgp(spec string) string { return object("BGPConfiguration", "default", spec) }

// The mesh and its settings.
func TestBGPConfigurationFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(bgpLab, "mesh"))
	n1, n2, n3 := bgpNode{t, l, "mesh-1"}, bgpNode{t, l, "mesh-2"}, bgpNode{t, l, "mesh-3"}
	x := placeOf(t, l, "x")
	eventually(t, 20*time.Second, "the mesh, which is the default", n1.sessions(4)) // two peers, two families
	eventually(t, 10*time.Second, "routes", n1.reaches(x, "172.30.14.11"))

	t.Run("asNumber", func(t *testing.T) {
		if _, _, as := n1.peers(); as != 64512 {
			t.Errorf("AS %d, want 64512, the default", as)
		}
		apply(t, l, bgp("asNumber: 65001"))
		become(t, "another AS", func() error {
			if _, _, as := n1.peers(); as != 65001 {
				return fmt.Errorf("AS %d", as)
			}
			return nil
		})
		eventually(t, 60*time.Second, "the mesh again", n1.sessions(4))
	})
	t.Run("Node asNumber", func(t *testing.T) {
		patch(t, l, "node", "mesh-2", `{"spec":{"bgp":{"asNumber":65002}}}`)
		become(t, "the node's own AS", func() error {
			if _, _, as := n2.peers(); as != 65002 {
				return fmt.Errorf("AS %d", as)
			}
			return nil
		})
		eventually(t, 60*time.Second, "sessions between two AS", n1.sessions(4))
		patch(t, l, "node", "mesh-2", `{"spec":{"bgp":{"asNumber":null}}}`)
		eventually(t, 60*time.Second, "one AS again", n1.sessions(4))
	})
	t.Run("listenPort", func(t *testing.T) {
		if err := n1.knocks("172.30.14.11:179"); err != nil {
			t.Errorf("port 179, the default: %v", err)
		}
		apply(t, l, bgp("asNumber: 65001, listenPort: 1790"))
		become(t, "another port", func() error { return n1.knocks("172.30.14.11:1790") })
		eventually(t, 60*time.Second, "the mesh on another port", n1.sessions(4))
		if err := n1.knocks("172.30.14.11:179"); err == nil {
			t.Error("port 179 is still open")
		}
	})
	t.Run("bindMode", func(t *testing.T) {
		if err := n1.knocks("127.0.0.1:1790"); err != nil {
			t.Errorf("bindMode None: %v", err)
		}
		apply(t, l, bgp("asNumber: 65001, listenPort: 1790, bindMode: NodeIP"))
		become(t, "NodeIP", func() error {
			if n1.knocks("127.0.0.1:1790") == nil {
				return errors.New("the loopback address answers")
			}
			return n1.knocks("172.30.14.10:1790")
		})
	})
	t.Run("route priorities", func(t *testing.T) {
		apply(t, l, bgp("asNumber: 65001, ipv4NormalRoutePriority: 555, ipv6NormalRoutePriority: 556"))
		eventually(t, 60*time.Second, "metrics of learned routes", func() error {
			return errors.Join(mustContain(n1.route(4, x.addr[4].String()), "metric 555"), mustContain(n1.route(6, x.addr[6].String()), "metric 556"))
		})
	})
	t.Run("programClusterRoutes", func(t *testing.T) {
		apply(t, l, bgp("asNumber: 65001, nodeToNodeMeshEnabled: true, programClusterRoutes: Disabled"))
		become(t, "learned and not programmed", func() error {
			if text := n1.route(4, x.addr[4].String()); strings.Contains(text, "172.30.14.11") {
				return errors.New("still routed: " + text)
			}
			return nil
		})
		apply(t, l, bgp("asNumber: 65001, programClusterRoutes: Enabled"))
		eventually(t, 20*time.Second, "programmed again", n1.reaches(x, "172.30.14.11"))
	})
	t.Run("disableBGPExport of a pool", func(t *testing.T) {
		patch(t, l, "ippool", "pods4", `{"spec":{"disableBGPExport":true}}`)
		become(t, "the IPv4 routes go, the IPv6 routes stay", func() error {
			if text := n1.route(4, x.addr[4].String()); strings.Contains(text, "172.30.14.11") {
				return errors.New("still routed: " + text)
			}
			return mustContain(n1.route(6, x.addr[6].String()), "via fd00:30:14:")
		})
		patch(t, l, "ippool", "pods4", `{"spec":{"disableBGPExport":false}}`)
		eventually(t, 20*time.Second, "exported again", n1.reaches(x, "172.30.14.11"))
	})
	t.Run("nodeToNodeMeshEnabled", func(t *testing.T) {
		apply(t, l, bgp("asNumber: 65001, nodeToNodeMeshEnabled: false"))
		become(t, "no mesh", func() error { return errors.Join(n1.sessions(0)(), n3.sessions(0)()) })
	})
}

// Peerings that BGPPeers make, with the mesh off.
func TestBGPPeerFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(bgpLab, "peers"))
	n1, n2, n3 := bgpNode{t, l, "peers-1"}, bgpNode{t, l, "peers-2"}, bgpNode{t, l, "peers-3"}
	a, x, z := placeOf(t, l, "a"), placeOf(t, l, "x"), placeOf(t, l, "z")
	apply(t, l, bgp("nodeToNodeMeshEnabled: false"))
	become(t, "no mesh", func() error { return errors.Join(n1.sessions(0)(), n2.sessions(0)(), n3.sessions(0)()) })
	peer := func(name, spec string) string { return object("BGPPeer", name, spec) }
	only := func(n bgpNode, want ...string) func() error {
		return func() error {
			got, others, _ := n.peers()
			if fmt.Sprint(got) != fmt.Sprint(want) || others > 0 {
				return fmt.Errorf("%s: Established with %v and %d others, want %v", n.name, got, others, want)
			}
			return nil
		}
	}
	t.Run("peerIP, asNumber, node", func(t *testing.T) {
		docs := peer("one", "node: peers-1, peerIP: 172.30.14.11, asNumber: 64512") + peer("two", "node: peers-2, peerIP: 172.30.14.10, asNumber: 64512")
		apply(t, l, docs)
		eventually(t, 60*time.Second, "one session", only(n1, "172.30.14.11"))
		eventually(t, 10*time.Second, "its other end", only(n2, "172.30.14.10"))
		if err := n3.sessions(0)(); err != nil {
			t.Error(err)
		}
		eventually(t, 20*time.Second, "its routes", func() error { return mustContain(n1.route(4, x.addr[4].String()), "via 172.30.14.11 ") })
		apply(t, l, peer("one", "node: peers-1, peerIP: 172.30.14.11, asNumber: 65009"))
		become(t, "another AS number than the peer's is refused", func() error {
			if got, _, _ := n1.peers(); len(got) > 0 {
				return fmt.Errorf("still Established with %v", got)
			}
			return nil
		})
		remove(t, l, docs)
		become(t, "no session", n1.sessions(0))
	})
	t.Run("nodeSelector, peerSelector", func(t *testing.T) {
		for node, side := range map[string]string{"peers-1": "left", "peers-2": "right"} {
			if out, err := l.Output(t.Context(), nil, "label", "node", node, "side="+side); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		docs := peer("sides", "nodeSelector: side == 'left', peerSelector: side == 'right'")
		apply(t, l, docs)
		eventually(t, 60*time.Second, "sessions of both families", n1.sessions(2))
		eventually(t, 10*time.Second, "their other ends", n2.sessions(2))
		if err := n3.sessions(0)(); err != nil {
			t.Error(err)
		}
		eventually(t, 20*time.Second, "its routes", n1.reaches(x, "172.30.14.11"))
		remove(t, l, docs)
		become(t, "no session", n1.sessions(0))
	})
	t.Run("localASNumber", func(t *testing.T) {
		docs := peer("one", "node: peers-1, peerIP: 172.30.14.11, asNumber: 64512, localASNumber: 65077") +
			peer("two", "node: peers-2, peerIP: 172.30.14.10, asNumber: 65077")
		apply(t, l, docs)
		eventually(t, 60*time.Second, "a session with another AS number of our own", only(n1, "172.30.14.11"))
		remove(t, l, docs)
		become(t, "no session", n1.sessions(0))
	})
	t.Run("routeReflectorClusterID", func(t *testing.T) {
		patch(t, l, "node", "peers-1", `{"metadata":{"labels":{"reflector":"yes"}},"spec":{"bgp":{"routeReflectorClusterID":"10.0.0.1"}}}`)
		apply(t, l, peer("reflected", "nodeSelector: \"!has(reflector)\", peerSelector: has(reflector)"))
		eventually(t, 60*time.Second, "the reflector's sessions", n1.sessions(4))
		eventually(t, 20*time.Second, "a client's sessions", n2.sessions(2))
		eventually(t, 20*time.Second, "clients reach each other", n2.reaches(z, "172.30.14.12"))
		eventually(t, 20*time.Second, "clients reach each other", n3.reaches(x, "172.30.14.11"))
		eventually(t, 20*time.Second, "and the reflector", n3.reaches(a, "172.30.14.10"))
	})
}
