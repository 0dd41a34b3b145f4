package test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/lab"
)

const ipamLab = `
name: %s
subnets: [{name: lan, cidr: 172.30.13.0/24}]
nodes: [{name: %[1]s-1}, {name: %[1]s-2}]
`

const ipv4Only = `{"type": "tortie-ipam", "assign_ipv4": "true", "assign_ipv6": "false"}`

// remover takes a container's network away.
func (n *network) remove(container string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.cni.DelNetwork(ctx, n.config, n.runtime(container)); err != nil {
		n.t.Fatalf("DEL %s: %v", container, err)
	}
}

// refused runs an ADD that must fail with a text, and its DEL.
func (n *network) refused(container, text string) {
	n.t.Helper()
	p, err := n.tryAdd(container)
	if err == nil {
		n.t.Fatalf("ADD %s got %v, want an error with %q", container, p.addr, text)
	}
	if !strings.Contains(err.Error(), text) {
		n.t.Errorf("ADD %s: %v; want %q", container, err, text)
	}
	n.remove(container)
}

func (n *network) addIn(container, cidr string) {
	n.t.Helper()
	p := n.add(container)
	if !netip.MustParsePrefix(cidr).Contains(p.addr[4]) {
		n.t.Errorf("%s got %v, want one of %s", container, p.addr[4], cidr)
	}
}

func pool(name, spec string) string { return object("IPPool", name, spec) }

// patch changes an object and gives the agents a moment.
func patch(t *testing.T, l *lab.Lab, kind, name, merge string) {
	t.Helper()
	if out, err := l.Output(t.Context(), nil, "patch", kind, name, "--type", "merge", "-p", merge); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	time.Sleep(settleTime)
}

// Every field of pools, as ADD sees it.
func TestPoolFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ipamLab, "pools"))
	n1 := newNetwork(t, l, "pools-1", "net", "1.0.0", ipv4Only)
	n2 := newNetwork(t, l, "pools-2", "net", "1.0.0", ipv4Only)
	apply(t, l, object("Profile", "net", "ingress: [{action: Allow}], egress: [{action: Allow}]"))
	settle := func(docs string) {
		t.Helper()
		apply(t, l, docs)
		time.Sleep(settleTime)
	}
	n1.refused("none", "pool")

	settle(pool("first", "cidr: 10.1.0.0/24, blockSize: 29, natOutgoing: false"))
	n1.addIn("cidr", "10.1.0.0/24")
	out, err := l.Output(t.Context(), nil, "ipam", "show", "--show-blocks")
	if err != nil || !strings.Contains(out, "/29 ") || strings.Contains(out, "/26 ") {
		t.Errorf("blockSize 29: %v\n%s", err, out)
	}

	settle(pool("second", "cidr: 10.2.0.0/24"))
	patch(t, l, "ippool", "first", `{"spec":{"disabled":true}}`)
	n1.addIn("disabled", "10.2.0.0/24")

	if out, err := l.Output(t.Context(), nil, "label", "node", "pools-2", "rack=r2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	patch(t, l, "ippool", "second", `{"spec":{"nodeSelector":"rack != 'r2'"}}`)
	settle(pool("third", "cidr: 10.3.0.0/24, nodeSelector: rack == 'r2'"))
	n1.addIn("node-1", "10.2.0.0/24")
	n2.addIn("node-2", "10.3.0.0/24")

	patch(t, l, "ippool", "third", `{"spec":{"assignmentMode":"Manual"}}`)
	n2.refused("manual", "third")
	asked := newNetwork(t, l, "pools-2", "net", "1.0.0", `{"type": "tortie-ipam", "ipv4_pools": ["third"]}`)
	asked.addIn("asked", "10.3.0.0/24")

	patch(t, l, "ippool", "third", `{"spec":{"assignmentMode":"Automatic","allowedUses":["Tunnel"]}}`)
	n2.refused("tunnel", "third")
	patch(t, l, "ippool", "third", `{"spec":{"allowedUses":["Workload"]}}`)
	n2.addIn("workload", "10.3.0.0/24")

	// A pool for some namespaces only: pods of Kubernetes.
	settle(ruleNamespaces + pool("fourth", "cidr: 10.4.0.0/24, allowedUses: [Workload], namespaceSelector: place == 'far'"))
	for namespace, cidr := range map[string]string{"near": "10.2.0.0/24", "far": "10.4.0.0/24"} {
		if namespace == "far" {
			patch(t, l, "ippool", "second", `{"spec":{"allowedUses":["Workload"],"namespaceSelector":"place != 'far'"}}`)
		}
		pod := "pod-" + namespace
		apply(t, l, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s}\nspec: {nodeName: pools-1, containers: [{name: a, image: b}]}\n", pod, namespace))
		n1.args = [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", namespace}, {"K8S_POD_NAME", pod}}
		n1.addIn(pod, cidr)
	}
}

// A pool's natOutgoing is what makes its pods leave with the node's address.
func TestPoolNATOutgoing(t *testing.T) {
	l := startLab(t, fmt.Sprintf(settingsLab, "nat"))
	a, router := placeOf(t, l, "a"), nodePlace(t, l, "router", "172.31.12.1")
	listen(t, router.ns, 7001)
	inside(t, router.ns, "ip", "route", "add", "10.98.0.0/16", "via", "172.30.12.10")
	sees := func(want string) func() error {
		return func() error {
			text, err := knock(a, router.addr[4], "tcp", 7001, 0)
			if err == nil && !strings.HasPrefix(strings.TrimPrefix(text, "[::ffff:"), want) {
				err = fmt.Errorf("the router sees %s, want %s", text, want)
			}
			return err
		}
	}
	become(t, "natOutgoing true", sees("172.30.12.10"))
	patch(t, l, "ippool", "pods4", `{"spec":{"natOutgoing":false}}`)
	become(t, "natOutgoing false", sees(a.addr[4].String()))
}

func TestReservations(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ipamLab, "reserved"))
	n := newNetwork(t, l, "reserved-1", "net", "1.0.0", ipv4Only)
	apply(t, l, pool("small", "cidr: 10.1.0.0/29, blockSize: 29")+object("IPReservation", "most", `reservedCIDRs: [10.1.0.0/30, "10.1.0.4/31", 10.1.0.7]`))
	time.Sleep(settleTime)
	n.addIn("only", "10.1.0.6/32")
	n.refused("none", "address")
}

// Every field of IPAMConfiguration that has an effect.
func TestIPAMConfigurationFields(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ipamLab, "settings"))
	n1 := newNetwork(t, l, "settings-1", "net", "1.0.0", ipv4Only)
	n2 := newNetwork(t, l, "settings-2", "net", "1.0.0", ipv4Only)
	configure := func(spec string) {
		t.Helper()
		apply(t, l, object("IPAMConfiguration", "default", spec))
		time.Sleep(settleTime)
	}
	apply(t, l, pool("small", "cidr: 10.1.0.0/30, blockSize: 30"))
	configure("strictAffinity: true")
	n1.addIn("first", "10.1.0.0/30")
	n2.refused("strict", "address")
	configure("strictAffinity: false")
	n2.addIn("borrowed", "10.1.0.0/30")

	apply(t, l, pool("large", "cidr: 10.2.0.0/24, blockSize: 30"))
	configure("strictAffinity: true, maxBlocksPerHost: 2")
	for i := range 7 { // 3 that are left of its first block, which node 2 has one of, and 4 of its second
		if _, err := n1.tryAdd(fmt.Sprint("fill-", i)); err != nil {
			if i < 5 || i > 6 {
				t.Fatalf("the %d-th of two blocks: %v", i, err)
			}
			if !strings.Contains(err.Error(), "maxBlocksPerHost") && !strings.Contains(err.Error(), "blocks") {
				t.Errorf("maxBlocksPerHost 2: %v; want the limit named", err)
			}
			break
		} else if i == 6 {
			t.Error("maxBlocksPerHost 2: a third block was claimed")
		}
	}
	configure("strictAffinity: true, maxBlocksPerHost: 2, autoAllocateBlocks: false")
	n2.refused("no-block", "address")
	configure("strictAffinity: true, maxBlocksPerHost: 2")
	n2.addIn("a-block", "10.2.0.0/24")
}

func TestIPCooldown(t *testing.T) {
	l := startLab(t, fmt.Sprintf(ipamLab, "cool"))
	n := newNetwork(t, l, "cool-1", "net", "1.0.0", ipv4Only)
	apply(t, l, pool("tiny", "cidr: 10.1.0.0/32, blockSize: 32")+object("IPAMConfiguration", "default", "ipCooldownSeconds: 3"))
	time.Sleep(settleTime)
	n.addIn("first", "10.1.0.0/32")
	n.remove("first")
	released := time.Now()
	if p, err := n.tryAdd("second"); err == nil {
		t.Fatalf("got %v again %v after its release", p.addr, time.Since(released))
	}
	eventually(t, 15*time.Second, "the address after its time", func() error {
		if _, err := n.tryAdd("second"); err != nil {
			return err
		}
		if d := time.Since(released); d < 3*time.Second {
			return errors.New("too early: " + d.String())
		}
		return nil
	})
}
