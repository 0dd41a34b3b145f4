package calc_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"github.com/tortie-net/tortie/internal/calc"
	"github.com/tortie-net/tortie/internal/model"
	"github.com/tortie-net/tortie/internal/selector"
)

// tenants is a cluster of isolated tenants: each is a namespace with one workload and one policy that lets the tenant in
// to itself. The workloads of the first local tenants are on node n1.
type tenants struct{ n, local int }

func (v tenants) node(i int) string {
	if i < v.local {
		return "n1"
	}
	return fmt.Sprintf("n%d", 2+i/100)
}

func (v tenants) namespace(i int) model.Update {
	name := fmt.Sprintf("tenant-%d", i)
	return model.Update{Key: model.Key{Kind: model.KindNamespace, Name: name},
		Value: &model.Namespace{Name: name, Labels: map[string]string{"tenant": name, "env": "prod"}}}
}

func (v tenants) pod(i int, app string) model.Update {
	ns := fmt.Sprintf("tenant-%d", i)
	return model.Update{Key: model.Key{Kind: model.KindPod, Namespace: ns, Name: "web-0"}, Value: &model.WorkloadEndpoint{
		ID:  model.WorkloadID{Orchestrator: "k8s", Namespace: ns, Workload: "web-0", Endpoint: "eth0"},
		UID: fmt.Sprintf("00000000-0000-0000-0000-%012d", i), Node: v.node(i),
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})},
		Labels: map[string]string{"app": app, "version": "v1", model.LabelNamespace: ns, model.LabelOrchestrator: "k8s",
			model.LabelServiceAccount: "default"},
		Profiles: []string{"kns." + ns, "ksa." + ns + ".default"},
	}}
}

func (v tenants) policy(i int, port uint16) model.Update {
	ns := fmt.Sprintf("tenant-%d", i)
	key := model.Key{Kind: model.KindNetworkPolicy, Namespace: ns, Name: "own"}
	own := selector.Equals(model.LabelNamespace, ns)
	return model.Update{Key: key, Value: &model.Policy{
		Key: key, UID: fmt.Sprintf("10000000-0000-0000-0000-%012d", i), Tier: "default", Order: 1000,
		Subject:        selector.And(own, selector.Equals(model.LabelOrchestrator, "k8s")),
		AppliesIngress: true,
		Ingress: []model.Rule{{Action: model.Allow, Protocol: model.ProtoTCP,
			Src: model.Entity{Selector: own}, Dst: model.Entity{Ports: []model.Port{{Min: port, Max: port}}}}},
	}}
}

func (v tenants) load(c *calc.Calc) {
	for i := range v.n {
		c.Apply(v.namespace(i), v.pod(i, "web"), v.policy(i, 80))
	}
	c.Flush()
}

// TestCostOfOneChangeIsFlat: what one change visits does not depend on how many policies there are.
func TestCostOfOneChangeIsFlat(t *testing.T) {
	changes := map[string]func(v tenants, c *calc.Calc){
		"a local endpoint's labels":  func(v tenants, c *calc.Calc) { c.Apply(v.pod(1, "other")) },
		"a remote endpoint's labels": func(v tenants, c *calc.Calc) { c.Apply(v.pod(v.n-1, "other")) },
		"a new endpoint":             func(v tenants, c *calc.Calc) { c.Apply(v.pod(v.n, "web")) },
		"a remote endpoint goes": func(v tenants, c *calc.Calc) {
			c.Apply(model.Update{Key: v.pod(v.n-1, "").Key})
		},
		"a policy that selects locally": func(v tenants, c *calc.Calc) { c.Apply(v.policy(1, 443)) },
		"a policy of others":            func(v tenants, c *calc.Calc) { c.Apply(v.policy(v.n-1, 443)) },
		"a new policy":                  func(v tenants, c *calc.Calc) { c.Apply(v.policy(v.n, 443)) },
		"a policy goes":                 func(v tenants, c *calc.Calc) { c.Apply(model.Update{Key: v.policy(1, 0).Key}) },
		"a namespace's labels": func(v tenants, c *calc.Calc) {
			u := v.namespace(1)
			u.Value = &model.Namespace{Name: u.Key.Name, Labels: map[string]string{"tenant": "another"}}
			c.Apply(u)
		},
	}
	visited := map[string][]uint64{}
	for _, n := range []int{10, 1000, 10000} {
		v := tenants{n: n, local: 5}
		c := calc.New(calc.Span{Node: "n1"})
		v.load(c)
		for name, f := range changes {
			before := c.Visited()
			f(v, c)
			c.Flush()
			visited[name] = append(visited[name], c.Visited()-before)
			v.load(c) // back to where it was
			c.Apply(model.Update{Key: v.pod(v.n, "").Key}, model.Update{Key: v.policy(v.n, 0).Key})
			c.Flush()
		}
	}
	for name, counts := range visited {
		t.Logf("%-30s visits %v objects at 10, 1,000, 10,000 policies", name, counts)
		for _, n := range counts {
			if n == 0 || float64(n) > 1.1*float64(counts[0]) {
				t.Errorf("%s: visits %v", name, counts)
			}
		}
	}
}

// BenchmarkTenants loads isolated tenants, 100 of them local, and prints CPU time and heap (design §4: at most 2 s and
// 100 MB at 100,000).
func BenchmarkTenants(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				v := tenants{n: n, local: 100}
				updates := make([]model.Update, 0, 3*n)
				for i := range n {
					updates = append(updates, v.namespace(i), v.pod(i, "web"), v.policy(i, 80))
				}
				empty := heap()
				cpu := cpuTime()
				c := calc.New(calc.Span{Node: "n1"})
				c.Apply(updates...)
				changes := len(c.Flush())
				cpu = cpuTime() - cpu
				full := heap()
				clear(updates)
				retained := heap()
				b.ReportMetric(cpu.Seconds(), "cpu-s")
				b.ReportMetric(float64(full-empty)/1e6, "own-MB")
				b.ReportMetric(float64(retained)/1e6, "heap-MB")
				b.ReportMetric(float64(changes), "changes")
				runtime.KeepAlive(c)
			}
		})
	}
}

// fleet is a cluster of applications in namespaces, with a policy in each namespace. The pods' addresses are told by IPAM
// blocks, of which each node has one. Labels are shared, names are not.
type fleet struct{ pods, namespaces, apps, perNode int }

// load applies the policies and namespaces, then node by node the affinity, the pods and the block.
func (f fleet) load(c *calc.Calc) {
	v := tenants{n: f.pods, local: 100}
	for i := range f.namespaces {
		c.Apply(v.namespace(i), v.policy(i, 80))
	}
	for first := 0; first < f.pods; first += f.perNode {
		cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(first / f.perNode >> 9), byte(first / f.perNode >> 1), byte(first / f.perNode << 7)}), 25)
		node := fmt.Sprintf("n%d", 1+first/f.perNode)
		block := &model.Block{CIDR: cidr, Affinity: "host:" + node, Allocations: make([]int, 128)}
		c.Apply(model.Update{Key: model.Key{Kind: model.KindAffinity, Namespace: block.Affinity, Name: cidr.String()},
			Value: &model.Affinity{Owner: block.Affinity, CIDR: cidr, State: model.AffinityConfirmed}})
		for ordinal := range block.Allocations {
			if ordinal >= min(f.perNode, f.pods-first) {
				block.Allocations[ordinal], block.Unallocated = -1, append(block.Unallocated, ordinal)
				continue
			}
			i := first + ordinal
			name := fmt.Sprintf("web-%d", i)
			u := v.pod(i%f.namespaces, fmt.Sprintf("app-%d", i%f.apps))
			w := u.Value.(*model.WorkloadEndpoint)
			u.Key.Name, w.ID.Workload, w.Node, w.Addresses, w.AddressesFromIPAM = name, name, node, nil, true
			w.UID = fmt.Sprintf("00000000-0000-0000-0000-%012d", i)
			w.Ports = []model.NamedPort{{Name: "http", Protocol: model.ProtoTCP, Port: 8080}}
			block.Allocations[ordinal] = len(block.Attributes)
			block.Attributes = append(block.Attributes, model.Allocation{Attributes: map[string]string{
				model.AttrNode: w.Node, model.AttrNamespace: w.ID.Namespace, model.AttrPod: name, model.AttrUID: w.UID}})
			c.Apply(u)
		}
		c.Apply(model.Update{Key: model.Key{Kind: model.KindBlock, Name: block.CIDR.String()}, Value: block})
	}
	c.Flush()
}

// BenchmarkEndpoints loads 100,000 pods of 1,000 namespaces and 100 applications with 1,000 policies.
func BenchmarkEndpoints(b *testing.B) {
	benchmarkFleet(b, fleet{pods: 100000, namespaces: 1000, apps: 100, perNode: 64})
}

// BenchmarkStart loads what design §4 says of an agent's start: 100 local and 50,000 remote pods, 5,000 policies.
func BenchmarkStart(b *testing.B) {
	benchmarkFleet(b, fleet{pods: 50100, namespaces: 5000, apps: 500, perNode: 100})
}

func benchmarkFleet(b *testing.B, f fleet) {
	for b.Loop() {
		empty, cpu := heap(), cpuTime()
		c := calc.New(calc.Span{Node: "n1"})
		f.load(c)
		cpu = cpuTime() - cpu // with the making of the objects
		b.ReportMetric(cpu.Seconds(), "cpu-s")
		b.ReportMetric(float64(heap()-empty)/1e6, "own-MB")
		runtime.KeepAlive(c)
	}
}

// BenchmarkEndpointJoinsSet is one remote endpoint that joins a set of 50,000 members, with 5,000 policies.
func BenchmarkEndpointJoinsSet(b *testing.B) {
	v := tenants{n: 5000, local: 100}
	c := calc.New(calc.Span{Node: "n1"})
	v.load(c)
	p := v.policy(0, 80)
	p.Value.(*model.Policy).Ingress[0].Src.Selector = selector.Equals("app", "web")
	c.Apply(p)
	c.Flush()
	for i := 0; b.Loop(); i++ {
		app := "web"
		if i%2 == 0 {
			app = "other"
		}
		c.Apply(v.pod(v.n-1, app))
		if n := len(c.Flush()); n != 1 {
			b.Fatalf("%d changes", n)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
