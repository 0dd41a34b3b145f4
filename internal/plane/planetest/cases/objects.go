package cases

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tortie-net/tortie/internal/model"
)

// The names and numbers of ports that endpoints declare and that rules and packets use.
var (
	portNames   = []string{"http", "dns", "http", "none"}
	portNumbers = []int{53, 80, 81, 443, 8080}
)

// Address is the addresses, of both families, that the workload made as the nth (from 0) has if it is on a node, by the
// node's number (0 is Node).
func Address(node, nth int) [2]netip.Addr { return workloadAddrs(node, nth+1) }

// workloadAddrs is a workload's addresses by node and by place in the node's block.
func workloadAddrs(node, place int) [2]netip.Addr {
	return [2]netip.Addr{netip.AddrFrom4([4]byte{10, 65, byte(node), byte(place)}), addr6(0xfd65000000000000, uint64(node<<16|place))}
}

// addWorkloads makes pods and other workloads on every node.
func (g *generator) addWorkloads() {
	for i := range g.size.Workloads {
		node := 0
		if i > 1 && g.chance(2) {
			node = g.IntN(g.size.Nodes)
		}
		namespace := pick(g.Rand, g.namespaces)
		if g.chance(6) {
			g.addWorkload(namespace, i, node)
		} else {
			g.addPod(namespace, i, node)
		}
	}
	for node := range g.size.Nodes {
		for _, a := range workloadAddrs(node, 0) {
			if b := g.blocks[blockOf(a)]; b != nil {
				g.put(model.Key{Kind: model.KindBlock, Name: b.CIDR.String()}, b)
				g.put(model.Key{Kind: model.KindAffinity, Namespace: "host:" + nodeName(node), Name: b.CIDR.String()},
					&model.Affinity{Owner: "host:" + nodeName(node), CIDR: b.CIDR, State: model.AffinityConfirmed})
			}
		}
	}
}

// families is the addresses of one workload: both families, or one.
func (g *generator) families(node, place int) []netip.Addr {
	both := workloadAddrs(node, place)
	switch g.IntN(6) {
	case 0:
		return both[:1]
	case 1:
		return both[1:]
	}
	return both[:]
}

// workload is what all kinds of workloads have (R52).
func (g *generator) workload(id model.WorkloadID, node int) *model.WorkloadEndpoint {
	w := &model.WorkloadEndpoint{ID: id, Node: nodeName(node), Ports: g.namedPorts(), Labels: g.labels(endpointLabels[1:3])}
	if g.chance(8) { // an own label of a name that others inherit
		w.Labels["color"], w.Labels["pcns.env"] = "blue", "test"
	}
	w.Labels[model.LabelNamespace], w.Labels[model.LabelOrchestrator] = id.Namespace, id.Orchestrator
	if !g.chance(10) {
		w.Profiles = []string{"kns." + id.Namespace}
	}
	if account := pick(g.Rand, []string{"sa1", "sa2", ""}); account != "" {
		w.Labels[model.LabelServiceAccount] = account
		w.Profiles = append(w.Profiles, "ksa."+id.Namespace+"."+account)
	}
	if more := pick(g.Rand, []string{"", "", "", "passing", "", "drawn", "drawn", "empty", "nowhere", model.ProfileDefaultAllow}); more != "" {
		if g.bool() {
			w.Profiles = append([]string{more}, w.Profiles...)
		} else {
			w.Profiles = append(w.Profiles, more)
		}
	}
	return w
}

func (g *generator) namedPorts() []model.NamedPort {
	var out []model.NamedPort
	for range g.IntN(4) {
		out = append(out, model.NamedPort{
			Name: pick(g.Rand, portNames[:3]), Port: uint16(pick(g.Rand, portNumbers)),
			Protocol: pick(g.Rand, []uint8{model.ProtoTCP, model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP}),
		})
	}
	return out
}

// addPod makes a pod. Its addresses are stated, or told by IPAM (R145), or it has finished and owns none (R8).
func (g *generator) addPod(namespace string, i, node int) {
	name := fmt.Sprintf("pod%d", i)
	w := g.workload(model.WorkloadID{Orchestrator: "k8s", Namespace: namespace, Workload: name, Endpoint: "eth0"}, node)
	w.UID = "uid-" + name
	addrs := g.families(node, i+1)
	owned := addrs
	switch n := g.IntN(10); {
	case n < 1:
		owned = nil
		for _, a := range addrs {
			g.Doubtful[a] = "R8 finished"
		}
	case n < 6:
		w.Addresses = addrs
	default:
		w.AddressesFromIPAM = true
		owned = g.allocate(w, addrs)
	}
	if len(w.Addresses) > 0 && g.chance(8) && len(g.workloads) > 0 { // an address changes hands (R68)
		if other := pick(g.Rand, g.workloads); len(other.Addresses) > 0 {
			w.Addresses = append(w.Addresses[:len(w.Addresses):len(w.Addresses)], other.Addresses[0])
			owned = w.Addresses
			g.Doubtful[other.Addresses[0]] = "R68 shared"
		}
	}
	g.register(model.Key{Kind: model.KindPod, Namespace: namespace, Name: name}, w, owned)
}

// addWorkload makes a workload that is no pod of Kubernetes. One without a node owns nothing (R145).
func (g *generator) addWorkload(namespace string, i, node int) {
	name := fmt.Sprintf("vm%d", i)
	w := g.workload(model.WorkloadID{Orchestrator: pick(g.Rand, []string{"cni", "openstack"}), Namespace: namespace, Workload: name, Endpoint: "eth0"}, node)
	w.Addresses = g.families(node, i+1)
	owned := w.Addresses
	if g.chance(5) {
		w.Node, owned = "", nil
		for _, a := range w.Addresses {
			g.Doubtful[a] = "R145 no node"
		}
	}
	g.register(model.Key{Kind: model.KindWorkloadEndpoint, Namespace: namespace, Name: w.Node + "-" + name}, w, owned)
}

func (g *generator) register(key model.Key, w *model.WorkloadEndpoint, owned []netip.Addr) {
	g.put(key, w)
	e := Endpoint{key, w, owned}
	g.workloads = append(g.workloads, e)
	if w.Node == Node {
		g.Local = append(g.Local, e)
	}
}

// allocate enters addresses of a workload in IPAM blocks, and wrong entries beside them. It returns those that the
// workload owns.
func (g *generator) allocate(w *model.WorkloadEndpoint, addrs []netip.Addr) []netip.Addr {
	var owned []netip.Addr
	for _, a := range addrs {
		attributes := map[string]string{
			model.AttrNode: w.Node, model.AttrNamespace: w.ID.Namespace, model.AttrPod: w.ID.Workload, model.AttrUID: w.UID,
		}
		allocation := model.Allocation{Handle: "k8s-pod-network." + w.ID.Workload, Attributes: attributes}
		reason := ""
		switch g.IntN(12) {
		case 0:
			attributes[model.AttrUID], reason = "uid-of-another", "R145 other uid"
		case 1:
			allocation.ReleasedAt, reason = time.Unix(1_700_000_000, 0), "R145 released"
		case 2:
			attributes[model.AttrNode], reason = "n9", "R145 other node"
		case 3:
			attributes[model.AttrNamespace], reason = "ns9", "R145 other namespace"
		case 4:
			allocation, reason = model.Allocation{Attributes: map[string]string{model.AttrType: "ipipTunnelAddress"}}, "R145 no workload"
		case 5, 6:
			delete(attributes, model.AttrUID) // written by Calico
		}
		b := g.block(a, w.Node)
		b.Allocations[b.Ordinal(a)] = len(b.Attributes)
		b.Attributes = append(b.Attributes, allocation)
		if reason == "" {
			owned = append(owned, a)
		} else {
			g.Doubtful[a] = reason
		}
	}
	return owned
}

func blockOf(a netip.Addr) netip.Prefix {
	bits := 26
	if a.Is6() {
		bits = 122
	}
	p, _ := a.Prefix(bits)
	return p
}

func (g *generator) block(a netip.Addr, node string) *model.Block {
	cidr := blockOf(a)
	if g.blocks[cidr] == nil {
		b := &model.Block{CIDR: cidr, Affinity: "host:" + node}
		for range 64 {
			b.Allocations = append(b.Allocations, -1)
		}
		g.blocks[cidr] = b
	}
	return g.blocks[cidr]
}

// addHosts makes host endpoints (R110, R120).
func (g *generator) addHosts() {
	for i := range g.size.Hosts {
		h := &model.HostEndpoint{
			Name: fmt.Sprintf("host%d", i), Node: nodeName(i % g.size.Nodes), Interface: "eth0",
			Labels: g.labels(endpointLabels[1:4]), Ports: g.namedPorts(),
		}
		if !g.chance(4) {
			h.ExpectedIPs = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), addr6(0x20010db800020000, uint64(i+1))}
		}
		if p := pick(g.Rand, []string{"", model.ProfileDefaultAllow, "drawn", "passing", "nowhere"}); p != "" {
			h.Profiles = []string{p}
		}
		key := model.Key{Kind: model.KindHostEndpoint, Name: h.Name}
		g.put(key, h)
		if h.Node == Node {
			g.Local = append(g.Local, Endpoint{key, h, h.ExpectedIPs})
		}
	}
}

// The nets that network sets and rules are made of: single addresses and prefixes, nested and touching each other, of
// both families, of workloads, hosts and the world outside.
var netTexts = [2][]string{
	{"198.51.100.0/24", "198.51.100.7/32", "198.51.100.128/25", "203.0.113.1/32", "203.0.113.2/32", "10.65.0.0/16", "10.65.0.0/26",
		"10.65.1.0/26", "10.65.0.2/32", "10.65.0.3/32", "10.65.0.4/30", "192.0.2.1/32", "0.0.0.0/0", "10.65.0.0/29"},
	{"2001:db8:9::/48", "2001:db8:9::7/128", "2001:db8:9:8000::/49", "2001:db8:a::1/128", "2001:db8:a::2/128", "fd65::/64", "fd65::/122",
		"fd65::1:0/122", "fd65::2/128", "fd65::3/128", "fd65::4/126", "2001:db8:2::1/128", "::/0", "fd65::/125"},
}

func (g *generator) net(v6 bool) string {
	if v6 {
		return pick(g.Rand, netTexts[1])
	}
	return pick(g.Rand, netTexts[0])
}

// addNetworkSets makes both kinds (R66, R73).
func (g *generator) addNetworkSets() {
	for i := range g.size.NetworkSets {
		s := &model.NetworkSet{Key: model.Key{Kind: model.KindGlobalNetworkSet, Name: fmt.Sprintf("set%d", i)}, Labels: g.labels(endpointLabels[1:4])}
		if g.bool() {
			s.Key.Kind, s.Key.Namespace = model.KindNetworkSet, pick(g.Rand, g.namespaces)
			s.Labels[model.LabelNamespace] = s.Key.Namespace
			s.Profiles = []string{"kns." + s.Key.Namespace}
		}
		for range g.IntN(5) {
			s.Nets = append(s.Nets, netip.MustParsePrefix(g.net(g.bool())))
		}
		g.put(s.Key, s)
	}
}

// addServices makes services and their slices; two slices may name the same endpoint (R70).
func (g *generator) addServices() {
	for _, namespace := range g.namespaces {
		g.put(model.Key{Kind: model.KindService, Namespace: namespace, Name: "svc"},
			&model.Service{Namespace: namespace, Name: "svc", Ports: []model.ServicePort{{Protocol: model.ProtoTCP, Port: 80}}})
		for i := range 1 + g.IntN(2) {
			s := &model.EndpointSlice{Namespace: namespace, Name: fmt.Sprintf("svc-%d", i), Service: "svc"}
			if g.chance(8) {
				s.Service = "other"
			}
			for range 1 + g.IntN(4) {
				if w := pick(g.Rand, g.workloads); len(w.Addresses) > 0 {
					s.Ready = append(s.Ready, w.Addresses...)
				}
			}
			if g.chance(3) {
				s.Ready = append(s.Ready, netip.MustParsePrefix(g.net(g.bool())).Addr())
			}
			s.Ports = g.namedPorts()
			if g.chance(4) {
				s.Ports = append(s.Ports, model.NamedPort{Protocol: model.ProtoTCP})
			}
			g.put(model.Key{Kind: model.KindEndpointSlice, Namespace: namespace, Name: s.Name}, s)
		}
	}
}
